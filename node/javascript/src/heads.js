// Comparing the heads that a service shows in receipts: all must belong to the one history that is known.

import { isSameHead } from './call.js'
import { FORK, GOES_ON } from './equivocation.js'
import { compareReceipt } from './receipt.js'

/** How often a stale head is asked for again, and the first pause before that in milliseconds. A copy that lags behind catches up. */
export const STALE_TRIES = 3
export const STALE_PAUSE = 200

/** Heads that are compared at a time. */
const HEADS_AT_ONCE = 8

/** How often heads are compared again because the log has grown between two answers. */
const ROUNDS_MAX = 50

export class Heads {
  #session
  /** Heads that are not yet shown to belong to the known history. */
  #open = []
  #turn = Promise.resolve()

  constructor (session) {
    this.#session = session
  }

  /**
   * Checks that the head of a receipt is a part of the history that is known, or goes on from it. `ask` makes a handshake among other
   * requests; `limit` ends the waiting.
   */
  async checkReceipt (receipt, ask, limit) {
    const session = this.#session
    const compared = compareReceipt(receipt, session.newest)
    if (compared?.found === FORK) throw await session.fork(compared.proof, [session.newest, receipt.head])
    if (compared?.found === GOES_ON) return session.advance(receipt.head)
    await this.check(receipt.head, ask, limit)
  }

  /** Checks a head by asking how it stands to the newest one. Calls that wait for that are answered together. */
  async check (head, ask, limit) {
    if (!this.#has(head)) this.#open.push(head)
    const before = this.#turn
    const mine = before.then(() => this.#compare(head, ask, limit))
    this.#turn = mine.catch(() => {})
    await limit.race(mine)
  }

  async #compare (head, ask, limit) {
    const session = this.#session
    let stale = 0
    for (let round = 0; round < ROUNDS_MAX; round++) {
      session.checkTrust()
      this.#open = this.#open.filter((open) => !isSameHead(open, session.newest))
      if (!this.#has(head)) return
      const shown = await this.#compareOnce(head, ask, limit)
      if (!shown) continue
      if (stale === STALE_TRIES) throw session.stale(head, shown)
      await limit.sleep(STALE_PAUSE * 2 ** stale++)
    }
    throw session.stale(head, session.newest)
  }

  /**
   * Asks how the log has grown out of the newest head and out of each open one, all at once: the service's head is then most likely the
   * same in all answers. Returns its head where it is stale.
   */
  async #compareOnce (head, ask, limit) {
    const session = this.#session
    const known = session.newest
    const heads = [head, ...this.#open.filter((open) => !isSameHead(open, head))].slice(0, HEADS_AT_ONCE)
    const asked = [known, ...heads].map(({ length }) => ask('handshake', [{ consistency: Number(length) }], limit))
    const [first, ...others] = (await Promise.all(asked)).map((reply) => session.read(reply))
    let stale = await session.compare(known, first.head, first.nodes) ? undefined : first.head
    for (const [at, greeting] of others.entries()) {
      if (!await session.compare(heads[at], greeting.head, greeting.nodes)) stale = greeting.head
      else if (isSameHead(session.newest, greeting.head)) this.#open = this.#open.filter((open) => !isSameHead(open, heads[at]))
    }
    return stale
  }

  #has (head) {
    return this.#open.some((open) => isSameHead(open, head))
  }
}
