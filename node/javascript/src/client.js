// A client of one service: its session with the service's log, its link, and what it remembers.

import { callAnonymously } from './anonymous.js'
import { hex } from './bytes.js'
import { argumentsOf, dataOf } from './data.js'
import { judgeEquivocation, readEquivocation } from './equivocation.js'
import { ClosedError } from './errors.js'
import { checkGreeting } from './greeting.js'
import { Known } from './known.js'
import { lateError, Limit } from './limit.js'
import { Link } from './link.js'
import { Memory } from './memory.js'
import { Nonces } from './nonces.js'
import { forkError, notSigned, otherLog, Session } from './session.js'
import { answerOf, Signer } from './signing.js'
import { request } from './wire.js'

export class Client {
  #options
  #place
  #store
  #known
  #memory
  #signer = new Signer(this)
  #events

  /** `events` has `head`, `reconnected` and `ended`. `openSocket` and `store` are those of the platform. */
  constructor ({ place, options, openSocket, store, events }) {
    this.#options = options
    this.#place = place
    this.#store = store
    this.#events = events
    this.key = options.key
    this.calls = store?.calls
    this.user = place.user
    /** Whether answers need a receipt. */
    this.wantsReceipt = this.hasLog
    this.link = new Link((on) => openSocket(place.url, on), {
      greet: (exchange, limit) => this.#greet(exchange, limit),
      reconnected: () => events.reconnected(),
      ended: (error) => events.ended(error)
    })
  }

  /** Whether the service's log is compared: for callers who sign, who name it, or who want receipts. */
  get hasLog () {
    return Boolean(this.key || this.#place.log || this.#options.require === 'receipt')
  }

  /** Connects. */
  async begin (limit) {
    this.#known = await this.#store?.read() ?? new Known('', '')
    await this.link.begin(limit)
    this.#known = undefined
    try {
      await this.remember(limit)
    } catch (error) {
      this.link.end(error)
      throw error
    }
  }

  /** Makes a request that may be repeated, and returns its answer. */
  ask = (method, params, limit) => this.link.request((id) => request(id, method, params), { isRepeated: true, signal: limit.signal })

  /** Makes a call, and returns its answer. */
  async call (methodName, args, { signal, timeout = this.#options.timeout } = {}) {
    const call = { id: crypto.randomUUID(), methodName: dataOf(String(methodName)), args: argumentsOf(args) }
    return this.within({ signal, timeout }, (limit) => this.key ? this.resume(call, limit) : callAnonymously(this, call, limit))
  }

  /** Makes a signed call, which an earlier run may have signed already. */
  async resume (call, limit) {
    const answer = await this.#signer.call(call, limit)
    await this.#memory?.keepSometimes(this.session, this.ask, limit)
    return answerOf(answer)
  }

  /** Does something within a limit of time. */
  async within ({ signal, timeout = this.#options.timeout }, work) {
    const limit = new Limit({ timeout, signal, late: () => lateError('the call', timeout, this.link.outage) })
    try {
      limit.signal.throwIfAborted()
      return await work(limit)
    } finally {
      limit.done()
    }
  }

  /** Remembers the newest head and the last nonce. */
  async remember (limit) {
    await this.#memory?.keep(this.session, this.ask, limit)
  }

  /** Ends the connection. What waits fails. */
  async close () {
    if (this.link.ended) return
    try {
      // Who has to know whether it is remembered asks before.
      await this.within({ timeout: CLOSE_TIMEOUT }, (limit) => this.remember(limit))
    } catch {}
    this.link.end(new ClosedError('closed', 'the connection is closed'))
  }

  async #greet (exchange, limit) {
    if (!this.hasLog) return
    if (this.session) await this.session.greet(exchange, limit)
    else await this.#begin(exchange, limit)
  }

  /** Asks the service for its log, and compares that with what is known. */
  async #begin (exchange, limit) {
    const { url, name, log: named } = this.#place
    const remembered = named ? undefined : this.#known.logOf(name)
    const expected = named ?? remembered
    const head = expected && this.#known.headOf(expected)
    const greeting = checkGreeting(url, await exchange('handshake', [head ? { consistency: Number(head.length) } : {}]))
    const { log } = greeting
    if (expected && expected !== log.id && (named || !this.#options.acceptNewKey)) {
      throw otherLog(url, expected, log.id, named ? undefined : this.#store.name)
    }
    if (this.key && !greeting.isSigned) throw notSigned(url)
    await this.#checkKeptFork(log.id)
    const stored = this.#known.headOf(log.id)
    const session = this.#newSession(greeting, stored)
    if (!await session.take(greeting)) await session.greet(exchange, limit)
    this.session = session
    if (this.#store) this.#memory = new Memory({ store: this.#store, name: named ? undefined : name, key: this.key?.id, stored })
  }

  #newSession ({ log, head, now, callAge }, stored) {
    const last = this.key ? this.#known.nonceOf(this.key.id, log.id) : 0
    const nonces = new Nonces({ last, told: now, callAge })
    const about = { url: this.#place.url, log, newest: stored ?? head, nonces, isKeyed: Boolean(this.key) }
    return new Session(about, { head: (head) => this.#events.head(head), forked: (proof) => this.#keepFork(log.id, proof) })
  }

  /** Keeps the proof of a fork, and returns its place. What cannot be kept is still in the error. */
  async #keepFork (log, proof) {
    try {
      await this.#store?.keepFork(log, proof)
      return this.#store?.placeOfFork(log)
    } catch {}
  }

  /** Throws if a fork of the log was found in an earlier run. A file that proves nothing convicts nobody. */
  async #checkKeptFork (log) {
    const file = await this.#store?.fork(log)
    const heads = file && forkIn(file, log)
    if (heads) throw forkError(log, file, heads, this.#store.placeOfFork(log))
  }
}

/** Returns the heads of a proof that this log has forked; undefined where the file proves no such thing. */
function forkIn (file, log) {
  try {
    const proof = readEquivocation(file)
    judgeEquivocation(proof)
    return hex(proof.log) === log ? proof.heads : undefined
  } catch {
    return undefined
  }
}

/** How long what is known may take to be kept when a client closes, in milliseconds. */
const CLOSE_TIMEOUT = 2000
