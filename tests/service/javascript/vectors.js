// Reads the golden files of `fixtures/callers`, whose folder is named, and FORMAT.md's examples: what other implementations have made, for
// which this one must say the same.

import { readFileSync } from 'node:fs'
import { join } from 'node:path'

import { hex, unbase64url } from '../node_modules/libvms-client/src/bytes.js'
import { callBytes, refusalBytes } from '../node_modules/libvms-client/src/call.js'
import { argumentsOf } from '../node_modules/libvms-client/src/data.js'
import { verifies } from '../node_modules/libvms-client/src/ed25519.js'
import { checkProof } from 'libvms-client/proof'

import { holds, same } from './check.js'

const [callers, format] = process.argv.slice(2)

// Numbers of 64 bits lose nothing in a BigInt.
const read = (name) => JSON.parse(readFileSync(join(callers, name), 'utf8').replace(/: ?(\d{17,})/g, ':"$1n"'), big)
const big = (_, value) => typeof value === 'string' && /^\d{17,}n$/.test(value) ? BigInt(value.slice(0, -1)) : value
const bytes = (text) => Uint8Array.from(Buffer.from(text, 'hex'))

let cases = 0
function each (list, check) {
  holds(list.length > 1, 'there are cases')
  for (const one of list) {
    check(one)
    cases++
  }
}

each(read('signatures.json').cases, ({ name, key, message, sig, holds }) => same(verifies(bytes(key), bytes(message), bytes(sig)), holds, name))

const { log, nonce, cases: lists, refused } = read('arguments.json')
each(lists, ({ name, params, signed }) => {
  same(hex(callBytes({ log: bytes(log), methodName: 'f', args: argumentsOf(JSON.parse(params)), nonce })), signed, name)
})
each(refused, ({ name, params }) => {
  let isSigned = true
  try {
    argumentsOf(JSON.parse(params))
  } catch {
    isSigned = false
  }
  same(isSigned, false, name)
})

each(read('refusals.json').cases, ({ name, log, call, reason, now, block, sig, holds }) => {
  same(verifies(bytes(log), refusalBytes({ log: bytes(log), call: bytes(call), reason, now, block }), bytes(sig)), holds, name)
})

const calls = read('calls.json')
each(calls.cases.filter(({ expect }) => expect === 'ok'), ({ name, call, sig, message }) => {
  const { methodName, args, nonce, instead } = call
  const seen = call.seen && { length: call.seen.length, hash: bytes(call.seen.hash) }
  const signed = callBytes({ log: bytes(calls.log), methodName, args, nonce, seen, instead })
  same([hex(signed), verifies(bytes(calls.caller), signed, bytes(sig))], [message, true], name)
})

const receipts = read('receipts.json')
each(receipts.cases, ({ length, block, receipt }) => {
  const checked = checkProof(unbase64url(receipt), { log: receipts.log })
  same([checked.verdict, checked.length, checked.block], ['holds', length, block])
  each(receipts.cases.slice(0, 2), () => same(checkProof(unbase64url(receipt), { log: '00'.repeat(32) }).verdict, 'fails', 'another key'))
})
each(receipts.judged, ({ name, receipt, verdict }) => same(checkProof(unbase64url(receipt), { log: receipts.log }).verdict, verdict, name))

const examples = [...readFileSync(format, 'utf8').matchAll(/### (proof of [a-z-]+)[^]*?```hex\n([^]*?)```/g)]
each(examples, ([, name, dump]) => same(checkProof(bytes(dump.replace(/#.*$/gm, '').replace(/\s/g, ''))).verdict, 'holds', name))

console.log(`${cases} cases`)
