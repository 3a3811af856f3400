// The forms of entries (protocol/FORMAT.md, "The call log"). What breaks one, no honest host writes: `TypeError`. What a later version may have
// written is `Unknown`.

import { equal, utf8 } from '../bytes.js'
import { decodeLoosely, encode, EXACT } from '../cbor.js'
import { INSTEAD_MAX, NONCE_MAX } from '../call.js'
import { bytes, demand, list, members, text, uint } from '../record.js'
import { hasMember, isExact, jsonData } from './data.js'
import { readWords } from './kind.js'

const MEBIBYTE = 1024 * 1024

/** The latest version of logs. */
const LATEST = 2

/** Bytes of an entry, and of its parts. */
const ENTRY_BYTES_MAX = 8 * MEBIBYTE
const CODE_BYTES_MAX = 4 * MEBIBYTE
const [ARGUMENTS_BYTES_MAX, RESULT_BYTES_MAX] = [MEBIBYTE, MEBIBYTE]
const [TITLE_BYTES_MAX, ENGINE_BYTES_MAX, METHOD_BYTES_MAX, USER_BYTES_MAX] = [1024, 256, 256, 1024]
const ERROR_BYTES_MAX = 16 * 1024
const [NAMES_MAX, NAME_BYTES_MAX] = [64, 256]
const [ANSWERS_MAX, ANSWER_BYTES_MAX, ANSWERS_BYTES_MAX] = [64, MEBIBYTE, 3 * MEBIBYTE]
const [ANSWER_NAME_BYTES_MAX, ANSWER_MESSAGE_BYTES_MAX] = [64, 1024]
const [EFFECTS_MAX, EFFECTS_BYTES_MAX] = [64, 256 * 1024]

/** Bytes that a value may have as JSON text for each of its bytes in DAG-CBOR, at most. */
const JSON_PER_CBOR = 5

const TIME_MAX = 8_640_000_000_000_000n
const CALL_AGE_MAX = 3_600_000n
const [CODE_MIN, CODE_MAX] = [-(2n ** 63n), 2n ** 63n - 1n]

/** The codes that a script may not choose: those of JSON-RPC. */
const [RESERVED_MIN, RESERVED_MAX] = [-32_768n, -32_000n]

const FAULTS = ['fuel', 'output', 'killed']
const ANSWER_CODES = ['timeout', 'too-large', 'refused', 'failed', 'cancelled']

const TYPES = { init, call, epoch, upgrade }

/** A part that a later version may have written. */
export class Unknown extends Error {}

/** Reads an entry; with `format`, one of a log of that version. */
export function decodeEntry (block, format) {
  demand(block.length <= ENTRY_BYTES_MAX, 'more bytes than an entry has')
  const { type, v } = kindOf(block)
  if (v !== null && v > LATEST) throw new Unknown(`format version ${v}`)
  if (!Object.hasOwn(TYPES, type)) throw new Unknown(`entry type ${JSON.stringify(type.slice(0, 100))}`)
  const entry = decodeLoosely(block)
  TYPES[type](entry)
  demand(equal(encode(entry), block) && dataOf(entry).every(isExact), 'not in the canonical encoding')
  if (format !== undefined) checkFormat(entry, format)
  return entry
}

/** Returns whether a block says that it is an init of a version that is known, well-formed or not. */
export function claimsKnownFormat (block) {
  try {
    const { type, v } = kindOf(block)
    return type === 'init' && (v === 1n || v === BigInt(LATEST))
  } catch {
    return false
  }
}

function kindOf (block) {
  const { type, v } = readWords(block, ['type', 'v'])
  demand(typeof type === 'string', 'no type')
  return { type, v: v === undefined || v === null ? null : uint(v, 'v') }
}

/** Returns all JSON data of an entry. */
function dataOf ({ call, result, oracles = [], effects = [] }) {
  const own = call ? [call.args, result.res, result.err?.details] : []
  return [...own, ...oracles.map(({ res }) => res), ...effects.map(({ args }) => args)].filter((data) => data !== undefined)
}

