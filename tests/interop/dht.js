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
  // The keys of all whom a lookup finds.
  async lookup ({ topic }) {
    const keys = new Set()
    for await (const { peers } of client.lookup(Buffer.from(topic, 'hex'))) {
      for (const { publicKey } of peers) keys.add(publicKey.toString('hex'))
    }
    return [...keys]
  }
})
