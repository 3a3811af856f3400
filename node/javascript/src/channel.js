// One connection to a service, from its opening to its end.

import { ClosedError } from './errors.js'
import { readReply, request, words } from './wire.js'

/** The id of a request that is made while there are no others: those of a link begin with 1. */
const GREETING = 0

export class Channel {
  #socket
  #on
  #greeting
  /** Whether anything has come since this was last set to false. */
  wasHeard = true
  /** Why the connection has ended, if it has. */
  error

  constructor (on) {
    this.#on = on
  }

  /** Opens a connection. `on.reply(channel, reply)` takes each answer, `on.close(channel, error)` its end. */
  static async open (open, limit, on) {
    const channel = new Channel(on)
    channel.#socket = await open({
      signal: limit.signal,
      onHeard: () => { channel.wasHeard = true },
      onText: (text) => channel.#take(text),
      onClose: (error) => channel.#end(error)
    })
    return channel
  }

  /** Makes a request while there are no others, and returns its answer. */
  async exchange (method, params, limit) {
    if (this.error) throw this.error
    const answered = new Promise((resolve, reject) => { this.#greeting = { resolve, reject } })
    this.send(request(GREETING, method, params))
    return limit.race(answered)
  }

  send (text) {
    this.#socket.send(text)
  }

  /** Asks for a sign of life: by a request, where the platform has nothing else. */
  ping () {
    if (this.#socket.ping) this.#socket.ping()
    else this.send(request(GREETING, 'handshake', []))
  }

  close () {
    this.error ??= new ClosedError('closed', 'the connection is closed')
    this.#socket.close()
  }

  cut () {
    this.error ??= new ClosedError('closed', 'the connection is closed')
    this.#socket.cut()
  }

  #take (text) {
    if (this.error) return
    let reply
    try {
      reply = readReply(text)
    } catch (error) {
      this.#socket.cut()
      return this.#end(new ClosedError('garbage', `the server does not speak JSON-RPC 2.0: ${words(error.message)}`))
    }
    if (reply?.id === GREETING) this.#greeting?.resolve(reply)
    else if (reply) this.#on.reply(this, reply)
  }

  #end (error) {
    if (this.error) return
    this.error = error
    this.#greeting?.reject(error)
    this.#on.close(this, error)
  }
}