function checkFormat (entry, format) {
  switch (entry.type) {
    case 'init': return demand(entry.v === format, 'an init of another version')
    case 'epoch': return demand(format === 1, 'an epoch in a log whose init has no `epoch`')
    case 'upgrade': return checkLoad(entry.limits, format)
    default: return checkCallFormat(entry, format)
  }
}

function checkCallFormat ({ call, result, oracles, effects }, format) {
  const { files, err } = result
  if (format === 1) {
    demand(!hasSignedFields(call), 'a signed call in a log of v 1')
    demand(!oracles && !effects, 'oracles or effects in a log of v 1')
    demand(!files?.from, 'result.files.from in a log of v 1')
    demand(err?.code === undefined && !hasMember(err, 'details'), 'a code or details of an error in a log of v 1')
  } else {
    demand(!files || files.from, 'no result.files.from in a log of v 2')
  }
}

/** Returns whether a call carries any of the fields that only signed calls have. */
export const hasSignedFields = ({ nonce, seen, instead, sig }) => [nonce, seen, instead, sig].some((field) => field !== undefined)

function init (entry) {
  const { v, code, module, title, files, blobs, auth, at, limits, oracles = [], effects = [] } = members(entry,
    ['type', 'v', 'code', 'title', 'files', 'blobs', 'auth', 'at', 'engine', 'limits'], ['module', 'oracles', 'effects'])
  demand(v === 1 || v === LATEST, 'v is none')
  bytes(files, 32, 'files')
  bytes(blobs, 32, 'blobs')
  demand(auth === 'debug' || auth === 'signed', 'auth is none')
  demand(module === undefined || module === true, 'module is not true')
  text(title, TITLE_BYTES_MAX, 'title')
  time(at)
  limitsForm(limits)
  checkLoad(limits, v)
  checkCallAge(auth, limits.callAge)
  const isLater = module || auth === 'signed' || oracles.length + effects.length > 0
  demand(v === LATEST || !isLater, 'a field in a log of v 1 that it has not')
  for (const names of [entry.oracles, entry.effects]) if (names !== undefined) checkNames(names)
  script(code, entry.engine)
}

function checkNames (names) {
  list(names, NAMES_MAX, 'names').forEach(checkName)
  demand(names.length > 0, 'names that are none')
  // As Rust orders text: by its bytes in UTF-8.
  const order = names.map((name) => Array.from(utf8(name), (byte) => String.fromCharCode(byte)).join(''))
  demand(order.every((name, at) => at === 0 || order[at - 1] < name), 'names that do not ascend')
}

function checkName (name) {
  text(name, NAME_BYTES_MAX, 'a name')
  demand(name !== '', 'an empty name')
}

function limitsForm (limits) {
  const names = ['fuel', 'memory', 'stack', 'output']
  members(limits, names, ['load', 'callAge'])
  for (const name of Object.keys(limits)) uint(limits[name], name)
}

function checkLoad ({ load }, v) {
  demand((load === undefined) === (v === 1), 'limits.load where it is not, or not where it is')
}

function checkCallAge (auth, callAge) {
  demand((callAge !== undefined) === (auth === 'signed'), 'limits.callAge where it is not, or not where it is')
  demand(callAge === undefined || (callAge >= 1 && callAge <= CALL_AGE_MAX), 'limits.callAge is out of range')
}

function script (code, engine) {
  text(code, CODE_BYTES_MAX, 'code')
  const { name, version, build, api } = members(engine, ['name', 'version', 'api'], ['build'])
  text(name, ENGINE_BYTES_MAX, 'engine.name')
  text(version, ENGINE_BYTES_MAX, 'engine.version')
  if (build !== undefined) demand(text(build, ENGINE_BYTES_MAX, 'engine.build') !== '', 'an empty engine.build')
  uint(api, 'engine.api')
}

function epoch (entry) {
  filesHead(members(entry, ['type', 'files']).files)
}

