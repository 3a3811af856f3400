// One side of a replication between stock Hypercores over TCP, to be measured against: a program of `network.rs`.
//
//   network.js serve DIRECTORY COUNT BYTES     makes a core of COUNT blocks of BYTES, serves it, prints port and key
//   network.js fetch DIRECTORY PORT KEY COUNT  copies it, prints how many milliseconds that took
//
// Both go on until their input ends.
const net = require('net')
const { written, copy } = require('./network/cores')
const { listen, say } = require('./network/peer')

const [mode, directory, ...rest] = process.argv.slice(2)
listen()

function replicate (core, socket, isInitiator) {
  const stream = core.replicate(isInitiator)
  stream.on('error', () => {})
  socket.on('error', () => {})
  stream.pipe(socket).pipe(stream)
}

async function serve (count, bytes) {
  const core = await written(directory, count, bytes)
  const server = net.createServer((socket) => {
    socket.setNoDelay(true)
    replicate(core, socket, false)
  })
  server.listen(0, '127.0.0.1', () => say({ port: server.address().port, key: core.key.toString('hex') }))
}

async function fetch (port, key, count) {
  const core = await copy(directory, key)
  const start = performance.now()
  const socket = net.connect(port, '127.0.0.1')
  socket.setNoDelay(true)
  replicate(core, socket, true)
  await core.download({ start: 0, end: count }).done()
  say({ ms: performance.now() - start })
}

const work = mode === 'serve' ? serve(...rest.map(Number)) : fetch(Number(rest[0]), rest[1], Number(rest[2]))
work.catch((error) => {
  console.error(error)
  process.exit(1)
})
