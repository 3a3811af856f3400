// What a client knows of the log of its service: the newest head that it has verified, and the log's time.
//
// A head is verified when its signature holds and when it is shown to go on from the one before. All heads that a service shows, those of
// receipts too, must be parts of one history: two that are not are a fork, whose proof is kept.

import { compareHeads, FORK, GOES_ON } from './equivocation.js'
import { ForkError, TrustError, UnprovedError } from './errors.js'
import { checkGreeting } from './greeting.js'
import { Heads, STALE_PAUSE, STALE_TRIES } from './heads.js'
import { openReceipt } from './receipt.js'
import { headForm, words } from './wire.js'

export class Session {
  #on
  #distrust

  /** `on` has `head(head)`, and `forked(proof)`, which keeps a proof and returns its place, if there is one. */
  constructor ({ url, log, newest, nonces, isKeyed }, on) {
    Object.assign(this, { url, log, newest, nonces, isKeyed })
    this.#on = on
    this.heads = new Heads(this)
  }

  /** Throws once the log's key is known to have signed two histories. */
  checkTrust () {
    if (this.#distrust) throw this.#distrust
  }

  /** Takes a head that goes on from the newest one. */
  advance (head) {
    if (head.length === this.newest.length) return
    this.newest = head
    this.#on.head(head)
  }

  /**
   * Greets the service until it shows that its log goes on from the newest head that is known. `ask` makes a handshake.
   */
  async greet (ask, limit) {
    let pause = STALE_PAUSE
    for (let left = STALE_TRIES; ; left--) {
      const { newest } = this
      const greeting = this.read(await ask('handshake', [{ consistency: Number(newest.length) }], limit))
      if (await this.take(greeting)) return greeting
      if (left === 1) throw this.stale(newest, greeting.head)
      await limit.sleep(pause)
      pause *= 2
    }
  }

  /** Reads the answer to a handshake, whose log must be this one. */
  read (reply) {
    const greeting = checkGreeting(this.url, reply, this.log)
    if (greeting.log !== this.log) throw otherLog(this.url, this.log.id, greeting.log.id)
    if (this.isKeyed && !greeting.isSigned) throw notSigned(this.url)
    return greeting
  }

  /** Takes a greeting, whose nodes are to show how the log goes on from the newest head. Returns whether they do. */
  async take (greeting) {
    this.nonces.tell(greeting.now)
    return this.compare(this.newest, greeting.head, greeting.nodes)
  }

  /** Compares a head that is shown with a known one; advances where that was the newest. Returns whether the one goes on from the other. */
  async compare (known, shown, nodes) {
    const compared = compareHeads(known, shown, nodes)
    if (compared.found === FORK) throw await this.fork(compared.proof, [known, shown])
    if (compared.found === GOES_ON && known === this.newest) this.advance(shown)
    return compared.found === GOES_ON
  }

  /** Reads a receipt of this log, and takes the time that it shows. */
  async openReceipt (text) {
    let receipt
    try {
      receipt = openReceipt(text, this.log)
    } catch (error) {
      throw new UnprovedError('unproved', `the answer is not proved by a receipt, so the call may or may not have been executed: ${words(error.message)}`, { cause: error })
    }
    if (receipt.forked) throw await this.fork(receipt.forked.proof, [receipt.head])
    if (receipt.at !== undefined) this.nonces.show(receipt.at)
    return receipt
  }

  /** Takes the receipt of the log's latest entry, for its time; ignores one that does not hold. */
  showLatest (text) {
    try {
      const { at } = openReceipt(text, this.log)
      if (at !== undefined) this.nonces.show(at)
    } catch {}
  }

  /** Keeps the proof of a fork. From now on no call is signed. */
  async fork (proof, heads) {
    this.#distrust ??= forkError(this.log.id, proof, heads, await this.#on.forked(proof))
    return this.#distrust
  }

  stale (known, shown) {
    const [at, from] = [shown.length, known.length]
    return new TrustError('stale', `${this.url} is stale: it shows its log at length ${at}, and not that this goes on from length ${from}, which its key has signed before`)
  }
}

/** Returns the error of two histories. `kept` names the place of the proof. */
export function forkError (log, proof, heads, kept) {
  return new ForkError('fork', `the log ${log} has forked: its key has signed two histories${kept ? `. The proof is in ${kept}` : ''}`, { log, heads: heads.map(headForm), proof, kept })
}

export const notSigned = (url) => new TrustError('not-signed', `${url} believes any name (\`auth: "debug"\`), so a signature would prove nothing there: call it without a key`)

/** Returns the error of a service that writes another log. `known` names the place that has it otherwise. */
export function otherLog (url, expected, found, known) {
  const message = known
    ? `${url} writes log ${found} now; until now it was log ${expected}, as ${known} has it. Somebody else may answer there; ` +
      '`acceptNewKey: true` believes it from now on'
    : `${url} writes log ${found}, not log ${expected}`
  return new TrustError('other-log', message, { expected, found })
}
