// Replication over TCP: the secret stream that `replicate` makes, over sockets of either direction.
const net = require('net')

module.exports = function sockets (replicate) {
  const open = new Set()
  let server = null

  function join (socket, isInitiator) {
    const stream = replicate(isInitiator)
    open.add(stream)
    // The end of a connection is no end of the process.
    stream.on('error', () => {})
    socket.on('error', () => {})
    stream.on('close', () => { open.delete(stream); socket.destroy() })
    socket.on('close', () => stream.destroy())
    stream.pipe(socket).pipe(stream)
    return stream
  }

  return {
    async connect ({ port }) {
      const socket = net.connect(port, '127.0.0.1')
      await new Promise((resolve, reject) => socket.once('connect', resolve).once('error', reject))
      await join(socket, true).noiseStream.opened
    },
    async listen ({ port = 0 }) {
      server = net.createServer((socket) => join(socket, false))
      await new Promise((resolve, reject) => server.once('error', reject).listen(port, '127.0.0.1', resolve))
      return server.address().port
    },
    // Ends all connections, and lets nobody in any more.
    async leave () {
      if (server !== null) server.close()
      const gone = [...open].map((stream) => new Promise((resolve) => stream.once('close', resolve).destroy()))
      await Promise.all(gone)
    },
    // How many connections there are.
    connections: () => open.size
  }
}
