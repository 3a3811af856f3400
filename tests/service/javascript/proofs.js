// Makes proof files by chance, true ones, incomplete ones and damaged ones, of logs whose entries are well-formed or not, and judges them. Each line
// of standard output is `VERDICT HEX`, and so is each that is judged from standard input, where there is some.

import { ed25519 } from '@noble/curves/ed25519.js'

import { hex } from '../node_modules/libvms-client/src/bytes.js'
import { callBytes, callName, headBytes, refusalBytes } from '../node_modules/libvms-client/src/call.js'
import { decode, encode } from '../node_modules/libvms-client/src/cbor.js'
import { leaf, parent, rootsOf, treeHash } from '../node_modules/libvms-client/src/tree.js'
import { checkProof } from 'libvms-client/proof'

import { Dice } from './chance.js'

const [count, seed] = process.argv.slice(2).map(Number)
const dice = new Dice(seed)

const START = 1_700_000_000_000
const CLASSES = ['malformed-entry', 'wrong-order', 'time-went-back', 'bad-signature', 'repeated-nonce', 'repeated-call', 'stale-instead', 'stale-call', 'unknown-head']
const REASONS = ['early', 'stale-call', 'unknown-head', 'repeated-nonce', 'repeated-nonce', 'stale-call', 'busy', 'bad-signature', 'tired']
const STRANGE = [null, '', 'x', 0, 1, 2, 3, -1, 256, 2 ** 53, 2 ** 53 + 2, -(2 ** 53), 2n ** 62n, 2n ** 63n, 2n ** 64n - 1n, 1.5, true, false, [], {}, [1, 2], { a: 1 },
  new Uint8Array(16), new Uint8Array(32), new Uint8Array(64), 'init', 'call', 'epoch', 'upgrade', 'anchor', 'killed', 'fuel', 'tired', 'unknown', 'debug', 'signed',
  'a'.repeat(300), 'b'.repeat(1100), 'c'.repeat(17_000), -32_000, -32_769, ['a', 'b'], ['b', 'a'], [[]]]
const NAMES = ['v', 'type', 'nonce', 'seen', 'instead', 'sig', 'res', 'err', 'fault', 'files', 'from', 'oracles', 'effects', 'module', 'code', 'details', 'load', 'callAge', 'x', '']

const keyOf = (number) => {
  const secret = new Uint8Array(32).fill(number)
  const key = ed25519.getPublicKey(secret)
  return { secret, key, id: hex(key) }
}
const [host, other, ...callers] = [1, 2, 3, 4].map(keyOf)
const bytesOf = (length) => new Uint8Array(length).fill(dice.below(256))

// Logs.

const engine = { name: 'quickjs-ng', version: '0.16.2', build: 'disable-assertions', api: 1 }

function init () {
  const v = dice.oneIn(6) ? 1 : 2
  const isSigned = v === 2 && !dice.oneIn(4)
  const limits = { fuel: 1, memory: 1, stack: 1, output: 1, load: v === 2 ? 1 : undefined, callAge: isSigned ? 60_000 : undefined }
  const later = v === 2 && dice.oneIn(3) ? { module: true, oracles: ['ask', 'é'], effects: ['tell'] } : {}
  return { type: 'init', v, code: '', title: 't', files: bytesOf(32), blobs: bytesOf(32), auth: isSigned ? 'signed' : 'debug', at: START, engine, limits, ...later }
}

const files = () => ({ version: 2, hash: bytesOf(32), blobs: 1, blobsHash: bytesOf(32), from: { version: 1, blobs: 0 } })

function result () {
  return dice.pick([{}, { res: null }, { res: [1, 'a', { b: 0.5 }] }, { res: 1, files: files() }, { fault: 'fuel' }, { fault: 'killed' },
    { err: { name: 'E', message: 'm' } }, { err: { name: 'E', message: 'm', code: dice.pick([7, -5, 2 ** 52]), details: dice.pick([null, [1]]) } }])
}

function signedCall (log, at) {
  const { secret, id } = dice.pick(callers)
  const nonce = (at - dice.pick([0, 0, 1, 60_000, 60_001, -1])) * 1000 + dice.below(4)
  const length = dice.below(log.blocks.length + 2)
  const seen = dice.oneIn(2) ? undefined : { length, hash: dice.oneIn(4) || length > log.blocks.length ? bytesOf(32) : hashAt(log, length) }
  const instead = dice.oneIn(3) ? [nonce - 3, nonce - 2].slice(dice.below(2)) : dice.oneIn(8) ? dice.pick([[], [nonce], [nonce - 130_000_000], [2, 1]]) : undefined
  const call = { methodName: dice.pick(['f', 'f', 'f', 'init']), args: dice.pick([[], [1, 0.5], [{ a: [null] }]]), nonce, seen, instead }
  const sig = dice.oneIn(8) ? bytesOf(64) : ed25519.sign(callBytes({ ...call, log: host.key }), secret)
  return { ...call, userId: id, sig }
}

