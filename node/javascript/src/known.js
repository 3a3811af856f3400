// What a caller remembers of services between two runs: lines of JSON, as the Rust client writes them (`known_logs`). A line `{url, log,
// length, hash, sig}` has the newest head of a log and a service that has it; a line `{key, log, nonce}` the last nonce of a key.
//
// A line that is none makes all unusable until a person has looked at it: nothing is forgotten for it.

import { unhex, utf8 } from './bytes.js'
import { isHeadSigned, isSameHead, NONCE_MAX } from './call.js'
import { KnownLogsError } from './errors.js'
import { headForm, isObject } from './wire.js'

/** Lines: more services than a person calls. */
const LINES_MAX = 10_000

/** Bytes of a line: the longest URL and what stands beside it; and of all. */
const LINE_BYTES_MAX = 20 * 1024
const BYTES_MAX = 16 * 1024 * 1024

const HEAD = ['log', 'length', 'hash', 'sig']
const NONCE = ['key', 'log', 'nonce']

/** The lines of one place. */
export class Known {
  #lines

  /** Reads the lines of `place`, which is named in errors. */
  constructor (text, place) {
    this.place = place
    const lines = text.split('\n')
    this.#lines = lines.flatMap((line, at) => line.trim() === '' ? [] : [this.#read(line, at + 1)])
  }

  /** Returns the text, to be kept. */
  text () {
    const text = this.#lines.map((line) => `${write(line)}\n`).join('')
    if (this.#lines.length > LINES_MAX || utf8(text).length > BYTES_MAX) {
      throw new KnownLogsError('full', `${this.place} is full: it has ${LINES_MAX} lines, or as many bytes as it may: remove some`)
    }
    return text
  }

  /** Returns the log that the service of this name had, in digits. */
  logOf (name) {
    return this.#heads().find((line) => line.url === name)?.head.id
  }

  /** Returns the newest head of a log, wherever it was seen. */
  headOf (log) {
    const heads = this.#heads().filter((line) => line.head.id === log).map((line) => line.head)
    return heads.reduce((newest, head) => !newest || head.length > newest.length ? head : newest, undefined)
  }

  /** Returns the last nonce that a key has used in a log; 0 if none is known. */
  nonceOf (key, log) {
    const lines = this.#lines.filter((line) => line.key === key && line.log === log)
    return Math.max(0, ...lines.map((line) => line.nonce))
  }

  /** Remembers a nonce, unless a greater one is known. */
  storeNonce (key, log, nonce) {
    const greatest = Math.max(nonce, this.nonceOf(key, log))
    this.#lines = this.#lines.filter((line) => line.key !== key || line.log !== log)
    this.#lines.push({ key, log, nonce: greatest })
  }

  /**
   * Remembers that the service of this name has the log of `head`; without a name, only the head. Of the heads that may be there, `compared`
   * is known to be a part of it. Returns another head that stands there, which its caller has not compared.
   */
  store (name, head, compared) {
    const { id } = head
    const newest = this.headOf(id)
    const isCompared = !newest || isSameHead(newest, head) || (compared && isSameHead(newest, compared))
    const kept = isCompared ? head : newest
    // The line that this one replaces: of the same URL, or without any, of the same log.
    const isReplaced = (line) => line.head && line.url === name && (name !== undefined || line.head.id === id)
    this.#lines = this.#lines.filter((line) => !isReplaced(line))
    const others = this.#heads().filter((line) => line.head.id === id)
    for (const line of others) line.head = kept
    if (name !== undefined || others.length === 0) this.#lines.push({ url: name, head: kept })
    return isCompared ? undefined : newest
  }

  #heads () {
    return this.#lines.filter((line) => line.head)
  }

  #read (text, number) {
    try {
      if (utf8(text).length > LINE_BYTES_MAX) throw new TypeError('it is too long')
      return readLine(JSON.parse(text))
    } catch (cause) {
      throw new KnownLogsError('line', `line ${number} of ${this.place} cannot be read (${cause.message}): correct it or remove it`, { cause })
    }
  }
}

function readLine (line) {
  if (!isObject(line)) throw new TypeError('it is no object')
  const names = Object.keys(line)
  const has = (needed) => needed.every((name) => names.includes(name))
  if (has(NONCE) && names.length === NONCE.length) return readNonce(line)
  if (has(HEAD) && names.length === HEAD.length + ('url' in line ? 1 : 0)) return readHead(line)
  throw new TypeError('it has neither the members of a head nor those of a nonce')
}

function readNonce ({ key, log, nonce }) {
  unhex(key, 32)
  unhex(log, 32)
  if (!Number.isInteger(nonce) || nonce < 0 || nonce > NONCE_MAX) throw new TypeError('its nonce is none')
  return { key, log, nonce }
}

// A changed head would make an honest host look as if it had forked, with a proof that proves nothing.
function readHead ({ url, log, length, hash, sig }) {
  if (url !== undefined && typeof url !== 'string') throw new TypeError('its url is no text')
  if (!Number.isSafeInteger(length) || length < 0) throw new TypeError('its length is none')
  const head = { log: unhex(log, 32), id: log, length: BigInt(length), hash: unhex(hash, 32), sig: unhex(sig, 64), fork: 0n }
  if (!isHeadSigned(head)) throw new TypeError('its head is not signed by its log')
  return { url, head }
}

function write ({ url, head, ...nonce }) {
  if (!head) return JSON.stringify(nonce)
  return JSON.stringify({ url, log: head.id, ...headForm(head) })
}

/** Returns the one spelling under which a service is remembered: its URL without query and key. */
export function nameOf (url) {
  const { protocol, host, pathname } = new URL(url)
  return `${protocol}//${host}${pathname}`
}
