// A stock Corestore over TCP: copies a log and its files archive from a peer, tells what it has, follows what comes,
// and serves its copies to others until its input ends.
//
// Each line on stdin is a length of the log to wait for; the answer is one line on stdout.
const net = require('net')
const readline = require('readline')
const Corestore = require('corestore')
const Hyperdrive = require('hyperdrive')
const { inDirectory } = require('./main.js')

const [port, logKey, filesKey] = process.argv.slice(2)

inDirectory(async (directory) => {
  const store = new Corestore(directory)
  const log = store.get({ key: Buffer.from(logKey, 'hex') })
  const drive = new Hyperdrive(store, Buffer.from(filesKey, 'hex'))
  await log.ready()
  await drive.ready()
  log.download({ start: 0, end: -1 })
  join(net.connect(Number(port), '127.0.0.1'), true)
  const server = net.createServer((socket) => join(socket, false))
  await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve))

  function join (socket, isInitiator) {
    const stream = store.replicate(isInitiator)
    socket.on('error', () => {})
    stream.on('error', () => {})
    stream.pipe(socket).pipe(stream)
  }

  for await (const line of readline.createInterface({ input: process.stdin })) {
    const { length, version } = JSON.parse(line)
    // Without a peer yet, an update is over at once: the socket must have its turn in between.
    while (log.length < length || drive.version < version) {
      await new Promise((resolve) => setTimeout(resolve, 10))
      await log.update({ wait: true })
      await drive.update({ wait: true })
    }
    const blocks = []
    for (let block = 0; block < length; block++) blocks.push((await log.get(block)).toString('hex'))
    const versions = {}
    for (const at of [2, version]) {
      const checkout = drive.checkout(at)
      versions[at] = {}
      for await (const entry of checkout.list('/')) {
        versions[at][entry.key] = (await checkout.get(entry.key)).toString('hex')
      }
    }
    // Everything there is of the archive, so that others can have it from here.
    const blobs = await drive.getBlobs()
    await blobs.core.download({ start: 0, end: blobs.core.length }).done()
    await drive.db.core.download({ start: 0, end: drive.version }).done()
    console.log(JSON.stringify({ port: server.address().port, blocks, versions }))
  }
  process.exit(0)
}).catch((error) => {
  console.error(error)
  process.exit(1)
})