function call (log) {
  const at = Math.max(0, START + dice.pick([0, 1, 100, 60_000]) - (dice.oneIn(8) ? 1 : 0))
  const by = dice.oneIn(4) ? { userId: dice.pick([null, 'bob']), methodName: dice.pick(['f', 'init']), args: [] } : signedCall(log, at)
  const more = dice.oneIn(6) ? { oracles: [{ ask: bytesOf(16), res: 1 }, { ask: bytesOf(16), err: { name: 'OracleError', message: '', code: dice.pick(['timeout', 'tired']) } }], effects: [{ name: 'tell', args: [1] }] } : {}
  return { type: 'call', call: { at, ...by }, result: result(), ...more }
}

const entry = (log) => dice.oneIn(10) ? dice.pick([{ type: 'epoch', files: { ...files(), from: undefined } }, { type: 'upgrade', code: '', engine, limits: { fuel: 1, memory: 1, stack: 1, output: 1, load: 1 }, sig: bytesOf(64) }, init()]) : call(log)

/** Changes a part of an entry, however deep. */
function mutate (value) {
  const names = Object.keys(value).filter((name) => value[name] !== undefined)
  const name = names.length > 0 ? dice.pick(names) : 'x'
  const inner = value[name]
  const copy = Array.isArray(value) ? [...value] : { ...value }
  if (typeof inner === 'object' && inner !== null && !(inner instanceof Uint8Array) && !dice.oneIn(4)) copy[name] = mutate(inner)
  else if (dice.oneIn(4) && !Array.isArray(copy)) delete copy[name]
  else if (dice.oneIn(4) && !Array.isArray(copy)) copy[dice.pick(NAMES)] = dice.pick(STRANGE)
  else copy[name] = dice.pick(STRANGE)
  return copy
}

function block (entry) {
  const bytes = encode(dice.oneIn(3) ? mutate(entry) : entry)
  return dice.oneIn(12) ? damage(bytes) : bytes
}

function newLog () {
  const log = { blocks: [] }
  const first = init()
  log.blocks.push(dice.oneIn(4) ? block(first) : encode(first))
  for (let left = 2 + dice.below(6); left > 0; left--) log.blocks.push(dice.oneIn(10) ? log.blocks.at(-1) : block(entry(log)))
  return log
}

// Trees.

function nodeOf ({ blocks }, place) {
  if (place.height === 0) return leaf(place.first, blocks[Number(place.first)])
  const [left, right] = place.children().map((child) => nodeOf({ blocks }, child))
  return parent(place.index, left, right)
}

const hashAt = (log, length) => treeHash(rootsOf(BigInt(length)).map((place) => nodeOf(log, place)))

function headOf (log, by = host, length = log.blocks.length) {
  const head = { length, hash: hashAt(log, length) }
  return { ...head, log: by.key, sig: ed25519.sign(headBytes(head), by.secret) }
}

function pathOf (log, wanted, cut = log.blocks.length) {
  const visit = (place) => {
    const isCut = place.first < BigInt(cut) && BigInt(cut) < place.end
    const isWanted = wanted.some((block) => place.first <= BigInt(block) && BigInt(block) < place.end)
    if (!isCut && !isWanted) return [nodeOf(log, place)]
    return place.height === 0 ? [] : place.children().flatMap(visit)
  }
  return rootsOf(BigInt(log.blocks.length)).flatMap(visit)
}

// Proofs.

const proof = (kind, fields) => ({ type: 'proof', v: 1, kind, ...fields })
const sometimes = (odds, value, otherwise) => dice.oneIn(odds) ? value : otherwise

function inclusion (log, head) {
  const block = dice.below(log.blocks.length)
  return proof('inclusion', { checkpoint: head, block: sometimes(9, block + 1, block), entry: log.blocks[block], path: pathOf(log, [block]) })
}

