// A network that fails: a proxy between a client and a service.

import net from 'node:net'

export class Proxy {
  #server
  #sockets = new Set()
  #isRefusing = false
  #losesAnswers = false
  #connections = 0
  #requests = 0

  /** Begins before the service of this URL, and returns a URL. */
  async before (url) {
    const { hostname, port } = new URL(url)
    this.#server = net.createServer((client) => this.#connect(client, { host: hostname, port }))
    await new Promise((resolve) => this.#server.listen(0, '127.0.0.1', resolve))
    return `ws://127.0.0.1:${this.#server.address().port}/`
  }

  /** Takes connections no more, or again. */
  refuse (is) {
    this.#isRefusing = is
  }

  /** Passes answers on no more, or again. */
  loseAnswers (is) {
    this.#losesAnswers = is
  }

  /** Ends all connections. */
  cut () {
    for (const socket of this.#sockets) socket.destroy()
  }

  /** Returns how many connections there were, and how many pieces of requests. */
  counts () {
    return { connections: this.#connections, requests: this.#requests }
  }

  async end () {
    this.cut()
    this.#server?.close()
  }

  #connect (client, target) {
    if (this.#isRefusing) return client.destroy()
    this.#connections++
    const service = net.connect(target)
    const end = () => [client, service].forEach((socket) => socket.destroy())
    for (const socket of [client, service]) {
      this.#sockets.add(socket)
      socket.on('error', end).on('close', end).on('close', () => this.#sockets.delete(socket))
    }
    client.on('data', (bytes) => {
      this.#requests++
      service.write(bytes)
    })
    service.on('data', (bytes) => {
      if (!this.#losesAnswers) client.write(bytes)
    })
  }
}
