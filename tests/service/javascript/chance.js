// Chance out of a seed: the same on every machine.

export class Dice {
  #state

  constructor (seed) {
    this.#state = seed >>> 0 || 1
  }

  /** Returns an integer below `bound` (xorshift32). */
  below (bound) {
    let x = this.#state
    x ^= x << 13
    x ^= x >>> 17
    x ^= x << 5
    this.#state = x >>> 0
    return this.#state % bound
  }

  /** Returns whether one of so many throws is good. */
  oneIn (count) {
    return this.below(count) === 0
  }

  pick (list) {
    return list[this.below(list.length)]
  }

  /** Returns any number of 64 bits that a float can be. */
  float () {
    const view = new DataView(new ArrayBuffer(8))
    view.setUint32(0, this.below(2 ** 32))
    view.setUint32(4, this.below(2 ** 32))
    return view.getFloat64(0)
  }
}
