// Violation: the entries of a log themselves break a rule. No engine is needed to see it.

import { equal, unhex } from '../bytes.js'
import { callBytes } from '../call.js'
import { decode } from '../cbor.js'
import { verifies } from '../ed25519.js'
import { head, path, proofOf, text, uint } from '../record.js'
import { CannotTell, Fails } from '../verdict.js'
import { callAgeOf, callOf, entryAt, hasSigner, isKeyId, judgeHead, judgePath, numbersOf, readEntries, readEntry, readInit } from './basis.js'
import { claimsKnownFormat, decodeEntry, hasSignedFields, isInsteadInForm, Unknown } from './form.js'

/** Entries that a proof may hold: block 0, the one in question, and an earlier one. */
const ENTRIES_MAX = 3

const CLASS_BYTES_MAX = 64

/** Lengths, counted back from a call's block, at which a caller may have seen the log. */
const SEEN_LENGTHS_MAX = 65_536n

const MICROS = 1000n

/** The classes, and whether they compare the entry with an earlier one. */
const COMPARES = {
  'malformed-entry': false,
  'wrong-order': false,
  'time-went-back': true,
  'bad-signature': false,
  'repeated-nonce': true,
  'repeated-call': true,
  'stale-instead': false,
  'stale-call': false,
  'unknown-head': false
}

/** Reads the proof, without judging it. */
export function readViolation (file) {
  const proof = proofOf('violation', decode(file), ['checkpoint', 'class', 'block', 'entries', 'path'])
  return {
    head: head(proof.checkpoint),
    class: text(proof.class, CLASS_BYTES_MAX, 'class'),
    block: uint(proof.block, 'block'),
    entries: readEntries(proof.entries, ENTRIES_MAX),
    path: path(proof.path)
  }
}

/** Throws unless the proof holds: `Fails` or `CannotTell`. */
export function judgeViolation (proof) {
  judgeHead(proof.head)
  const { head, class: name, entries, block, path } = proof
  const first = entryAt(entries, 0n)
  const bytes = entryAt(entries, block)
  if (!Object.hasOwn(COMPARES, name)) throw new CannotTell(`this program cannot judge class ${JSON.stringify(name)}`)
  const earlier = earlierOf(proof)
  const hashAtCut = judgePath(head, entries, cutOf(proof), path)
  if (block === 0n) return judgeFirst(name, first)
  const init = readInit(first)
  if (name === 'malformed-entry') return judgeForm(init, bytes)
  const entry = readEntry(bytes, init.v)
  if (name === 'wrong-order') return judgePlace(block, entry)
  if (name === 'time-went-back') return judgeTime(entry, earlier, init, block === 1n)
  judgeCall(proof, { init, call: callOf(entry), earlier, hashAtCut })
}

/** Returns the entry with which the class compares the one in question. There must be no others. */
function earlierOf ({ class: name, entries, block }) {
  const others = entries.filter((entry) => entry.block !== 0n && entry.block !== block)
  const isNeeded = others.length === 0 || (others.length === 1 && COMPARES[name] && others[0].block < block)
  if (!isNeeded) throw new Fails('entries', 'there are others than the class needs')
  return others[0]
}

/** Returns the length of which the tree hash is compared; undefined where there is none. */
function cutOf ({ class: name, entries, block }) {
  if (name !== 'unknown-head' || block === 0n) return undefined
  const { seen } = callOf(readEntry(entryAt(entries, block), readInit(entryAt(entries, 0n)).v))
  return seen && BigInt(seen.length) <= block ? BigInt(seen.length) : undefined
}

/** Judges block 0, of which there is nothing to compare it with. */
function judgeFirst (name, bytes) {
  let entry
  try {
    entry = decodeEntry(bytes)
  } catch (error) {
    if (error instanceof Unknown) throw new CannotTell(error.message)
    if (name === 'malformed-entry' && claimsKnownFormat(bytes)) return
    throw new CannotTell('block 0 is not the init of a format that this program knows')
  }
  if (name === 'malformed-entry') throw new Fails('entry', 'it is well-formed')
  if (name !== 'wrong-order') throw new Fails('entry', 'it is block 0, which the class is not about')
  judgePlace(0n, entry)
}

