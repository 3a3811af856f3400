// What a client reads of an entry: the call, its outcome, and the time. A log's auditors judge the rest of it.

import { equal } from './bytes.js'
import { decode } from './cbor.js'
import { ServiceError } from './errors.js'

/** The code of an error of the script that has none of its own. */
const SCRIPT_ERROR_CODE = -32000

/** Reads an entry: its `type`, and of a call `call` and `result`. Throws where it is none. */
export function readEntry (bytes) {
  const entry = decode(bytes)
  if (typeof entry?.type !== 'string') throw new TypeError('the entry has no type')
  if (entry.type === 'call' && !(isMap(entry.call) && isMap(entry.result))) throw new TypeError('the entry is not that of a call')
  return entry
}

const isMap = (value) => typeof value === 'object' && value !== null

/** Returns the time of an entry, in milliseconds since 1970; undefined where it has none. */
export function timeOf (entry) {
  const at = entry.type === 'call' ? entry.call.at : entry.at
  return Number.isSafeInteger(at) && at >= 0 ? at : undefined
}

/** Returns whether two calls have the same method and arguments, as encoded. */
export const isSameCall = (one, other) => one.methodName === other.methodName && isSameData(one.args, other.args)

/** Compares data of logs. */
export function isSameData (one, other) {
  if (one instanceof Uint8Array || other instanceof Uint8Array) {
    return one instanceof Uint8Array && other instanceof Uint8Array && equal(one, other)
  }
  if (typeof one !== 'object' || typeof other !== 'object' || one === null || other === null) return one === other
  const names = Object.keys(one)
  return Array.isArray(one) === Array.isArray(other) && names.length === Object.keys(other).length &&
    names.every((name) => Object.hasOwn(other, name) && isSameData(one[name], other[name]))
}

/** Returns the numbers of a call: its nonce and those that it replaces. */
export const numbersOf = (call) => [call.nonce, ...(Array.isArray(call.instead) ? call.instead : [])]

/** Returns the result of a call's entry, undefined where there is none. Throws a `ServiceError` where the call failed. */
export function resultOf (block, { result }) {
  const { res, err, fault } = result
  if (err !== undefined) throw scriptError(err)
  if (fault !== undefined) {
    throw new ServiceError('Fault', `the call was stopped: fault ${JSON.stringify(String(fault).slice(0, 100))}, in block ${block} of the log`)
  }
  return res
}

function scriptError ({ name, message, code = SCRIPT_ERROR_CODE, details }) {
  return new ServiceError(String(name), String(message), { code, details })
}
