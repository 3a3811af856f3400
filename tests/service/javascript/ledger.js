// A host in memory whose callers sign: it keeps the rules of such logs, and breaks those that a test wants it to.

import { ed25519 } from '@noble/curves/ed25519.js'
import { WebSocketServer } from 'ws'

import { base64url, hex, unhex } from '../node_modules/libvms-client/src/bytes.js'
import { callBytes, callName, headBytes, refusalBytes } from '../node_modules/libvms-client/src/call.js'
import { decode, encode } from '../node_modules/libvms-client/src/cbor.js'
import { verifies } from '../node_modules/libvms-client/src/ed25519.js'
import { leaf, parent, rootsOf, treeHash } from '../node_modules/libvms-client/src/tree.js'

/** How old a call may be, in milliseconds. */
const CALL_AGE = 60_000

/** The hosts of one scenario, by name. All arguments and results are data. */
export class Ledgers {
  #ledgers = new Map()

  async start (name, { ahead = 0 } = {}) {
    const ledger = new Ledger(name, ahead)
    this.#ledgers.set(name, ledger)
    return { url: await ledger.serve(), log: hex(ledger.key) }
  }

  /** What it does instead with the next calls, in order: see `Ledger.#answer`. */
  next (name, tricks) { this.#ledgers.get(name).tricks = tricks }

  /** Replaces members of what each handshake says; `null` leaves one out. */
  handshakes (name, members) { this.#ledgers.get(name).told = members }

  /** Sends these texts, or bytes in hexadecimal digits, instead of an answer to each request. */
  speaks (name, frames) { this.#ledgers.get(name).speech = frames }

  /** Keeps the history that there is under a name. */
  save (name, as) { this.#ledgers.get(name).saved.set(as, [...this.#ledgers.get(name).blocks]) }

  /** Shows a history that was kept, with so many other entries, and takes whatever head a caller has seen. */
  show (name, saved, others = 0, takesAnyHead = true) {
    const ledger = this.#ledgers.get(name)
    ledger.blocks = [...ledger.saved.get(saved)]
    ledger.takesAnyHead = takesAnyHead
    for (let left = others; left > 0; left--) ledger.appendOther()
  }

  appendOther (name) { this.#ledgers.get(name).appendOther() }

  /** Lets another device with this key make a call with this nonce. */
  overtake (name, seed, nonce) { this.#ledgers.get(name).overtake(unhex(seed, 32), nonce) }

  setAhead (name, ahead) { this.#ledgers.get(name).ahead = ahead }

  /** Returns what has come, and the nonces in the log. */
  seen (name) {
    const { calls, handshakes } = this.#ledgers.get(name)
    return { calls, handshakes, entries: this.#ledgers.get(name).entries().map(({ nonce, instead, userId, methodName }) => ({ nonce, instead, userId, methodName })) }
  }

  async end () {
    for (const ledger of this.#ledgers.values()) ledger.end()
  }
}

class Ledger {
  #server
  #secret

  constructor (name, ahead) {
    this.#secret = new Uint8Array(32)
    new TextEncoder().encodeInto(name, this.#secret)
    this.key = ed25519.getPublicKey(this.#secret)
    Object.assign(this, { ahead, blocks: [], saved: new Map(), tricks: [], told: {}, calls: 0, handshakes: 0, takesAnyHead: false })
    this.#append({ type: 'init', v: 2, at: Date.now() + Math.min(ahead, 0) - 1000, title: name })
  }

  /** Serves on a free port, and returns the URL. */
  async serve () {
    this.#server = new WebSocketServer({ host: '127.0.0.1', port: 0 })
    this.#server.on('connection', (socket) => {
      socket.on('error', () => {})
      socket.on('message', (text) => this.#take(socket, JSON.parse(text)))
    })
    await new Promise((resolve) => this.#server.once('listening', resolve))
    return `ws://127.0.0.1:${this.#server.address().port}/`
  }

  end () {
    for (const socket of this.#server.clients) socket.terminate()
    this.#server.close()
  }

  #take (socket, request) {
    if (this.speech) return this.speech.forEach((frame) => frame.raw ? socket._socket.write(Buffer.from(frame.raw, 'hex')) : socket.send(frame.text))
    const answer = request.method === 'handshake' ? { result: this.#greet(request.params[0] ?? {}) } : this.#answer(request)
    if (answer === null) return
    if (answer === 'cut') return socket.terminate()
    socket.send(JSON.stringify({ jsonrpc: '2.0', id: request.id, ...answer }))
  }

  #greet ({ consistency, latest }) {
    this.handshakes++
    const told = { methods: ['increment'], log: hex(this.key), auth: 'signed', now: 1000 * this.#now(), head: this.#headForm(), limits: { callAge: CALL_AGE } }
    if (consistency !== undefined) told.consistency = { length: consistency, nodes: this.#nodes(consistency) }
    if (latest) told.latest = this.#receipt(this.blocks.length - 1)
    const changed = Object.entries({ ...told, ...this.told })
    return Object.fromEntries(changed.filter(([, value]) => value !== null))
  }

  /** Executes a call, unless a trick is next. */
  #answer (request) {
    this.calls++
    const trick = this.tricks.shift() ?? {}
    if (trick.refuse) return this.#refuse(request, trick.refuse, trick.more)
    if (trick.instead) return trick.instead
    if (trick.silent) return null
    const honest = this.#execute(request)
    if (trick.cut) return 'cut'
    if (trick.receiptOf !== undefined) return { ...honest, receipt: this.#receipt(trick.receiptOf) }
    if (trick.changed) return { ...honest, receipt: this.#changed(honest.receipt, trick.changed) }
    const changed = Object.entries({ ...honest, ...trick.answer })
    return Object.fromEntries(changed.filter(([, value]) => value !== null))
  }

  #execute ({ method, params, caller }) {
    const at = this.#now()
    const call = { userId: caller?.key ?? null, methodName: method, args: params, at, ...this.#signedFields(caller) }
    const refused = caller && this.#judge(call, at)
    if (typeof refused === 'number') return this.#logged(refused)
    if (refused) return this.#refuse({ method, params, caller }, refused)
    const result = method === 'throw' ? { err: { name: 'TypeError', message: 'no luck', code: 42, details: { why: 1 } } } : this.#result(method, params)
    return this.#logged(this.#append({ type: 'call', call, result }))
  }

  #signedFields (caller) {
    if (!caller) return {}
    const { nonce, seen, instead, sig } = caller
    return { nonce, seen: seen && { length: seen.length, hash: unhex(seen.hash, 32) }, instead, sig: unhex(sig, 64) }
  }

  #result (method, params) {
    if (method === 'increment') return { res: this.blocks.length }
    return method === 'echo' ? { res: params } : {}
  }

  /** Returns the reason to refuse a call, the block that it has already, or nothing. */
  #judge (call, at) {
    const { userId, nonce, seen, instead = [], sig } = call
    if (!verifies(unhex(userId, 32), callBytes({ ...call, log: this.key }), sig)) return 'bad-signature'
    const earlier = this.entries().filter((entry) => entry.userId === userId)
    const same = earlier.find((entry) => [nonce, ...instead].some((number) => [entry.nonce, ...entry.instead ?? []].includes(number)))
    if (same) return same.block
    if (earlier.some((entry) => entry.nonce >= nonce)) return 'repeated-nonce'
    if (Math.floor(nonce / 1000) > at) return 'early'
    if (at - Math.floor(nonce / 1000) > CALL_AGE) return 'stale-call'
    if (seen && !this.takesAnyHead && !this.#isHead(seen)) return 'unknown-head'
  }

  #isHead ({ length, hash }) {
    return length <= this.blocks.length && hex(this.#hashAt(length)) === hex(hash)
  }

  #refuse ({ method, params, caller }, reason, more = {}) {
    const now = 1000 * this.#now()
    const data = { reason, now }
    if (caller) {
      const fields = this.#signedFields(caller)
      const call = callName(callBytes({ log: this.key, methodName: method, args: params, ...fields }), fields.sig)
      data.sig = hex(ed25519.sign(refusalBytes({ log: this.key, call, reason, now }), this.#secret))
      if (fields.seen) Object.assign(data, { head: this.#headForm(), nodes: this.#nodes(fields.seen.length) })
    }
    return { error: { code: -32001, message: 'as the test wants it', data: { ...data, ...more } } }
  }

  #logged (block) {
    const { res, err } = decode(this.blocks[block]).result
    const outcome = err ? { error: { code: -32000, message: err.name, data: err.message } } : { result: res }
    return { ...outcome, receipt: this.#receipt(block) }
  }

  /** Returns the calls in the log, with their blocks. */
  entries () {
    return this.blocks.map((bytes, block) => ({ block, ...decode(bytes).call })).slice(1)
  }

  appendOther () {
    const call = { userId: null, methodName: 'other', args: [Math.random()], at: this.#now() }
    this.#append({ type: 'call', call, result: {} })
  }

  overtake (seed, nonce) {
    const call = { userId: hex(ed25519.getPublicKey(seed)), methodName: 'other', args: [], nonce, at: Math.floor(nonce / 1000) }
    call.sig = ed25519.sign(callBytes({ ...call, log: this.key }), seed)
    this.#append({ type: 'call', call, result: {} })
  }

  #append (entry) {
    return this.blocks.push(encode(entry)) - 1
  }

  /** The log's time: that of the clock, or of the latest entry. */
  #now () {
    const latest = decode(this.blocks.at(-1))
    return Math.max(Date.now() + this.ahead, latest.call?.at ?? latest.at)
  }

  #node (place) {
    if (place.height === 0) return leaf(place.first, this.blocks[Number(place.first)])
    const [left, right] = place.children().map((child) => this.#node(child))
    return parent(place.index, left, right)
  }

  #hashAt (length) {
    return treeHash(rootsOf(BigInt(length)).map((place) => this.#node(place)))
  }

  #head () {
    const head = { log: this.key, length: this.blocks.length, hash: this.#hashAt(this.blocks.length) }
    return { ...head, sig: ed25519.sign(headBytes(head), this.#secret) }
  }

  #headForm () {
    const { length, hash, sig } = this.#head()
    return { length, hash: hex(hash), sig: hex(sig) }
  }

  /** Returns the nodes of the log's tree that a cut needs, none where there is no such cut. */
  #nodes (cut) {
    if (cut > this.blocks.length) return undefined
    const visit = (place) => place.first < cut && cut < place.end ? place.children().flatMap(visit) : [this.#node(place)]
    return rootsOf(BigInt(this.blocks.length)).flatMap(visit).map(({ index, hash, size }) => ({ index: Number(index), hash: hex(hash), size: Number(size) }))
  }

  #receipt (block) {
    const visit = (place) => {
      if (BigInt(block) < place.first || place.end <= BigInt(block)) return [this.#node(place)]
      return place.height === 0 ? [] : place.children().flatMap(visit)
    }
    const path = rootsOf(BigInt(this.blocks.length)).flatMap(visit)
    return base64url(encode({ type: 'proof', v: 1, kind: 'inclusion', checkpoint: this.#head(), block, entry: this.blocks[block], path }))
  }

  /** Returns a receipt whose entry says something else, under the same head; or whose head is of a fork, and signed. */
  #changed (receipt, how) {
    const proof = decode(Uint8Array.from(Buffer.from(receipt, 'base64url')))
    if (how === 'entry') {
      const entry = decode(proof.entry)
      proof.entry = encode({ ...entry, result: { res: 'a lie' } })
    } else {
      proof.checkpoint = { ...proof.checkpoint, fork: 1 }
      proof.checkpoint.sig = ed25519.sign(headBytes({ ...proof.checkpoint, fork: 1n }), this.#secret)
    }
    return base64url(encode(proof))
  }
}
