// What proofs about entries rest on: block 0 and other entries under one signed head.

import { equal } from '../bytes.js'
import { follow } from '../cover.js'
import { checkHead } from '../inclusion.js'
import { block, demand, list, members, uint } from '../record.js'
import { leaf } from '../tree.js'
import { CannotTell, Fails, step } from '../verdict.js'
import { decodeEntry, Unknown } from './form.js'

/** Reads entries with their blocks, which ascend. */
export function readEntries (value, lengthMax) {
  const entries = list(value, lengthMax, 'entries').map((entry) => {
    members(entry, ['block', 'entry'])
    return { block: uint(entry.block, 'block'), bytes: block(entry.entry) }
  })
  demand(entries.every(({ block }, at) => at === 0 || entries[at - 1].block < block), "the entries' blocks do not ascend")
  return entries
}

/** Throws unless a proof may rest on the head. */
export const judgeHead = (head) => step('head', () => checkHead(head))

/** Checks that entries stand in the log of a head, and returns the tree hash at `cut`. */
export function judgePath ({ length, hash }, entries, cut, path) {
  const leaves = entries.map(({ block, bytes }) => leaf(block, bytes))
  const hashes = step('path', () => follow({ length, leaves, cut, path }))
  if (!equal(hashes.whole, hash)) throw new Fails('path', 'it leads to another tree hash than was signed')
  return hashes.cut
}

/** Returns the bytes of an entry. */
export function entryAt (entries, block) {
  const entry = entries.find((entry) => entry.block === block)
  if (!entry) throw new CannotTell(`block ${block} is missing`)
  return entry.bytes
}

/** Reads block 0: the deployment, of a format that is known. */
export function readInit (bytes) {
  try {
    const entry = decodeEntry(bytes)
    if (entry.type === 'init') return entry
  } catch {}
  throw new CannotTell('block 0 is not the init of a format that this program knows')
}

/** Reads an entry of a log of this format. */
export function readEntry (bytes, format) {
  try {
    return decodeEntry(bytes, format)
  } catch (error) {
    throw error instanceof Unknown ? new CannotTell(error.message) : new Fails('entry', error.message)
  }
}

/** Returns the call of an entry. */
export function callOf (entry) {
  if (entry.type !== 'call') throw new Fails('entry', 'it is not a call')
  return entry.call
}

/** Returns whether a call has a key's id, a nonce and a signature: the signature is not checked. */
export const hasSigner = ({ userId, nonce, sig }) => isKeyId(userId) && nonce !== undefined && sig !== undefined

/** A key has one spelling, so that no host can repeat a call under another one. */
export const isKeyId = (id) => typeof id === 'string' && /^[0-9a-f]{64}$/.test(id)

/** Returns the age in milliseconds that a signed call of the log may have. */
export function callAgeOf ({ limits }) {
  if (limits.callAge === undefined) throw new Fails('block 0', 'the callers of this log do not sign')
  return BigInt(limits.callAge)
}

/** Returns the numbers of a signed call, ascending in their form: those that it replaces, and its nonce. */
export const numbersOf = ({ nonce, instead = [] }) => [...instead, nonce].map(BigInt)
