// Stock Hyperswarm as a peer behind a router, with a stock Hypercore to replicate:
//
//   swarm.js serve --bootstrap HOST:PORT       makes a core of three blocks, serves it, says its key, and when all were fetched
//   swarm.js fetch --bootstrap HOST:PORT KEY   fetches the first block of a core
//
// Both go on until they are killed, and keep their files in the working directory.
const Hypercore = require('hypercore')
const Hyperswarm = require('hyperswarm')

const [mode, , bootstrap, key] = process.argv.slice(2)

function say (object) {
  console.log(JSON.stringify(object))
}

async function main () {
  const isServer = mode === 'serve'
  const core = new Hypercore('core', isServer ? null : Buffer.from(key, 'hex'), { compat: true })
  await core.ready()
  if (isServer) await core.append(['one', 'two', 'three'])
  const swarm = new Hyperswarm({ bootstrap: [bootstrap] })
  swarm.on('connection', (connection) => {
    connection.on('error', () => {})
    core.replicate(connection)
  })
  let uploads = 0
  core.on('upload', () => { if (++uploads === core.length) say({ event: 'uploaded' }) })
  const discovery = swarm.join(core.discoveryKey, { server: isServer, client: !isServer })
  await discovery.flushed()
  if (isServer) return say({ event: 'serving', key: core.key.toString('hex') })
  const block = await core.get(0)
  say({ event: 'fetched', bytes: block.length })
}

main().catch((error) => {
  console.error(error)
  process.exit(1)
})
