// The WebSocket (RFC 6455) of Node.js: its own, since Node.js 20 has none and later ones read messages of any length into memory.

import { createHash, randomBytes } from 'node:crypto'
import http from 'node:http'
import https from 'node:https'

import { ClosedError } from './errors.js'
import { MESSAGE_BYTES_MAX, words } from './wire.js'

const GUID = '258EAFA5-E914-47DA-95CA-C5AB0DC85B11'

const [CONTINUED, TEXT, BINARY, CLOSE, PING, PONG] = [0, 1, 2, 8, 9, 10]

/** Bytes of a control frame's content (section 5.5). */
const CONTROL_BYTES_MAX = 125

/** Fragments of one message: a server could send empty ones without end. */
const FRAGMENTS_MAX = 65_536

/** Bytes that a server may leave unread and still get its pings answered. */
const UNREAD_BYTES_MAX = 65_536

/** Bytes of the text with which a server refuses the connection. */
const REFUSAL_BYTES_MAX = 4096

/** How long the other side may take to end the connection, in milliseconds. */
const CLOSE_TIMEOUT = 1000

/**
 * Opens the WebSocket of a service. `onHeard` is told of all that comes, `onText` takes each message, `onClose` once why there are no more. Fails with a `ClosedError`; with
 * `code` `not-yet` and `retryAfter`, in milliseconds, where the service is still starting.
 */
export function openSocket (url, { signal, onHeard, onText, onClose }) {
  const key = randomBytes(16).toString('base64')
  const target = new URL(url)
  target.protocol = target.protocol === 'wss:' ? 'https:' : 'http:'
  target.hash = ''
  const headers = { Connection: 'Upgrade', Upgrade: 'websocket', 'Sec-WebSocket-Key': key, 'Sec-WebSocket-Version': '13' }
  return new Promise((resolve, reject) => {
    const asked = (target.protocol === 'https:' ? https : http).get(target, { headers, signal, agent: false })
    asked.on('error', (cause) => reject(signal?.aborted ? signal.reason : new ClosedError('unreachable', `cannot connect to ${target.host}: ${cause.message}`, { cause })))
    asked.on('response', (response) => refusal(url, response).then(reject))
    asked.on('upgrade', (response, socket, head) => {
      const accept = createHash('sha1').update(key + GUID).digest('base64')
      if (response.headers['sec-websocket-accept'] !== accept) {
        socket.destroy()
        return reject(new ClosedError('unreachable', `${url} answers, but not as a WebSocket`))
      }
      resolve(new Socket(socket, head, { onHeard, onText, onClose }))
    })
  })
}

async function refusal (url, response) {
  const chunks = []
  let left = REFUSAL_BYTES_MAX
  try {
    for await (const chunk of response) {
      chunks.push(chunk.subarray(0, left))
      left -= chunk.length
      if (left <= 0) break
    }
  } catch {}
  const why = words(Buffer.concat(chunks).toString().trim())
  const seconds = Number(response.headers['retry-after'])
  if (response.statusCode === 503 && seconds >= 0) {
    return new ClosedError('not-yet', `${url} is not ready: ${why}`, { retryAfter: seconds * 1000 })
  }
  return new ClosedError('refused', `${url} refuses the connection (${response.statusCode}): ${why}`, { status: response.statusCode })
}

class Socket {
  #socket
  #on
  #frames = new Frames()
  #isClosing = false

