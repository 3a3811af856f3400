// Gives a core of ours to hypercore as a peer would: a signed head, then each block with its proof. hypercore checks
// all of it with nothing but the public key: `verify` is what its replicator calls with what a peer has sent.
const b4a = require('b4a')

module.exports = async function feed (store, { key, length, signature, roots, blocks }) {
  const core = store.get({ key: bytes(key) })
  await core.ready()
  if (core.writable) throw new Error('nobody has given it a secret key')
  const upgrade = { start: 0, length, nodes: roots.map(node), additionalNodes: [], signature: bytes(signature) }
  await accept(core, { fork: 0, upgrade })
  for (const [index, { value, siblings }] of blocks.entries()) {
    await accept(core, { fork: 0, block: { index, value: bytes(value), nodes: siblings.map(node) } })
  }
  return core
}

async function accept (core, proof) {
  const all = { block: null, hash: null, seek: null, upgrade: null, manifest: null, ...proof }
  if (!await core.core.verify(all, null)) throw new Error('hypercore has ignored a proof')
}

const bytes = (hex) => b4a.from(hex, 'hex')
const node = ({ index, size, hash }) => ({ index, size, hash: bytes(hash) })