function upgrade (entry) {
  const { code, engine, limits, sig } = members(entry, ['type', 'code', 'engine', 'limits', 'sig'])
  bytes(sig, 64, 'sig')
  limitsForm(limits)
  demand(limits.callAge === undefined, 'limits.callAge in an upgrade')
  script(code, engine)
}

function filesHead (files, optional = []) {
  const { version, hash, blobs, blobsHash } = members(files, ['version', 'hash', 'blobs', 'blobsHash'], optional)
  uint(version, 'version')
  uint(blobs, 'blobs')
  bytes(hash, 32, 'hash')
  bytes(blobsHash, 32, 'blobsHash')
}

// A part of a later version is told from a broken one only where all before it is in its form: so everything is looked at in one order.
function call (entry) {
  members(entry, ['type', 'call', 'result'], ['oracles', 'effects'])
  const { result, oracles, effects } = entry
  callForm(entry.call)
  resultForm(result)
  if (oracles !== undefined) answersForm(oracles)
  if (effects !== undefined) effectsForm(effects)
  checkCall(entry.call)
  checkResult(result)
  if (oracles !== undefined) checkAnswers(oracles)
  if (effects !== undefined) checkEffects(effects)
  demand(!oracles || result.fault !== 'killed', 'oracles of a call that was killed')
  demand(!effects || (result.err === undefined && result.fault === undefined), 'effects of a call that failed')
}

function callForm (call) {
  const { userId, methodName, args, at, nonce, seen, instead, sig } = members(call,
    ['userId', 'methodName', 'args', 'at'], ['nonce', 'seen', 'instead', 'sig'])
  demand(userId === null || typeof userId === 'string', 'call.userId is no text')
  demand(typeof methodName === 'string', 'call.methodName is no text')
  argumentsForm(args, ARGUMENTS_BYTES_MAX)
  uint(at, 'at')
  if (nonce !== undefined) uint(nonce, 'nonce')
  if (seen !== undefined) seenForm(seen)
  if (instead !== undefined) numbersForm(instead)
  if (sig !== undefined) bytes(sig, 64, 'sig')
}

/** Reads the arguments of a call. */
export function argumentsForm (args, bytesMax = ARGUMENTS_BYTES_MAX) {
  demand(Array.isArray(args), 'the arguments are no array')
  jsonData(args, bytesMax)
}

export function seenForm (seen) {
  const { length, hash } = members(seen, ['length', 'hash'])
  uint(length, 'seen.length')
  bytes(hash, 32, 'seen.hash')
}

export function numbersForm (numbers) {
  demand(Array.isArray(numbers), 'instead is no list')
  numbers.forEach((number) => uint(number, 'instead'))
}

function checkCall ({ userId, methodName, at, nonce, seen, instead = [] }) {
  text(methodName, METHOD_BYTES_MAX, 'call.methodName')
  if (userId !== null) text(userId, USER_BYTES_MAX, 'call.userId')
  const numbers = [...instead, ...[nonce, seen?.length].filter((number) => number !== undefined)]
  demand(numbers.every((number) => number <= NONCE_MAX), 'a number larger than any nonce or length')
  time(at)
}

function time (at) {
  demand(uint(at, 'at') <= TIME_MAX, 'a time that is out of range')
}

function resultForm (result) {
  const { err, fault, files } = members(result, [], ['res', 'err', 'fault', 'files'])
  if (hasMember(result, 'res')) jsonData(result.res, RESULT_BYTES_MAX)
  if (err !== undefined) thrownForm(err)
  if (fault !== undefined) demand(typeof fault === 'string', 'fault is no text')
  if (files === undefined) return
  filesHead(files, ['from'])
  if (files.from === undefined) return
  const { version, blobs } = members(files.from, ['version', 'blobs'])
  uint(version, 'from.version')
  uint(blobs, 'from.blobs')
}

