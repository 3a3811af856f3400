// Signed calls: each intention is executed once, and its answer is what the log says.
//
// A call is sent again as it is while the service cannot be reached, closes, is busy, or has not come to the call's time: a host executes
// the same call once. It is signed again where it can no longer be executed as it is, in the place of all that were signed for the
// intention before.

import { resultOf } from './entry.js'
import { ClockError, RefusedError, ServiceError, UnprovedError } from './errors.js'
import { FOREIGN, Intention, OURS } from './intention.js'
import { readRefusal } from './refusal.js'
import { callerForm, request, words } from './wire.js'

/** The least time before a call is sent again as it is, so that no host makes us send without end; and the longest. In milliseconds. */
const AGAIN_MIN = 20
const AGAIN_MAX = 1000

/** The least time before a call that was overtaken a second time is signed again. A log's time has a millisecond's steps. */
const OVERTAKEN_MIN = 1

/** How often one call is sent as it is: a host that says `early` for ever must not keep it for ever. */
const SENDINGS_MAX = 10_000

/** Signs calls one after another, so that their numbers leave in ascending order. */
export class Signer {
  #client
  #turn = Promise.resolve()

  /** `client` has `session`, `link`, `key`, `ask`, and `calls`, which keeps what has no answer. */
  constructor (client) {
    this.#client = client
  }

  /** Makes a signed call, and returns the receipt of its entry. */
  async call ({ id, methodName, args, signed }, limit) {
    const { session, key } = this.#client
    const intention = new Intention({ log: session.log, key, methodName, args, signed })
    const calling = new Calling(this.#client, this, { id, intention }, limit)
    let isAnswered = false
    try {
      const receipt = await calling.run()
      isAnswered = true
      return receipt
    } catch (error) {
      isAnswered = error instanceof RefusedError
      throw error
    } finally {
      await this.#client.calls?.settle(id, isAnswered)
    }
  }

  /** Takes a turn: those who sign and send wait for each other. */
  async inTurn (work, limit) {
    const mine = this.#turn.then(() => {
      limit.signal.throwIfAborted()
      return work()
    })
    this.#turn = mine.catch(() => {})
    return mine
  }
}

class Calling {
  #client
  #signer
  #call
  #intention
  #limit
  /** Whether it was signed again by itself, which happens once. */
  #wasSignedAgain = false
  #pause = AGAIN_MIN
  #overtakenPause = 0

  constructor (client, signer, call, limit) {
    this.#client = client
    this.#signer = signer
    this.#call = call
    this.#intention = call.intention
    this.#limit = limit
  }

  async run () {
    // What an earlier run has signed may stand in the log.
    let sent = this.#intention.signed.length > 0 ? this.#send(this.#intention.signed.at(-1)) : await this.#sign()
    for (let left = SENDINGS_MAX; ; left--) {
      const next = await this.#judge(await sent.answered, sent.call)
      if (next.receipt) return next.receipt
      if (left === 0 || (next.isSigned && !this.#intention.maySign)) throw next.why
      await this.#wait(next)
      sent = next.isSigned ? await this.#sign() : this.#send(sent.call)
    }
  }

  /** Waits before the next attempt. Whose time would be over then is told why there is none. */
  async #wait ({ after, why }) {
    if (after >= this.#limit.left) throw why
    if (after > 0) await this.#limit.sleep(after)
  }

  async #sign () {
    const { ask, session } = this.#client
    try {
      return await this.#signer.inTurn(() => this.#trySign(), this.#limit)
    } catch (error) {
      if (!(error instanceof ClockError)) throw error
      const { nodes, head, now, latest } = session.read(await ask('handshake', [{ consistency: Number(session.newest.length), latest: true }], this.#limit))
      await session.take({ nodes, head, now })
      session.showLatest(latest)
      return this.#signer.inTurn(() => this.#trySign(), this.#limit)
    }
  }

  async #trySign () {
    const { session, calls, key } = this.#client
    session.checkTrust()
    const next = (last) => {
      session.nonces.take(last)
      return session.nonces.next()
    }
    const nonce = calls ? await calls.reserve(key.id, session.log.id, next) : next(0)
    if (nonce === undefined) throw clockError(session.nonces.clocks())
    const call = await this.#intention.sign(nonce, session.newest)
    await this.#keep()
    return this.#send(call)
  }

  /** Keeps the call before it leaves, so that it is not forgotten with this page. */
  async #keep () {
    const { calls, key, session } = this.#client
    const { methodName, args, signed } = this.#intention
    await calls?.keep(this.#call.id, { key: key.id, log: session.log.id, methodName, args, signed })
  }

  #send (call) {
    const { methodName, args } = this.#intention
    const make = (id) => request(id, methodName, args, { caller: callerForm(call), receipt: true })
    const answered = this.#client.link.request(make, { isRepeated: true, signal: this.#limit.signal })
    // Whoever waits for the turn of others looks at it later.
    answered.catch(() => {})
    return { call, answered }
  }

  /** Decides by an answer. What stands beside a receipt is not read. */
  async #judge ({ receipt, error, refusal }, call) {
    const { session, ask } = this.#client
    if (receipt !== undefined) {
      const opened = await session.openReceipt(receipt)
      await session.heads.checkReceipt(opened, ask, this.#limit)
      return this.#take(opened)
    }
    if (!refusal) throw unproved(error ? error.message : 'it has a result and no receipt')
    return this.#act(this.#read(refusal, error, call), call)
  }

  #read (refusal, error, call) {
    try {
      return readRefusal(refusal, error, this.#client.session.log, call)
    } catch (cause) {
      throw unproved(`its refusal cannot be read: ${cause.message}`, cause)
    }
  }

  /** Takes the receipt of an entry, which may be that of any call that was signed for the intention. */
  #take (receipt) {
    const { number, entry } = receipt
    if (entry.type !== 'call') throw unproved(`the receipt is of block ${number}, which is no call`)
    const whose = this.#intention.compare(entry.call)
    if (whose === OURS) return { receipt }
    if (whose === FOREIGN) throw unproved(`the receipt is that of another call, in block ${number}`)
    const message = `the host has not executed the call: another call of this key, in block ${number}, has its number`
    return { isSigned: true, after: 0, why: new RefusedError('refused', message, { reason: 'repeated-nonce', block: number }) }
  }

