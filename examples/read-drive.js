// Reads the files of a service with the stock Hyperdrive: every file, and every earlier version of one.
//
//   vms host examples/persisted-counter.js
//   vms call ws://127.0.0.1:5555/ increment
//   npm install corestore hyperdrive
//   node examples/read-drive.js KEY 127.0.0.1:PORT
//
// KEY is what the host prints as its files archive, PORT the one of its peers. Each block is verified against the head that the
// host has signed; whether the calls wrote it, `vms verify` says. With hyperswarm instead of the socket, the key is enough:
//
//   const swarm = new Hyperswarm()
//   swarm.on('connection', (connection) => store.replicate(connection))
//   swarm.join(drive.discoveryKey)
const fs = require('fs')
const net = require('net')
const os = require('os')
const path = require('path')
const Corestore = require('corestore')
const Hyperdrive = require('hyperdrive')

async function main (key, address) {
  const [host, port] = address.replace('tcp://', '').split(':')
  const directory = fs.mkdtempSync(path.join(os.tmpdir(), 'read-drive-'))
  process.on('exit', () => fs.rmSync(directory, { recursive: true, force: true }))
  const store = new Corestore(directory)
  const drive = new Hyperdrive(store, Buffer.from(key.replace('hyper://', ''), 'hex'))
  await drive.ready()

  const socket = net.connect(Number(port), host)
  const stream = store.replicate(true)
  socket.pipe(stream).pipe(socket)
  let isRead = false
  // At the end, each side sees the other one go.
  for (const side of [socket, stream]) side.on('error', (error) => isRead || fail(error))
  // A drive is empty until somebody has told how long it is.
  while (drive.version < 2) await new Promise((resolve) => drive.core.once('append', resolve))

  console.log(`version ${drive.version}`)
  for await (const { key: name } of drive.list('/')) {
    console.log(`${name}: ${await drive.get(name)}`)
    // Nothing is ever deleted: what the file was in each version that changed it. Version 1 is the drive without files.
    for (let version = 2; version <= drive.version; version++) {
      const then = drive.checkout(version)
      console.log(`  at version ${version}: ${await then.get(name)}`)
      await then.close()
    }
  }

  isRead = true
  socket.destroy()
  await drive.close()
  await store.close()
}

function fail (error) {
  console.error(error.message)
  process.exit(1)
}

if (process.argv.length !== 4) fail(new Error('usage: node read-drive.js KEY ADDRESS:PORT'))
main(process.argv[2], process.argv[3]).catch(fail)
