// Stock JavaScript to be measured against: a program of `main.rs`.
//
//   swarm.js serve DIRECTORY NODE COUNT BYTES  makes a core of COUNT blocks of BYTES, announces it, prints its key
//   swarm.js fetch DIRECTORY NODE KEY COUNT    copies it, prints how many milliseconds that took from the connection on
//   swarm.js stream                            prints the port of a socket, reads {id, remoteId, port, send, receive},
//                                              and prints {} when it has sent and received as many bytes
//
// NODE is the port of a node of the DHT on this machine. All go on until their input ends.
const readline = require('readline')
const Hypercore = require('hypercore')
const DHT = require('hyperdht')
const Hyperswarm = require('hyperswarm')
const UDX = require('udx-native')

const LOCAL = '127.0.0.1'
const PIECE = Buffer.alloc(65536, 7)
const [mode, directory, node, ...rest] = process.argv.slice(2)
process.stdin.on('end', () => process.exit(0)).resume()

function say (object) {
  console.log(JSON.stringify(object))
}

function join (core, roles, connected) {
  const dht = new DHT({ bootstrap: [{ host: LOCAL, port: Number(node) }], host: LOCAL })
  const swarm = new Hyperswarm({ dht })
  swarm.on('connection', (connection) => {
    connected()
    connection.on('error', () => {})
    core.replicate(connection)
  })
  return swarm.join(core.discoveryKey, roles).flushed()
}

async function serve (count, bytes) {
  const core = new Hypercore(directory, { compat: true })
  await core.ready()
  const many = Math.max(1, Math.floor(1e6 / bytes))
  for (let done = 0; done < count; done += many) {
    await core.append(Array.from({ length: Math.min(many, count - done) }, (_, block) => Buffer.alloc(bytes, done + block)))
  }
  await join(core, { server: true, client: false }, () => {})
  say({ key: core.key.toString('hex') })
}

async function fetch (key, count) {
  const core = new Hypercore(directory, Buffer.from(key, 'hex'), { compat: true })
  await core.ready()
  let start = 0
  join(core, { server: false, client: true }, () => { start ||= performance.now() })
  await core.download({ start: 0, end: count }).done()
  say({ ms: performance.now() - start })
}

function stream () {
  const udx = new UDX()
  const socket = udx.createSocket()
  socket.bind(0, LOCAL)
  say({ port: socket.address().port })
  readline.createInterface({ input: process.stdin }).once('line', (line) => {
    const { id, remoteId, port, send, receive } = JSON.parse(line)
    const stream = udx.createStream(id)
    stream.connect(socket, remoteId, port, LOCAL)
    stream.on('error', () => {})
    let received = 0
    stream.on('data', (bytes) => {
      received += bytes.byteLength
      if (received === receive) say({})
    })
    let sent = 0
    const write = () => {
      while (sent < send) {
        sent += PIECE.byteLength
        if (!stream.write(PIECE)) return
      }
    }
    stream.on('drain', write)
    write()
  })
}

async function main () {
  if (mode === 'serve') await serve(...rest.map(Number))
  if (mode === 'fetch') await fetch(rest[0], Number(rest[1]))
  if (mode === 'stream') stream()
}

main().catch((error) => {
  console.error(error)
  process.exit(1)
})
