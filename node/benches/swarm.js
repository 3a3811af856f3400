// One side of what `swarm.rs` measures, stock JavaScript:
//
//   swarm.js dht NODES                        so many nodes of a DHT, prints the port of the first
//   swarm.js serve DIRECTORY DHT COUNT BYTES  makes a core of COUNT blocks of BYTES, prints its key once it is announced
//   swarm.js fetch DIRECTORY DHT KEY COUNT    copies it, prints how many milliseconds that took from being connected
//   swarm.js stream                           one end of a raw stream; prints its port, and is told the rest
//
// DHT is the port of a node. All go on until their input ends.
const DHT = require('hyperdht')
const createTestnet = require('hyperdht/testnet')
const Hyperswarm = require('hyperswarm')
const UDX = require('udx-native')
const { listen, say, written, copy } = require('./network/peer')

const LOCAL = '127.0.0.1'

async function dht (size) {
  const testnet = await createTestnet(Number(size), { host: LOCAL })
  say({ port: testnet.nodes[0].address().port })
}

function join (port, core, roles, connected = () => {}) {
  const swarm = new Hyperswarm({ dht: new DHT({ bootstrap: [{ host: LOCAL, port: Number(port) }], host: LOCAL }) })
  swarm.on('connection', (connection) => {
    connection.on('error', () => {})
    core.replicate(connection)
    connected()
  })
  return swarm.join(core.discoveryKey, roles)
}

async function serve (directory, port, count, bytes) {
  const core = await written(directory, Number(count), Number(bytes))
  await join(port, core, { server: true, client: false }).flushed()
  say({ key: core.key.toString('hex') })
}

async function fetch (directory, port, key, count) {
  const core = await copy(directory, key)
  const all = core.download({ start: 0, end: Number(count) })
  let start = null
  join(port, core, { server: false, client: true }, () => { start ??= performance.now() })
  await all.done()
  say({ ms: performance.now() - start })
}

function stream () {
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
}

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

const [mode, ...rest] = process.argv.slice(2)
if (mode === 'stream') {
  stream()
} else {
  listen()
  const modes = { dht, serve, fetch }
  modes[mode](...rest).catch((error) => {
    console.error(error)
    process.exit(1)
  })
}
