// False refusal: a host refused a good call, by the words of its own refusal.

import { equal, unhex } from '../bytes.js'
import { callBytes, callName, refusalBytes } from '../call.js'
import { decode } from '../cbor.js'
import { verifies } from '../ed25519.js'
import { bytes, demand, head, members, path, proofOf, text, uint } from '../record.js'
import { CannotTell, Fails } from '../verdict.js'
import { callAgeOf, entryAt, hasSigner, isKeyId, judgeHead, judgePath, numbersOf, readEntries, readInit } from './basis.js'
import { isExact } from './data.js'
import { argumentsForm, decodeEntry, numbersForm, seenForm } from './form.js'

/** Entries that a proof may hold: block 0 and the one that the refusal names. */
const ENTRIES_MAX = 2

const [REASON_BYTES_MAX, METHOD_BYTES_MAX] = [64, 256]

const MICROS = 1000n

/** Reasons that a host has and no file can judge. */
const OTHER_REASONS = ['stale-instead', 'old-head', 'busy', 'rate', 'no-method', 'invalid', 'suspended', 'closing']

/** Reads the proof, without judging it. */
export function readFalseRefusal (file) {
  const proof = proofOf('false-refusal', decode(file), ['call', 'refusal'], ['checkpoint', 'entries', 'path'])
  const { checkpoint, entries } = proof
  return {
    call: readCall(proof.call),
    refusal: readRefusal(proof.refusal),
    head: checkpoint === undefined ? undefined : head(checkpoint),
    entries: entries === undefined ? undefined : readEntries(entries, ENTRIES_MAX),
    path: proof.path === undefined ? undefined : path(proof.path)
  }
}

function readCall (value) {
  const call = members(value, ['userId', 'methodName', 'args', 'nonce', 'sig'], ['seen', 'instead'])
  text(call.userId, Infinity, 'userId')
  text(call.methodName, METHOD_BYTES_MAX, 'methodName')
  argumentsForm(call.args)
  demand(isExact(call.args), 'not in the canonical encoding')
  bytes(call.sig, 64, 'sig')
  if (call.seen !== undefined) seenForm(call.seen)
  if (call.instead !== undefined) numbersForm(call.instead)
  return { ...call, nonce: uint(call.nonce, 'nonce') }
}

function readRefusal (value) {
  const { log, reason, now, block, sig } = members(value, ['log', 'reason', 'now', 'sig'], ['block'])
  return {
    log: bytes(log, 32, 'log'),
    reason: text(reason, REASON_BYTES_MAX, 'reason'),
    now: uint(now, 'now'),
    block: block === undefined ? undefined : uint(block, 'block'),
    sig: bytes(sig, 64, 'sig')
  }
}

/** Throws unless the proof holds: `Fails` or `CannotTell`. */
export function judgeFalseRefusal (proof) {
  judgeSignatures(proof)
  const { call, refusal: { reason, now } } = proof
  switch (reason) {
    case 'early': return expect(call.nonce <= now, 'time', "the call's had not come")
    case 'stale-call': return judgeAge(proof)
    case 'unknown-head': return judgeSeen(proof)
    case 'repeated-nonce': return judgeNumbers(proof)
    // Its signature covers no key: another one's signature may be good where the refused one's was not.
    case 'bad-signature': throw new CannotTell('a refusal for a bad signature does not say of which key')
    default: throw new CannotTell(OTHER_REASONS.includes(reason) ? `no file can show whether \`${reason}\` was true` : 'this program does not know the reason')
  }
}

function judgeSignatures ({ call, refusal }) {
  const { log, reason, now, block, sig } = refusal
  if (!isKeyId(call.userId)) throw new Fails('call', "its caller's id is not a key")
  const { methodName, args, nonce, seen, instead } = call
  const signed = callBytes({ log, methodName, args, nonce, seen, instead })
  expect(verifies(unhex(call.userId, 32), signed, call.sig), 'call', 'it is not signed by the caller that it names')
  const isRefusal = verifies(log, refusalBytes({ log, call: callName(signed, call.sig), reason, now, block }), sig)
  expect(isRefusal, 'refusal', "it is not a refusal of this call that the log's key signed")
}

function judgeAge (proof) {
  const callAge = callAgeOf(judgeEntries(proof))
  const [now, signed] = [proof.refusal.now / MICROS, proof.call.nonce / MICROS]
  const age = now > signed ? now - signed : 0n
  expect(age <= callAge, 'time', `the call was ${age} ms old`)
}

function judgeSeen (proof) {
  const { seen } = proof.call
  if (!seen) return
  const { length, hash } = headOf(proof)
  expect(length === BigInt(seen.length) && equal(hash, seen.hash), 'head', 'it is not the one that the caller has seen')
}

function judgeNumbers (proof) {
  const { call, refusal: { block } } = proof
  if (block === undefined) throw new CannotTell('the refusal names no block')
  const init = judgeEntries(proof, block)
  callAgeOf(init)
  const entry = readNamed(entryAt(proof.entries, block), init)
  if (entry.type !== 'call' || !hasSigner(entry.call) || entry.call.userId !== call.userId) return
  const held = numbersOf(entry.call)
  const hasCommon = numbersOf(call).some((number) => held.includes(number))
  expect(BigInt(entry.call.nonce) < call.nonce && !hasCommon, 'numbers', `the call at block ${block} stands in its way`)
}

function readNamed (bytes, init) {
  try {
    return decodeEntry(bytes, init.v)
  } catch (error) {
    throw new CannotTell(error.message)
  }
}

/** Returns the head of the file, if it is the log's. */
function headOf ({ head, refusal }) {
  if (!head) throw new CannotTell('a signed head of the log is missing')
  judgeHead(head)
  expect(equal(head.log, refusal.log), 'head', "it is another log's")
  return head
}

/** Checks block 0, and `other` if it is needed, and returns block 0. */
function judgeEntries (proof, other) {
  const head = headOf(proof)
  const { entries, path } = proof
  if (!entries || !path) throw new CannotTell('the entries or their path are missing')
  if (other !== undefined && other >= head.length) throw new CannotTell("the head's log ends before the block that the refusal names")
  for (const block of other === undefined ? [0n] : [other, 0n]) entryAt(entries, block)
  expect(entries.every(({ block }) => block === 0n || block === other), 'entries', 'there are others than the reason needs')
  judgePath(head, entries, undefined, path)
  return readInit(entryAt(entries, 0n))
}

function expect (holds, step, otherwise) {
  if (!holds) throw new Fails(step, otherwise)
}
