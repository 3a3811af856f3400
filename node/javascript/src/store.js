// Where a client remembers what it knows of logs: a place of the platform, or an object of the application.

import { Known } from './known.js'

/** One of the application's objects, or a platform's own place (`ownStore`). All clients of one object take turns. */
const turns = new WeakMap()

export class Store {
  #place

  /** `place` has `read` and `write`, and may have `name`, `lock`, `readProof` and `keepProof`: see `KnownStore` in `index.d.ts`. */
  constructor (place) {
    this.#place = place
  }

  get name () {
    return this.#place.name ?? 'what the application remembers'
  }

  /** What platforms keep beside: numbers and calls. Undefined where there is nothing for them. */
  get calls () {
    return this.#place.calls
  }

  async read () {
    return new Known(await this.#place.read() ?? '', this.name)
  }

  /** Changes what is known, which no other client changes meanwhile. */
  async change (change) {
    return this.#lock(async () => {
      const known = await this.read()
      const before = known.text()
      const changed = change(known)
      const text = known.text()
      if (text !== before) await this.#place.write(text)
      return changed
    })
  }

  /** Keeps the proof of a fork, unless one is kept already. */
  async keepFork (log, proof) {
    await this.#place.keepProof?.(nameOfFork(log), proof)
  }

  /** Returns the kept proof of a fork. */
  async fork (log) {
    return this.#place.readProof?.(nameOfFork(log))
  }

  /** Returns where the proof of a fork is kept; undefined where none is. */
  placeOfFork (log) {
    return this.#place.placeOfProof?.(nameOfFork(log))
  }

  async #lock (work) {
    if (this.#place.lock) return this.#place.lock(work)
    const before = turns.get(this.#place) ?? Promise.resolve()
    const mine = before.then(work)
    turns.set(this.#place, mine.catch(() => {}))
    return mine
  }
}

/** Returns a head as `Known` has it. */
export const knownHead = (log, head) => ({ ...head, id: log.id })


const nameOfFork = (log) => `fork-${log}.proof`
