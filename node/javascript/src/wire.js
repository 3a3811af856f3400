// The JSON forms of requests and of what a service answers. Bytes are lower-case hexadecimal digits. Nothing here is trusted: what
// has not its form is an error, and what is longer than any honest answer is not read.

import { hex, unhex } from './bytes.js'

/** Bytes of one message: far above the longest answer of a host. Longer ones end the connection. */
export const MESSAGE_BYTES_MAX = 16 * 1024 * 1024

/** Nodes of a comparison of two heads: more than those of a log of 2^62 blocks. */
const NODES_MAX = 512

/** Characters of a text of the host that are told. */
const WORDS_MAX = 500

/** How old a signed call may be where a service does not say: the protocol's default, and its bound. In milliseconds. */
const CALL_AGE_DEFAULT = 60_000
const CALL_AGE_MAX = 3_600_000

/** The code of a call that the host has not executed, for a reason that JSON-RPC has no code for. */
const REFUSED_CODE = -32001

/** Returns a request. The other members, where they are undefined, are left out. */
export const request = (id, method, params, more = {}) => JSON.stringify({ jsonrpc: '2.0', id, method, params, ...more })

/** Returns the member `caller` of a request. */
export const callerForm = ({ key, nonce, seen, instead, sig }) => ({
  key,
  nonce,
  seen: seen && { length: Number(seen.length), hash: hex(seen.hash) },
  instead,
  sig: hex(sig)
})

/** Reads a message: `{ id, result, error, refusal, receipt }` of an answer, `null` of anything that asks for none. Throws otherwise. */
export function readReply (text) {
  const message = JSON.parse(text)
  if (!isObject(message)) throw new TypeError('a message that is no object')
  if (message.method !== undefined) return null
  const { id, result, error, receipt } = message
  if (!Number.isSafeInteger(id)) throw new TypeError(isObject(error) ? `${words(error.message)} (it could not read a request)` : 'an answer without the id of a request')
  if (error === undefined || error === null) return { id, result, receipt }
  if (!isObject(error) || !Number.isSafeInteger(error.code) || typeof error.message !== 'string') throw new TypeError('an error that is none of JSON-RPC')
  return { id, error, receipt, refusal: refusalOf(error) }
}

function refusalOf ({ code, data, refusal }) {
  if (code === REFUSED_CODE && isObject(data)) return data
  return isObject(refusal) ? refusal : undefined
}

export const isObject = (value) => typeof value === 'object' && value !== null && !Array.isArray(value)

/** Returns a text for people. */
export const words = (text) => String(text).slice(0, WORDS_MAX)

/** Reads what a service tells of its log. The head's signature is not checked yet. */
export function readGreeting (told) {
  if (!isObject(told)) throw new TypeError('its handshake is no object')
  const log = unhex(told.log, 32)
  const { auth, now, latest } = told
  if (typeof auth !== 'string') throw new TypeError('its `auth` is missing')
  const callAge = told.limits?.callAge ?? CALL_AGE_DEFAULT
  const methods = Array.isArray(told.methods) ? told.methods.filter((name) => typeof name === 'string') : []
  return {
    log,
    isSigned: auth === 'signed',
    now: integer(now, 'now'),
    head: readHead(log, told.head),
    callAge: Math.min(integer(callAge, 'callAge'), CALL_AGE_MAX),
    nodes: readNodes(told.consistency?.nodes ?? []),
    latest,
    methods
  }
}

/** Reads a head of a log. */
export function readHead (log, form) {
  if (!isObject(form)) throw new TypeError('its head is missing')
  return { log, length: BigInt(integer(form.length, 'length')), hash: unhex(form.hash, 32), sig: unhex(form.sig, 64), fork: 0n }
}

/** Returns a head as it is told. */
export const headForm = ({ length, hash, sig }) => ({ length: Number(length), hash: hex(hash), sig: hex(sig) })

/** Reads nodes of a log's tree. */
export function readNodes (list) {
  if (!Array.isArray(list) || list.length > NODES_MAX) throw new TypeError('no nodes, or more than any comparison needs')
  return list.map(readNode)
}

function readNode (form) {
  if (!isObject(form)) throw new TypeError('a node that is none')
  return { index: BigInt(integer(form.index, 'index')), hash: unhex(form.hash, 32), size: BigInt(integer(form.size, 'size')) }
}

/** Returns a number that JSON has given exactly. */
export function integer (value, what) {
  if (!Number.isSafeInteger(value) || value < 0) throw new TypeError(`${what} is not a number from 0 to 2^53 - 1`)
  return value
}