  /** Decides by a refusal. */
  async #act (refusal, call) {
    const { session } = this.#client
    const { reason, now, latest, error: why } = refusal
    if (now !== undefined) session.nonces.tell(now)
    if (latest !== undefined) session.showLatest(latest)
    switch (reason) {
      case 'early':
        return { after: Math.max(session.nonces.waitFor(call.nonce), AGAIN_MIN), why }
      case 'closing':
      case 'busy':
        return { after: this.#nextPause(), why }
      // The call that stands in the way has a greater number, or the same one. In the first case the next number is greater, since the log's
      // time has come to both. In the second the host answers the next call, which has that number in `instead`, with the entry of the other.
      case 'repeated-nonce':
        session.nonces.overtaken()
        return { isSigned: true, after: this.#nextOvertakenPause(), why }
      case 'unknown-head':
      case 'old-head':
        await this.#compareHeads(refusal, call)
        return this.#signAgain(why)
      case 'stale-call':
        return this.#signAgain(why)
      default:
        throw why
    }
  }

  #signAgain (why) {
    if (this.#wasSignedAgain) throw why
    this.#wasSignedAgain = true
    return { isSigned: true, after: 0, why }
  }

  /** Compares the head by which a call was signed with the one that the host shows instead, and asks for the newest. */
  async #compareHeads ({ head, nodes }, call) {
    const { session, ask } = this.#client
    if (head && session.log.isHeadSigned(head)) await session.compare(call.head, head, nodes)
    await session.greet(ask, this.#limit)
  }

  /** Returns how long to wait before an overtaken call is signed again: not at all, then ever longer. */
  #nextOvertakenPause () {
    const pause = this.#overtakenPause
    this.#overtakenPause = 2 * pause + OVERTAKEN_MIN
    return pause
  }

  #nextPause () {
    const pause = this.#pause
    this.#pause = Math.min(2 * pause, AGAIN_MAX)
    return pause
  }
}

/** Returns the answer that the log has of a call. Throws the error that stands there, with its place. */
export function answerOf ({ number, entry, file }) {
  const proof = { receipt: file, block: number }
  try {
    return { result: resultOf(number, entry), ...proof }
  } catch (error) {
    throw error instanceof ServiceError ? Object.assign(error, proof) : error
  }
}

/** Returns the error of an answer that proves nothing. */
export const unproved = (why, cause) =>
  new UnprovedError('unproved', `the answer is not proved by a receipt, so the call may or may not have been executed: ${words(why)}`, { cause })

const clockError = ({ own, log }) => new ClockError('clock',
  `the clock here says ${own} ms since 1970, the service's log ${log} ms, and no entry of the log shows such a time: one of the two clocks ` +
  'is wrong, and nothing was signed', { own, log })
