// One side of a replication between stock Hypercores over TCP, to be measured against: a program of `network.rs`.
//
//   network.js serve DIRECTORY COUNT BYTES     makes a core of COUNT blocks of BYTES, serves it, prints port and key
//   network.js fetch DIRECTORY PORT KEY COUNT  copies it, prints how many milliseconds that took
//
// Both go on until their input ends.
const net = require('net')
const Hypercore = require('hypercore')

const [mode, directory, ...rest] = process.argv.slice(2)
process.stdin.on('end', () => process.exit(0)).resume()

function say (object) {
  console.log(JSON.stringify(object))
}

function replicate (core, socket, isInitiator) {
  const stream = core.replicate(isInitiator)
  stream.on('error', () => {})
  socket.on('error', () => {})
  stream.pipe(socket).pipe(stream)
}

async function serve (count, bytes) {
  const core = new Hypercore(directory, { compat: true })
  await core.ready()
  const many = Math.max(1, Math.floor(1e6 / bytes))
  for (let done = 0; done < count; done += many) {
    await core.append(Array.from({ length: Math.min(many, count - done) }, (_, block) => Buffer.alloc(bytes, done + block)))
  }
  const server = net.createServer((socket) => {
    socket.setNoDelay(true)
    replicate(core, socket, false)
  })
  server.listen(0, '127.0.0.1', () => say({ port: server.address().port, key: core.key.toString('hex') }))
}

async function fetch (port, key, count) {
  const core = new Hypercore(directory, Buffer.from(key, 'hex'), { compat: true })
  await core.ready()
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
