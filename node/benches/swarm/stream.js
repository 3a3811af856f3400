// One end of a raw stream, stock JavaScript. Prints its port, is told what to do, and goes on until its input ends. It has a
// file of its own because so many processes run it that loading more than it needs would take longer than short runs.
const UDX = require('udx-native')
const { listen, say } = require('../network/peer')

const LOCAL = '127.0.0.1'

const udx = new UDX()
const socket = udx.createSocket()
socket.bind(0, LOCAL)
listen(({ id, remoteId, remotePort, writes, reads, pieceBytes, patienceMs }) => {
  const stream = udx.createStream(id)
  stream.on('error', () => {})
  stream.connect(socket, remoteId, remotePort, LOCAL)
  if (reads > 0) read(stream, reads, patienceMs)
  write(stream, writes, pieceBytes)
})
say({ port: socket.address().port })

// Says how many bytes came, once that is all or there was time enough.
function read (stream, bytes, patienceMs) {
  let received = 0
  const done = () => {
    clearTimeout(timeout)
    stream.off('data', take)
    say({ received })
  }
  const take = (data) => {
    received += data.byteLength
    if (received >= bytes) done()
  }
  const timeout = setTimeout(done, patienceMs)
  stream.on('data', take)
}

// Writes as fast as the stream takes it.
function write (stream, bytes, pieceBytes) {
  const piece = Buffer.alloc(pieceBytes)
  let left = bytes
  const more = () => {
    while (left > 0) {
      const next = piece.subarray(0, Math.min(left, pieceBytes))
      left -= next.byteLength
      if (!stream.write(next)) return
    }
  }
  stream.on('drain', more)
  more()
}
