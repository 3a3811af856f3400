// The numbers of signed calls: microseconds of the log's time, each greater than the one before.
//
// A call is good for a minute or so of the log's time, so its number must be of that time, which the host tells. A number far ahead of
// the true time would lock its key out until then, so a host's word alone is believed for 5 s only; beyond, an entry under a signed
// head must have shown the time.

import { NONCE_MAX } from './call.js'

/** How far ahead of this machine's clock a client signs by the host's word alone. */
const AHEAD_MAX = 5_000_000

/** Left between a number and the latest time that an entry has shown: room for the calls of a second. */
const ROOM = 1_000_000

const MICROS = 1000

/** Microseconds since 1970 by the clock of this machine. */
const ownClock = () => Date.now() * MICROS

/** A clock that only goes on, in microseconds. */
const monotonic = () => Math.floor(performance.now() * MICROS)

/** The last number, and what is known of the log's time, in microseconds since 1970. */
export class Nonces {
  #told
  #toldAt
  #shown = 0
  #ageMax

  /**
   * Begins with the last number that the key has used in the log, 0 if that is not known. `own` and `passing` are clocks, for tests.
   */
  constructor ({ last = 0, told, callAge, own = ownClock, passing = monotonic }) {
    Object.assign(this, { last, own, passing })
    this.#ageMax = callAge * MICROS
    this.tell(told)
  }

  /** Takes the log's time as the host tells it. */
  tell (told) {
    this.#told = told
    this.#toldAt = this.passing()
  }

  /** Takes the time of an entry under a signed head, in milliseconds: to the end of it, since a call may be signed within it. */
  show (at) {
    this.#shown = Math.max(this.#shown, at * MICROS + MICROS - 1)
  }

  /** Takes a number that another client with this key has used. */
  take (last) {
    this.last = Math.max(this.last, last)
  }

  /** Takes that the key has used greater numbers elsewhere. They are not after the log's time, nor is any that is signed here after what was shown of it. */
  overtaken () {
    this.take(Math.min(this.#logTime(), this.#bound() - 1))
  }

  /** Returns the number of a call that is signed now; undefined where the log's time is too far ahead of the clock here. */
  next () {
    const [log, bound] = [this.#logTime(), this.#bound()]
    const nonce = Math.max(log > bound ? bound - ROOM : log, this.last + 1)
    // A call that old would be refused, and one beyond the bound is not signed.
    if (nonce > bound || log - nonce > this.#ageMax) return undefined
    this.last = nonce
    return nonce
  }

  /** Returns both clocks, in milliseconds since 1970. */
  clocks () {
    return { own: Math.floor(this.own() / MICROS), log: Math.floor(Math.max(this.#logTime(), this.last) / MICROS) }
  }

  /** Returns how many milliseconds it takes, as far as is known, until the log's time is that of a number. */
  waitFor (nonce) {
    return Math.max(0, Math.ceil((nonce - this.#logTime()) / MICROS))
  }

  #bound () {
    return Math.min(Math.max(this.own() + AHEAD_MAX, this.#shown), NONCE_MAX)
  }

  #logTime () {
    return this.#told + this.passing() - this.#toldAt
  }
}
