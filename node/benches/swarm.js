// One side of a replication between stock peers that find each other, to be measured against: a program of `swarm.rs`.
//
//   swarm.js dht NODES                        so many nodes of a DHT, prints the port of the first
//   swarm.js serve DIRECTORY DHT COUNT BYTES  makes a core of COUNT blocks of BYTES, prints its key once it is announced
//   swarm.js fetch DIRECTORY DHT KEY COUNT    copies it, prints how many milliseconds that took from being connected
//
// DHT is the port of a node. All go on until their input ends.
const DHT = require('hyperdht')
const createTestnet = require('hyperdht/testnet')
const Hyperswarm = require('hyperswarm')
const { written, copy } = require('./network/cores')
const { listen, say } = require('./network/peer')

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

const [mode, ...rest] = process.argv.slice(2)
listen()
const modes = { dht, serve, fetch }
modes[mode](...rest).catch((error) => {
  console.error(error)
  process.exit(1)
})
