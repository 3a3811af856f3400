// One intention of a caller, and all the calls that were signed for it. The log executes at most one of them.

import { unhex } from './bytes.js'
import { callBytes, INSTEAD_MAX } from './call.js'
import { verifies } from './ed25519.js'
import { isSameCall, isSameData, numbersOf } from './entry.js'

/** Whose the call of an entry is: one of the intention's, whose outcome is the answer; */
export const OURS = 'ours'
/** another call of the same key, which has taken some of our numbers: none of ours that have them can be executed any more; */
export const OTHER_OF_KEY = 'other-of-key'
/** or one that has nothing to do with the intention. */
export const FOREIGN = 'foreign'

export class Intention {
  #log
  #key
  /** Their numbers that no other call has taken, ascending. */
  #open = []

  /** `signed` are calls of an earlier run, which may still be executed. */
  constructor ({ log, key, methodName, args, signed = [] }) {
    Object.assign(this, { methodName, args })
    this.#log = log
    this.#key = key
    /** All calls that were signed for it, the latest last. */
    this.signed = signed
    this.#open = signed.map(({ nonce }) => nonce)
  }

  /** Returns whether another call may be signed for it: a call replaces so many others at most. */
  get maySign () {
    return this.#open.length <= INSTEAD_MAX
  }

  /** Signs a call that replaces all before it, by a caller who has seen this head. */
  async sign (nonce, head) {
    const seen = { length: head.length, hash: head.hash }
    const instead = this.#open.length > 0 ? [...this.#open] : undefined
    const { methodName, args } = this
    const bytes = callBytes({ log: this.#log.key, methodName, args, nonce, seen, instead })
    const call = { key: this.#key.id, nonce, seen, instead, sig: await this.#key.sign(bytes), bytes, head }
    this.signed.push(call)
    this.#open.push(nonce)
    return call
  }

  /** Tells whose the call of an entry is. Numbers that another call of the key holds need not be replaced any more. */
  compare (call) {
    if (call.userId !== this.#key.id) return FOREIGN
    if (isSameCall(call, this) && this.signed.some((ours) => isSameSigned(call, ours))) return OURS
    const held = numbersOf(call)
    const open = this.#open.filter((number) => !held.includes(number))
    // A call that nobody has signed takes no numbers, even where it stands in a log.
    if (open.length === this.#open.length || !this.#isSigned(call)) return FOREIGN
    this.#open = open
    return OTHER_OF_KEY
  }

  #isSigned ({ methodName, args, nonce, seen, instead, sig }) {
    if (!(sig instanceof Uint8Array)) return false
    return verifies(unhex(this.#key.id, 32), callBytes({ log: this.#log.key, methodName, args, nonce, seen, instead }), sig)
  }
}

const isSameSigned = (call, { nonce, seen, instead, sig }) => isSameData(call.nonce, nonce) && isSameData(call.sig, sig) &&
  isSameData(call.seen, seen && { length: Number(seen.length), hash: seen.hash }) && isSameData(call.instead, instead)
