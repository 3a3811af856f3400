// The time that something may take, and the signal that ends it.

import { ClosedError } from './errors.js'

/** The longest time of the platforms' timers, in milliseconds. */
const TIMER_MAX = 2 ** 31 - 1

/** Ends what waits when the time is over, or when a signal says so. */
export class Limit {
  #controller = new AbortController()
  #timer
  #outer
  #end
  #stop = () => this.#controller.abort(this.#outer.reason)

  /** `late` gives the error of what takes longer than `timeout`, in milliseconds. */
  constructor ({ timeout, signal, late }) {
    this.#end = performance.now() + timeout
    if (signal?.aborted) return this.#controller.abort(signal.reason)
    this.#outer = signal
    signal?.addEventListener('abort', this.#stop)
    if (timeout < TIMER_MAX) this.#timer = setTimeout(() => this.#controller.abort(late()), timeout)
  }

  /** The milliseconds that are left. */
  get left () {
    return this.#end - performance.now()
  }

  get signal () {
    return this.#controller.signal
  }

  /** Waits for a promise. */
  async race (promise) {
    const { signal } = this
    signal.throwIfAborted()
    return new Promise((resolve, reject) => {
      const abort = () => reject(signal.reason)
      signal.addEventListener('abort', abort)
      Promise.resolve(promise).then(resolve, reject).finally(() => signal.removeEventListener('abort', abort))
    })
  }

  /** Waits for some milliseconds. */
  async sleep (millis) {
    let timer
    try {
      await this.race(new Promise((resolve) => { timer = setTimeout(resolve, Math.min(millis, TIMER_MAX)) }))
    } finally {
      clearTimeout(timer)
    }
  }

  /** Ends the timer. */
  done () {
    clearTimeout(this.#timer)
    this.#outer?.removeEventListener('abort', this.#stop)
  }
}

/** Returns the error of what has taken too long. */
export const lateError = (what, timeout, cause) => new ClosedError('timeout', `${what} took more than ${timeout} ms${cause ? `: ${cause.message}` : ''}`, { cause })