function judgeForm (init, bytes) {
  let entry
  try {
    entry = decodeEntry(bytes, init.v)
  } catch (error) {
    if (error instanceof Unknown) throw new CannotTell(error.message)
    return
  }
  // Fields that the log's kind of callers does not have.
  if (entry.type !== 'call' || !isSignedByNobody(init, entry.call)) throw new Fails('entry', 'it is well-formed')
}

/** Returns whether a call that nobody signs has fields of signed ones. */
const isSignedByNobody = ({ auth }, call) => hasSignedFields(call) && (auth === 'debug' || call.userId === null)

/** Judges the place of an entry. Some depends on whether the script exports `init`, which an engine would have to say. */
function judgePlace (block, entry) {
  const [without, having] = [false, true].map((hasInit) => mayStandAt(block, entry, hasInit))
  if (without && having) throw new Fails('place', 'the entry may stand there')
  if (without !== having) throw new CannotTell('that depends on whether the script exports init, which needs an engine')
}

function mayStandAt (block, { type, call }, hasInit) {
  if ((type === 'init') !== (block === 0n)) return false
  if (type !== 'call') return true
  const isOfInit = call.methodName === 'init'
  if (block !== 1n || !hasInit) return !isOfInit
  return isOfInit && call.userId === null && call.args.length === 0
}

/** Compares the times of two entries; without an earlier one, that of block 0. */
function judgeTime (entry, earlier, init, isFirst) {
  const { at } = callOf(entry)
  const before = earlier ? callOf(readEntry(earlier.bytes, init.v)).at : init.at
  if (at < before) return
  if (!earlier && !isFirst) throw new CannotTell('the earlier entry is missing')
  throw new Fails('time', `${at} is not before ${before}`)
}

function judgeCall ({ class: name, head, block }, { init, call, earlier, hashAtCut }) {
  if (name === 'bad-signature') return judgeSignature(head.log, init, call)
  const callAge = callAgeOf(init)
  if (!hasSigner(call)) throw new Fails('entry', 'it is not a signed call')
  const at = BigInt(call.at)
  switch (name) {
    case 'stale-call': return expect(isAgeGood(at, BigInt(call.nonce), callAge), 'it is young enough')
    case 'stale-instead': return expect((call.instead ?? []).every((number) => BigInt(number) / MICROS >= at - 2n * callAge), 'what it replaces is young enough')
    case 'unknown-head': return judgeSeen(block, call.seen, hashAtCut)
    default:
      if (name === 'repeated-call' && !isInsteadInForm(call)) return
      judgeNumbers(name, call, earlier, init)
  }
}

function judgeNumbers (name, call, earlier, init) {
  if (!earlier) throw new CannotTell('the earlier entry is missing')
  const before = callOf(readEntry(earlier.bytes, init.v))
  if (!hasSigner(before)) throw new Fails('entry', 'it is not a signed call')
  const held = numbersOf(before)
  const isRepeated = name === 'repeated-nonce' ? call.nonce <= before.nonce : (call.instead ?? []).some((number) => held.includes(BigInt(number)))
  if (before.userId !== call.userId) throw new Fails('entries', 'the calls are of different callers')
  if (!isRepeated) throw new Fails('numbers', 'those of the two calls do not meet')
}

function judgeSignature (log, init, call) {
  if (isSignedByNobody(init, call)) throw new Fails('entry', 'it is malformed, which is another class')
  const isGood = init.auth === 'debug' || call.userId === null || isCallSigned(log, call)
  expect(isGood, 'the signature holds, or there is none to check')
}

/** Returns whether a call carries the signature of the caller that it names. */
export function isCallSigned (log, call) {
  const { userId, methodName, args, nonce, seen, instead, sig } = call
  return hasSigner(call) && isKeyId(userId) && verifies(unhex(userId, 32), callBytes({ log, methodName, args, nonce, seen, instead }), sig)
}

/** Returns whether a call is neither later than its execution nor too old. */
const isAgeGood = (at, nonce, callAge) => nonce / MICROS <= at && at - nonce / MICROS <= callAge

function judgeSeen (block, seen, hashAtCut) {
  if (!seen) throw new Fails('entry', 'the call names no head')
  const back = block - BigInt(seen.length)
  const isRecent = back >= 0n && back < SEEN_LENGTHS_MAX
  expect(isRecent && equal(seen.hash, hashAtCut), "it is the log's head at that length")
}

/** Wants a rule to be broken. */
function expect (isKept, otherwise) {
  if (isKept) throw new Fails('entry', otherwise)
}
