// What a client remembers between two runs: the newest head, the last nonce.

import { knownHead } from './store.js'

/** How often the newest head is remembered while calls are made, in milliseconds. */
const PERIOD = 1000

/** Clients that remember heads of the same log at the same time. */
const TRIES = 10

export class Memory {
  #store
  #name
  #key
  #stored
  #storedAt = performance.now()
  #turn = Promise.resolve()

  /** `name` is that of the service, undefined where its log was named beside the URL; `stored` the head that was remembered. */
  constructor ({ store, name, key, stored }) {
    this.#store = store
    this.#name = name
    this.#key = key
    this.#stored = stored
  }

  /** Remembers the newest head and the last nonce, if that was not done a moment ago. */
  async keepSometimes (session, ask, limit) {
    if (performance.now() - this.#storedAt >= PERIOD) await this.keep(session, ask, limit)
  }

  /** Remembers the newest head and the last nonce. */
  async keep (session, ask, limit) {
    this.#storedAt = performance.now()
    const mine = this.#turn.then(() => this.#keep(session, ask, limit))
    this.#turn = mine.catch(() => {})
    return mine
  }

  async #keep (session, ask, limit) {
    for (let left = TRIES; left > 0; left--) {
      const newest = knownHead(session.log, session.newest)
      const { last } = session.nonces
      const other = await this.#store.change((known) => {
        if (this.#key && last > 0) known.storeNonce(this.#key, session.log.id, last)
        return known.store(this.#name, newest, this.#stored)
      })
      // Another client has seen the other one. It must belong to the same history.
      if (other) await session.heads.check(other, ask, limit)
      this.#stored = other ?? newest
      if (!other) return
    }
  }
}
