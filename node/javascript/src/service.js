// What an application sees of a service: the script's methods, and what begins with `$`.

import { headForm } from './wire.js'

/** What happens to a service, and who listens. */
export class Events {
  #listeners = { close: new Set(), reconnect: new Set(), head: new Set() }

  /** Has a listener told of an event. Returns what ends that. */
  on (event, listener) {
    const listeners = this.#listeners[event]
    if (!listeners) throw new TypeError(`there is no event ${event}: there are ${Object.keys(this.#listeners).join(', ')}`)
    listeners.add(listener)
    return () => listeners.delete(listener)
  }

  head (head) {
    this.#tell('head', headForm(head))
  }

  reconnected () {
    this.#tell('reconnect')
  }

  ended (error) {
    this.#tell('close', error)
  }

  /** Listeners are called later: they must not change what is under way, nor fail into it. */
  #tell (event, what) {
    for (const listener of this.#listeners[event]) queueMicrotask(() => listener(what))
  }
}

/** Returns the service of a client: each name that does not begin with `$` is a method of the script. */
export function serviceOf (client, events) {
  const own = new Own(client, events)
  const methods = new Map()
  const method = (name) => {
    if (!methods.has(name)) methods.set(name, async (...args) => (await client.call(name, args)).result)
    return methods.get(name)
  }
  return new Proxy(own, {
    // A promise is told from a value by its `then`: `await` must not call the script.
    get: (_, name) => typeof name === 'symbol' || name.startsWith('$') ? own[name] : name === 'then' ? undefined : method(name),
    has: (_, name) => name in own,
    set: () => false
  })
}

class Own {
  #client
  #events

  constructor (client, events) {
    this.#client = client
    this.#events = events
    // The proxy has no private members.
    for (const name of ['$call', '$on', '$handshake', '$unanswered', '$remember', '$close']) this[name] = this[name].bind(this)
  }

  /** Makes a call, and returns its answer with the proof. */
  async $call (method, args = [], { signal, timeout } = {}) {
    return this.#client.call(method, args, { signal, timeout })
  }

  $on (event, listener) {
    return this.#events.on(event, listener)
  }

  /** Returns what the service says of itself. Nothing of it is checked. */
  async $handshake ({ signal, timeout } = {}) {
    const { result, error } = await this.#client.within({ signal, timeout }, (limit) => this.#client.ask('handshake', [], limit))
    if (error) throw new Error(`the service does not describe itself: ${error.message}`)
    return result
  }

  /** Returns the calls of this key, of this page or an earlier one, that nobody knows to be answered. */
  async $unanswered () {
    const { calls, key, session } = this.#client
    const orphans = calls && key ? await calls.orphans(key.id, session.log.id) : []
    return orphans.map((call) => ({
      method: call.methodName,
      args: call.args,
      at: Math.floor(call.signed.at(-1).nonce / 1000),
      resume: ({ signal, timeout } = {}) => this.#client.within({ signal, timeout }, (limit) => this.#client.resume(call, limit)),
      forget: () => calls.forget(call.id)
    }))
  }

  /** Keeps the newest head and the last number now, as `$close` does, and calls do once a second. */
  async $remember () {
    await this.#client.within({}, (limit) => this.#client.remember(limit))
  }

  /** Ends the connection. What waits for an answer fails. */
  async $close () {
    await this.#client.close()
  }

  /** The key of the service's log, where that is compared. */
  get $log () {
    return this.#client.session?.log.id
  }

  /** The newest head that was verified, where the log is compared. */
  get $head () {
    const { session } = this.#client
    return session && headForm(session.newest)
  }
}