  constructor (socket, head, on) {
    this.#socket = socket
    this.#on = on
    socket.setNoDelay(true)
    socket.on('data', (bytes) => this.#take(bytes))
    socket.on('error', (error) => this.#end('lost', error.message))
    socket.on('close', () => this.#end('lost', 'the server closed it'))
    // The first bytes may have come with the answer.
    if (head.length > 0) socket.unshift(head)
  }

  /** Sends a text. */
  send (text) {
    this.#frame(TEXT, Buffer.from(text))
  }

  /** Asks whether the server is still there. */
  ping () {
    this.#frame(PING, Buffer.alloc(0))
  }

  /** Closes the connection, as far as it is there. `onClose` is not called. */
  close () {
    this.#isClosing = true
    this.#frame(CLOSE, Buffer.from([0x03, 0xe8]))
    this.#socket.end()
    setTimeout(() => this.#socket.destroy(), CLOSE_TIMEOUT).unref()
  }

  /** Cuts the connection. */
  cut () {
    this.#isClosing = true
    this.#socket.destroy()
  }

  #take (bytes) {
    try {
      for (const { code, content } of this.#frames.take(bytes)) this.#obey(code, content)
    } catch (error) {
      this.#end('garbage', error.message)
    }
  }

  #obey (code, content) {
    if (this.#isClosing) return
    this.#on.onHeard()
    if (code === TEXT) this.#on.onText(decoder.decode(content))
    // Who pings without reading gets no more of them.
    if (code === PING && this.#socket.writableLength < UNREAD_BYTES_MAX) this.#frame(PONG, content)
    if (code === CLOSE) this.#end('lost', `the server closed it (${content.length > 2 ? words(content.subarray(2).toString()) : 'without a reason'})`)
  }

  #end (code, why) {
    this.#socket.destroy()
    if (this.#isClosing) return
    this.#isClosing = true
    this.#on.onClose(new ClosedError(code, code === 'lost' ? `the connection was lost: ${why}` : `the server does not speak JSON-RPC 2.0: ${why}`))
  }

  #frame (code, content) {
    if (this.#socket.destroyed || this.#socket.writableEnded) return
    const mask = randomBytes(4)
    const masked = Buffer.from(content.map((byte, at) => byte ^ mask[at & 3]))
    this.#socket.write(Buffer.concat([lengthOf(code, content.length), mask, masked]))
  }
}

const decoder = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })

/** Returns the beginning of a masked frame. */
function lengthOf (code, length) {
  if (length < 126) return Buffer.from([0x80 | code, 0x80 | length])
  if (length < 0x10000) return Buffer.from([0x80 | code, 0x80 | 126, length >> 8, length & 0xff])
  const long = Buffer.alloc(10)
  long.set([0x80 | code, 0x80 | 127])
  long.writeBigUInt64BE(BigInt(length), 2)
  return long
}

/** Puts frames together. Holds no more than one message within its bound. */
class Frames {
  #data = Buffer.alloc(0)
  #from = 0
  #to = 0
  #parts = []
  #partsBytes = 0

  get #held () {
    return this.#to - this.#from
  }

  /** Takes bytes as they come; gives each complete message and control frame. */
  * take (bytes) {
    this.#append(bytes)
    for (let frame; (frame = this.#next());) {
      const message = this.#join(frame)
      if (message) yield message
    }
  }

  /** Bytes may come one by one: the room for them doubles. */
  #append (bytes) {
    if (this.#held === 0) {
      [this.#data, this.#from, this.#to] = [bytes, 0, bytes.length]
      return
    }
    if (this.#data.length - this.#to < bytes.length) {
      const larger = Buffer.alloc(Math.max(2 * this.#held, this.#held + bytes.length))
      this.#data.copy(larger, 0, this.#from, this.#to);
      [this.#data, this.#from, this.#to] = [larger, 0, this.#held]
    }
    bytes.copy(this.#data, this.#to)
    this.#to += bytes.length
  }

  #next () {
    if (this.#held < 2) return null
    const start = this.#data.subarray(this.#from, this.#to)
    const [isLast, code, isMasked] = [start[0] >= 0x80, start[0] & 0x0f, start[1] >= 0x80]
    if (start[0] & 0x70 || isMasked) throw new TypeError('a frame that no server sends')
    const extra = { 126: 2, 127: 8 }[start[1]] ?? 0
    if (start.length < 2 + extra) return null
    const length = extra === 0 ? start[1] : extra === 2 ? start.readUInt16BE(2) : Number(start.readBigUInt64BE(2))
    this.#check(code, isLast, length)
    const end = 2 + extra + length
    if (start.length < end) return null
    this.#from += end
    return { isLast, code, content: start.subarray(2 + extra, end) }
  }

  #check (code, isLast, length) {
    const isControl = code >= CLOSE
    if (isControl && (!isLast || length > CONTROL_BYTES_MAX)) throw new TypeError('a control frame that is too long')
    if (!isControl && length + this.#partsBytes > MESSAGE_BYTES_MAX) throw new TypeError(`a message of more than ${MESSAGE_BYTES_MAX} bytes`)
    if (![CONTINUED, TEXT, CLOSE, PING, PONG].includes(code)) throw new TypeError(code === BINARY ? 'a binary message' : 'an unknown frame')
  }

  #join ({ isLast, code, content }) {
    if (code >= CLOSE) return { code, content }
    if ((code === CONTINUED) !== (this.#parts.length > 0)) throw new TypeError('a fragment out of order')
    if (this.#parts.length === FRAGMENTS_MAX) throw new TypeError('a message in too many pieces')
    this.#parts.push(content)
    this.#partsBytes += content.length
    if (!isLast) return null
    const whole = this.#parts.length === 1 ? content : Buffer.concat(this.#parts);
    [this.#parts, this.#partsBytes] = [[], 0]
    return { code: TEXT, content: whole }
  }
}
