// The connections behind a client, one after another: a link writes requests in their order, and gives each answer to its request. The
// server is not trusted: whatever it sends, every request ends.
//
// When a connection is lost while requests wait, another one is opened, greeted, and sent what was not answered, in the same order. What
// may not be repeated is given up, if it was sent. While nothing waits for an answer the link does nothing.

import { Channel } from './channel.js'
import { ClosedError, KnownLogsError, TrustError } from './errors.js'
import { lateError, Limit } from './limit.js'

/** The pauses between two attempts to connect, in milliseconds. A host that restarts is back sooner than a person notices. */
const PAUSE_MIN = 50
const PAUSE_MAX = 5000

/** How long one attempt may take, in milliseconds. */
const CONNECT_TIMEOUT = 10_000

/** The longest wait before a service that is starting is asked again, in milliseconds. */
const NOT_YET_MAX = 2000

/** How often a server that owes answers and is silent is asked for a sign of life, in milliseconds, and how often in vain. */
const PING_PERIOD = 10_000
const SILENCES_MAX = 3

export class Link {
  #open
  #on
  #channel = null
  #waiting = new Map()
  #nextId = 1
  #isReconnecting = false
  #pause = PAUSE_MIN
  #pings
  #silences = 0
  #ending = new AbortController()
  #events = { reply: (channel, reply) => this.#take(channel, reply), close: (channel, error) => this.#lose(channel, error) }

  /** `open` opens a socket. `on` has `greet(exchange)`, for each new connection, `reconnected()` and `ended(error)`. */
  constructor (open, on) {
    this.#open = open
    this.#on = on
    /** Why there is no connection, while there is none. */
    this.outage = undefined
    /** Why there will be none any more. */
    this.ended = undefined
  }

  /** Opens the first connection. While the service says that it is starting, it is asked again. */
  async begin (limit) {
    for (;;) {
      try {
        return this.#install(await this.#connect(limit))
      } catch (error) {
        if (error.code !== 'not-yet') throw error
        await limit.sleep(Math.min(error.retryAfter, NOT_YET_MAX))
      }
    }
  }

  /**
   * Makes a request, whose text `make` gives for an id, and waits for its answer. `isRepeated` says whether it may be sent again. `signal`
   * gives it up.
   */
  request (make, { isRepeated, signal }) {
    if (this.ended) return Promise.reject(this.ended)
    const id = this.#nextId++
    const waiting = { text: make(id), isRepeated, isSent: false }
    const answered = this.#wait(id, waiting, signal)
    if (this.#channel) this.#send(waiting)
    else this.#reconnect()
    return answered
  }

  /** Ends the link: whatever waits fails with this error. */
  end (error) {
    if (this.ended) return
    this.ended = error
    this.#ending.abort(error)
    this.#channel?.close()
    this.#channel = null
    clearInterval(this.#pings)
    this.#fail(error, () => true)
    this.#on.ended(error)
  }

  #wait (id, waiting, signal) {
    return new Promise((resolve, reject) => {
      const settle = (how) => (value) => {
        signal?.removeEventListener('abort', abort)
        this.#waiting.delete(id)
        how(value)
      }
      const abort = () => settle(reject)(signal.reason)
      Object.assign(waiting, { resolve: settle(resolve), reject: settle(reject) })
      this.#waiting.set(id, waiting)
      if (signal?.aborted) abort()
      else signal?.addEventListener('abort', abort)
    })
  }

  #send (waiting) {
    waiting.isSent = true
    this.#channel.send(waiting.text)
    this.#pings ??= setInterval(() => this.#ping(), PING_PERIOD)
  }

  #take (channel, { id, ...reply }) {
    if (channel !== this.#channel) return
    this.#pause = PAUSE_MIN
    // Whoever waited may have given up.
    this.#waiting.get(id)?.resolve(reply)
  }

  /** Opens a connection and greets the service over it. */
  async #connect (limit) {
    const attempt = new Limit({ timeout: CONNECT_TIMEOUT, signal: limit.signal, late: () => lateError('connecting', CONNECT_TIMEOUT) })
    try {
      const channel = await Channel.open(this.#open, attempt, this.#events)
      try {
        await this.#on.greet((method, params) => channel.exchange(method, params, attempt), attempt)
        if (channel.error) throw channel.error
        return channel
      } catch (error) {
        channel.cut()
        throw error
      }
    } finally {
      attempt.done()
    }
  }

  #install (channel) {
    if (this.ended) return channel.cut()
    this.#channel = channel
    this.#silences = 0
    this.outage = undefined
    for (const waiting of this.#waiting.values()) this.#send(waiting)
  }

  #lose (channel, error) {
    if (channel !== this.#channel) return
    this.#channel = null
    if (isFinal(error)) return this.end(error)
    this.outage = error
    this.#fail(error, ({ isSent, isRepeated }) => isSent && !isRepeated)
    this.#reconnect()
  }

  #fail (error, which) {
    for (const waiting of [...this.#waiting.values()].filter(which)) waiting.reject(error)
  }

  async #reconnect () {
    if (this.#isReconnecting) return
    this.#isReconnecting = true
    const limit = new Limit({ timeout: Infinity, signal: this.#ending.signal })
    try {
      while (this.#waiting.size > 0 && !this.#channel) await this.#tryAgain(limit)
    } catch (error) {
      this.end(error)
    } finally {
      limit.done()
      this.#isReconnecting = false
    }
  }

  async #tryAgain (limit) {
    await limit.sleep(this.#nextPause())
    try {
      this.#install(await this.#connect(limit))
    } catch (error) {
      if (this.ended || isFinal(error)) throw error
      this.outage = error
      return
    }
    this.#on.reconnected()
  }

  /** Returns a pause twice as long each time, less up to a half, so that the callers of one host do not come back all at once. */
  #nextPause () {
    const pause = this.#pause
    this.#pause = Math.min(2 * pause, PAUSE_MAX)
    return pause * (1 - Math.random() / 2)
  }

  #ping () {
    if (this.#waiting.size === 0 || !this.#channel) {
      clearInterval(this.#pings)
      this.#pings = undefined
      this.#silences = 0
      return
    }
    this.#silences = this.#channel.wasHeard ? 0 : this.#silences + 1
    this.#channel.wasHeard = false
    if (this.#silences === 0) return
    if (this.#silences <= SILENCES_MAX) return this.#channel.ping()
    const silent = this.#channel
    silent.cut()
    this.#lose(silent, new ClosedError('lost', 'the connection was lost: the server is silent'))
  }
}

/** Returns whether another connection would not help. */
const isFinal = (error) => error instanceof TrustError || error instanceof KnownLogsError || error.code === 'garbage'