function thrownForm (err) {
  const { name, message, code } = members(err, ['name', 'message'], ['code', 'details'])
  demand(typeof name === 'string' && typeof message === 'string', 'an error whose name or message is no text')
  const isInteger = code === undefined || typeof code === 'bigint' || (Number.isInteger(code) && Math.abs(code) <= EXACT)
  demand(isInteger && (code === undefined || (BigInt(code) >= CODE_MIN && BigInt(code) <= CODE_MAX)), 'a code that is no integer')
  if (hasMember(err, 'details')) jsonData(err.details, RESULT_BYTES_MAX)
}

function checkResult ({ err, fault, files, ...result }) {
  if (err) checkThrown(err)
  const outcomes = [hasMember(result, 'res'), err !== undefined, fault !== undefined].filter(Boolean).length
  demand(outcomes <= 1, 'more than one of res, err and fault')
  demand(files === undefined || (err === undefined && fault === undefined), 'files of a call that failed')
  if (fault !== undefined && !FAULTS.includes(fault)) throw new Unknown(`fault ${JSON.stringify(fault.slice(0, 100))}`)
}

function checkThrown ({ name, message, code }) {
  text(name, ERROR_BYTES_MAX, 'result.err.name')
  text(message, ERROR_BYTES_MAX, 'result.err.message')
  if (code === undefined) return
  const wide = BigInt(code)
  const size = wide < 0n ? -wide : wide
  demand(size <= NONCE_MAX && !(wide >= RESERVED_MIN && wide <= RESERVED_MAX), 'a code that no script may choose')
}

function answersForm (answers) {
  demand(list(answers, ANSWERS_MAX, 'oracles').length > 0, 'oracles that are none')
  for (const answer of answers) {
    const { ask, err } = members(answer, ['ask'], ['res', 'err'])
    bytes(ask, 16, 'ask')
    demand(hasMember(answer, 'res') !== (err !== undefined), "an oracle's answer is one of res and err")
    if (err === undefined) jsonData(answer.res, JSON_PER_CBOR * ANSWER_BYTES_MAX)
    else answerErrorForm(err)
  }
  demand(sizeOf(answers.filter(({ err }) => !err).map(({ res }) => res)) <= ANSWERS_BYTES_MAX, 'oracles has too many bytes')
}

function answerErrorForm (err) {
  const { name, message, code } = members(err, ['name', 'message', 'code'])
  demand([name, message, code].every((part) => typeof part === 'string'), "an oracle's error that is no text")
}

function checkAnswers (answers) {
  for (const { res, err } of answers) {
    if (err) checkAnswerError(err)
    else demand(encode(res).length <= ANSWER_BYTES_MAX, "an oracle's answer has too many bytes")
  }
}

function checkAnswerError ({ name, message, code }) {
  text(name, ANSWER_NAME_BYTES_MAX, 'oracles.err.name')
  text(message, ANSWER_MESSAGE_BYTES_MAX, 'oracles.err.message')
  demand(code !== 'unknown', 'an oracle was asked that is unknown')
  if (!ANSWER_CODES.includes(code)) throw new Unknown(`code of an oracle's error ${JSON.stringify(code.slice(0, 100))}`)
}

function effectsForm (effects) {
  demand(list(effects, EFFECTS_MAX, 'effects').length > 0, 'effects that are none')
  for (const effect of effects) {
    const { name, args } = members(effect, ['name', 'args'])
    demand(typeof name === 'string', 'effects.name is no text')
    argumentsForm(args, JSON_PER_CBOR * EFFECTS_BYTES_MAX)
  }
  demand(sizeOf(effects) <= EFFECTS_BYTES_MAX, 'effects has too many bytes')
}

const checkEffects = (effects) => effects.forEach(({ name }) => checkName(name))

const sizeOf = (values) => values.reduce((size, value) => size + encode(value).length, 0)

/** Returns whether what a call replaces, if it says so, is in its form: 1 to 8 nonces, ascending, each smaller than its own. */
export function isInsteadInForm ({ nonce, instead }) {
  if (instead === undefined) return true
  const numbers = [...instead, nonce]
  return instead.length >= 1 && instead.length <= INSTEAD_MAX && numbers.every((number, at) => at === 0 || numbers[at - 1] < number)
}
