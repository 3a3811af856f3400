// A stock peer: one Hypercore in a storage of its own, or a Corestore with any number of them, and drives on it.
//
// node peer.js hypercore|corestore DIRECTORY
const Corestore = require('corestore')
const Hypercore = require('hypercore')
const crypto = require('hypercore-crypto')
const drives = require('./drives')
const sockets = require('./sockets')
const swarm = require('./swarm')
const told = require('./told')
const traps = require('./traps')

const [kind, directory] = process.argv.slice(2)

const cores = new Map()
const store = kind === 'corestore' ? new Corestore(directory) : null
const network = sockets((isInitiator) => (store || [...cores.values()][0]).replicate(isInitiator))
const find = (key) => cores.get(key)

function open (options) {
  // By default it says only after half a minute that it is idle.
  const all = { notDownloadingLinger: 0, ...options }
  return store ? store.get(all) : new Hypercore(directory, all.key, all)
}

told({
  ...network,
  ...drives(store, directory),
  ...swarm(store, find),
  ...traps(find, store),
  // Opens a core to read it.
  async read ({ key }) {
    const core = open({ key: Buffer.from(key, 'hex') })
    await core.ready()
    cores.set(key, core)
  },
  // Makes a core of the kind that a host writes: its key is the public key, and it has no manifest. Gives the key.
  async write ({ seed }) {
    const keyPair = crypto.keyPair(Buffer.alloc(32, seed))
    const core = open({ key: keyPair.publicKey, keyPair, compat: true })
    await core.ready()
    const key = core.key.toString('hex')
    cores.set(key, core)
    return key
  },
  // Appends blocks of these sizes.
  async append ({ key, sizes }) {
    const core = find(key)
    await core.append(sizes.map((size, at) => Buffer.alloc(size, `${core.length + at} `)))
  },
  // Cuts a core of its own off, on a fork or, as a restored backup would, on none.
  async truncate ({ key, length, fork }) {
    await find(key).truncate(length, { fork })
  },
  // Waits until the log is so long.
  async long ({ key, length }) {
    const core = find(key)
    while (core.length < length) await new Promise((resolve) => core.once('append', resolve))
    return core.length
  },
  // Waits until it has these blocks, and gives the hashes of what it has read.
  async blocks ({ key, start = 0, end }) {
    const core = find(key)
    // Not before the log is so long: a range behind the end is over at once.
    while (core.length < end) await new Promise((resolve) => core.once('append', resolve))
    await core.download({ start, end }).done()
    const hashes = []
    for (let block = start; block < end; block++) hashes.push(crypto.data(await core.get(block)).toString('hex'))
    return hashes
  },
  // Downloads every block, and those to come.
  async follow ({ key }) {
    find(key).download({ start: 0, end: -1 })
  },
  // Forgets blocks.
  async clear ({ key, start, end }) {
    await find(key).clear(start, end)
  },
  // Waits until so many blocks have been handed out.
  async uploaded ({ key, count }) {
    const core = find(key)
    let uploads = 0
    await new Promise((resolve) => core.on('upload', () => { if (++uploads === count) resolve() }))
  },
  // The whole of what it knows about a core.
  async state ({ key }) {
    const core = find(key)
    // Not `core.treeHash()`, which waits for the last block.
    const treeHash = core.core.state.hash().toString('hex')
    return { length: core.length, contiguous: core.contiguousLength, treeHash, stats: core.replicator.stats }
  }
})
