// A log's key, and what it has signed.

import { equal, hex } from './bytes.js'
import { headBytes, isSameHead } from './call.js'
import { Verifier } from './ed25519.js'

/** Checks what one log's key has signed. Many answers are under one head, which is checked once. */
export class Log {
  #verifier
  #latest

  constructor (key) {
    this.key = key
    this.id = hex(key)
    this.#verifier = new Verifier(key)
  }

  verifies (message, sig) {
    return this.#verifier.verifies(message, sig)
  }

  isHeadSigned (head) {
    if (this.#latest && isSame(this.#latest, head)) return true
    const isSigned = equal(head.log, this.key) && this.verifies(headBytes(head), head.sig)
    if (isSigned) this.#latest = head
    return isSigned
  }
}

const isSame = (one, other) => isSameHead(one, other) && one.fork === other.fork && equal(one.sig, other.sig) && equal(one.log, other.log)
