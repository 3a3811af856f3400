// The WebSocket of a browser, which reads each message into its own memory before it is seen here.

import { ClosedError } from './errors.js'
import { MESSAGE_BYTES_MAX } from './wire.js'

/** As in `socket-node.js`. A browser tells no page why a connection was refused. */
export function openSocket (url, { signal, onHeard, onText, onClose }) {
  const target = new URL(url)
  target.hash = ''
  return new Promise((resolve, reject) => {
    const socket = new WebSocket(target)
    const abort = () => {
      socket.close()
      reject(signal.reason)
    }
    if (signal?.aborted) return abort()
    signal?.addEventListener('abort', abort, { once: true })
    socket.onopen = () => {
      signal?.removeEventListener('abort', abort)
      resolve(new Socket(socket, { onHeard, onText, onClose }))
    }
    socket.onclose = () => reject(new ClosedError('unreachable', `cannot connect to ${target.host}, or it refuses the connection`))
  })
}

class Socket {
  #socket
  #onClose

  constructor (socket, { onHeard, onText, onClose }) {
    this.#socket = socket
    this.#onClose = onClose
    socket.onmessage = ({ data }) => {
      onHeard()
      this.#take(data, onText)
    }
    socket.onclose = ({ reason }) => this.#end('lost', `the connection was lost: the server closed it (${reason || 'without a reason'})`)
  }

  send (text) {
    if (this.#socket.readyState === WebSocket.OPEN) this.#socket.send(text)
  }

  close () {
    this.#onClose = undefined
    this.#socket.close(1000)
  }

  cut () {
    this.close()
  }

  #take (data, onText) {
    if (!this.#onClose) return
    const why = typeof data !== 'string' ? 'a binary message' : data.length > MESSAGE_BYTES_MAX ? `a message of more than ${MESSAGE_BYTES_MAX} bytes` : null
    if (why) this.#end('garbage', `the server does not speak JSON-RPC 2.0: ${why}`)
    else onText(data)
  }

  #end (code, message) {
    const onClose = this.#onClose
    this.close()
    onClose?.(new ClosedError(code, message))
  }
}
