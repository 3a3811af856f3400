// Stock nodes of the DHT on this machine, and what they keep.
const DHT = require('hyperdht')
const createTestnet = require('hyperdht/testnet')
const { COMMANDS } = require('hyperdht/lib/constants')
const messages = require('hyperdht/lib/messages')
const c = require('compact-encoding')
const told = require('./told')

const LOCAL = '127.0.0.1'
let nodes = []
let client = null

const at = (port) => ({ host: LOCAL, port })

told({
  // So many nodes, of a network of their own or of the one of which these are nodes. Gives the ports of all.
  async testnet ({ size, bootstrap = [] }) {
    const testnet = await createTestnet(size, { host: LOCAL, bootstrap: bootstrap.map(at) })
    nodes = testnet.nodes
    const known = bootstrap.length === 0 ? [nodes[0].address().port] : bootstrap
    client = new DHT({ bootstrap: known.map(at), host: LOCAL })
    await client.fullyBootstrapped()
    return nodes.map((node) => node.address().port)
  },
  // Kills a node: it answers nobody, and tells nobody.
  async silence ({ port }) {
    const node = nodes.find((node) => node.address().port === port)
    await node.destroy({ force: true })
  },
  // Asks each of these nodes, and no other, whom it knows under a topic. Gives the number of peers, or null for one that
  // does not serve topics.
  async records ({ topic, ports }) {
    const request = { token: null, command: COMMANDS.LOOKUP, target: Buffer.from(topic, 'hex'), value: null }
    const counts = {}
    await Promise.all(ports.map(async (port) => {
      const reply = await client.request(request, at(port))
      if (reply.error !== 0) counts[port] = null
      else counts[port] = reply.value === null ? 0 : c.decode(messages.lookupRawReply, reply.value).peers.length
    }))
    return counts
  },
  // The ports of these nodes, the closest to a topic first.
  closest ({ topic, ports }) {
    const hash = require('dht-rpc/lib/peer').id
    const target = Buffer.from(topic, 'hex')
    const distance = (port) => hash(LOCAL, port).map((byte, at) => byte ^ target[at])
    return [...ports].sort((a, b) => Buffer.compare(distance(a), distance(b)))
  },
  // A client of a network of other nodes.
  async client ({ bootstrap }) {
    client = new DHT({ bootstrap: bootstrap.map(at), host: LOCAL })
    await client.fullyBootstrapped()
  },
  // Puts a value; gives its hash.
  async immutablePut ({ value }) {
    const { hash } = await client.immutablePut(Buffer.from(value))
    return hash.toString('hex')
  },
  // The value, or null.
  async immutableGet ({ hash }) {
    const found = await client.immutableGet(Buffer.from(hash, 'hex'))
    return found && found.value.toString()
  },
  // Puts a value under a key; gives the key.
  async mutablePut ({ seed, seq, value }) {
    const keyPair = DHT.keyPair(Buffer.alloc(32, seed))
    await client.mutablePut(keyPair, Buffer.from(value), { seq })
    return keyPair.publicKey.toString('hex')
  },
  // The value under a key with its number, or null.
  async mutableGet ({ key, seq = 0, latest = true }) {
    const found = await client.mutableGet(Buffer.from(key, 'hex'), { seq, latest })
    return found && { seq: found.seq, value: found.value.toString() }
  },
  // Announces a key of this seed under a topic.
  async announce ({ topic, seed }) {
    await client.announce(Buffer.from(topic, 'hex'), DHT.keyPair(Buffer.alloc(32, seed))).finished()
  },
  // Takes that back.
  async unannounce ({ topic, seed }) {
    await client.unannounce(Buffer.from(topic, 'hex'), DHT.keyPair(Buffer.alloc(32, seed)))
  },
  // The keys of all whom a lookup finds.
  async lookup ({ topic }) {
    const keys = new Set()
    for await (const { peers } of client.lookup(Buffer.from(topic, 'hex'))) {
      for (const { publicKey } of peers) keys.add(publicKey.toString('hex'))
    }
    return [...keys]
  }
})