function violation (log, head) {
  const block = sometimes(8, 0, dice.below(log.blocks.length))
  const name = dice.pick(CLASSES)
  const compares = ['time-went-back', 'repeated-nonce', 'repeated-call'].includes(name)
  const others = compares || dice.oneIn(10) ? [dice.below(Math.max(block, 1))] : []
  const blocks = [...new Set([...sometimes(12, [], [0]), ...others, ...sometimes(20, [], [block])])].sort((one, other) => one - other)
  const cut = name === 'unknown-head' ? cutOf(log, block) : undefined
  const entries = blocks.map((block) => ({ block, entry: log.blocks[block] }))
  return proof('violation', { checkpoint: head, class: sometimes(30, 'too-many-calls', name), block, entries, path: pathOf(log, blocks, cut) })
}

/** Returns the length that the call of an entry has seen, if that is what a proof is about. */
function cutOf (log, block) {
  const length = seenBy(log.blocks[block])
  return Number.isInteger(length) && length <= block && length <= log.blocks.length ? length : undefined
}

function seenBy (bytes) {
  try {
    return decode(bytes).call.seen.length
  } catch {
    return undefined
  }
}

function falseRefusal (log, head) {
  const { at, ...call } = { at: START, ...signedCall(log, START) }
  const reason = dice.pick(REASONS)
  const block = reason === 'repeated-nonce' && !dice.oneIn(8) ? dice.below(log.blocks.length + 1) : undefined
  const now = call.nonce + dice.pick([-1, 0, 1, 60_000_000, 61_000_000])
  const name = callName(callBytes({ ...call, log: host.key }), call.sig)
  const signed = { log: host.key, reason, now, block }
  const refusal = { ...signed, sig: dice.oneIn(12) ? bytesOf(64) : ed25519.sign(refusalBytes({ ...signed, call: name }), host.secret) }
  const blocks = [...new Set([0, ...block !== undefined && block < log.blocks.length ? [block] : []])]
  const withEntries = ['stale-call', 'repeated-nonce'].includes(reason) && !dice.oneIn(8)
  const evidence = withEntries ? { entries: blocks.map((block) => ({ block, entry: log.blocks[block] })), path: pathOf(log, blocks) } : {}
  const seen = call.seen && call.seen.length <= log.blocks.length ? headOf(log, host, call.seen.length) : head
  return proof('false-refusal', { call, refusal, checkpoint: sometimes(8, undefined, reason === 'unknown-head' ? seen : head), ...evidence })
}

function equivocation (log, head) {
  const changed = { blocks: log.blocks.map((block, number) => number === 1 && !dice.oneIn(4) ? Uint8Array.of(1) : block).slice(0, 1 + dice.below(log.blocks.length)) }
  const second = headOf(changed, sometimes(12, other, host))
  if (dice.oneIn(6)) {
    const forked = { length: head.length, hash: head.hash, fork: 1 }
    return proof('equivocation', { heads: [{ ...forked, log: host.key, sig: ed25519.sign(headBytes({ ...forked, fork: 1n }), host.secret) }] })
  }
  if (changed.blocks.length === log.blocks.length && dice.oneIn(2)) return proof('equivocation', { heads: [head, second] })
  const at = Math.min(changed.blocks.length, 1 + dice.below(log.blocks.length))
  const pathTo = (log) => log.blocks.length === at ? [] : pathOf(log, [], at)
  const parts = { at: sometimes(10, undefined, at), paths: sometimes(10, undefined, [pathTo(changed), pathTo(log)]) }
  return proof('equivocation', { heads: sometimes(20, [head], [second, head]), ...parts })
}

/** One of the ways in which bytes are damaged. */
function damage (bytes) {
  const list = Array.from(bytes)
  const at = dice.below(list.length)
  switch (dice.below(6)) {
    case 0: list.splice(at); break
    case 1: list.splice(at, 0, dice.below(256)); break
    case 2: list.splice(at, 1); break
    default: list[at] ^= 1 << dice.below(8)
  }
  return Uint8Array.from(list)
}

function file (log, head) {
  const made = dice.pick([inclusion, violation, violation, violation, falseRefusal, equivocation])(log, head)
  const bytes = encode(dice.oneIn(10) ? mutate(made) : made)
  return dice.oneIn(12) ? damage(bytes) : bytes
}

const tell = (bytes) => lines.push(`${checkProof(bytes).verdict} ${hex(bytes)}`)

const lines = []
while (lines.length < count) {
  const log = newLog()
  const head = headOf(log)
  for (let left = 40; left > 0; left--) tell(file(log, head))
}
let given = ''
for await (const chunk of process.stdin) given += chunk
for (const line of given.split('\n').filter(Boolean)) tell(Uint8Array.from(Buffer.from(line, 'hex')))
process.stdout.write(`${lines.join('\n')}\n`)
