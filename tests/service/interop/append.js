// Appends blocks to a core of the kind that a host writes: its key is the public key of its seed.
const Corestore = require('corestore')
const crypto = require('hypercore-crypto')
const main = require('./main')

main(({ seed, batches }) => main.inDirectory(async (directory) => {
  const store = new Corestore(directory)
  const keyPair = crypto.keyPair(Buffer.from(seed, 'hex'))
  const core = store.get({ key: keyPair.publicKey, keyPair, compat: true })
  await core.ready()
  const heads = []
  for (const blocks of batches) {
    await core.append(blocks.map((block) => Buffer.from(block, 'hex')))
    const treeHash = (await core.treeHash()).toString('hex')
    heads.push({ length: core.length, treeHash, signature: core.core.state.signature.toString('hex') })
  }
  await store.close()
  return { key: core.key.toString('hex'), heads }
}))
