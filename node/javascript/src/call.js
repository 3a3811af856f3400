// What callers and hosts sign (protocol/FORMAT.md, "Derived values").

import { concat, equal, u64le, unhex, utf8 } from './bytes.js'
import { encode } from './cbor.js'
import { verifies } from './ed25519.js'
import { hash } from './tree.js'

/** The greatest nonce, 2^53 - 1. */
export const NONCE_MAX = Number.MAX_SAFE_INTEGER

/** Numbers that a call may replace. */
export const INSTEAD_MAX = 8

/** `H(H("hypercore") || 00)`, with which a core's signed bytes begin. */
const TREE = unhex('9fac70b50ca14efc4e91c833b204e75b8b5aad8b5881bfc0adb5ef38a3275b9c', 32)

const CALL = utf8('libvms/call/1')
const REFUSAL = utf8('libvms/refusal/1')

/** Returns the bytes that a caller signs. `seen` and `instead` may be undefined. */
export const callBytes = ({ log, methodName, args, nonce, seen, instead }) =>
  concat(CALL, encode({ log, methodName, args, nonce, seen, instead }))

/** Returns the hash that names a call in a refusal. */
export const callName = (signed, sig) => hash(signed, sig)

/** Returns the bytes that a host signs to refuse a call. */
export const refusalBytes = ({ log, call, reason, now, block }) => concat(REFUSAL, encode({ log, call, reason, now, block }))

/** Returns the bytes that a log's key signs for a head. */
export const headBytes = ({ length, fork = 0n, hash }) => concat(TREE, hash, u64le(length), u64le(fork))

/** Returns whether a head is signed by its log. */
export const isHeadSigned = (head) => verifies(head.log, headBytes(head), head.sig)

/** Returns whether two heads are of one length and history. */
export const isSameHead = (one, other) => one.length === other.length && equal(one.hash, other.hash)
