// Replication with whomever Hyperswarm finds under the discovery keys of cores.
const DHT = require('hyperdht')
const Hyperswarm = require('hyperswarm')

module.exports = function swarm (store, find) {
  let swarm = null

  return {
    // Joins the network of which these are nodes, all on this machine.
    swarm ({ bootstrap }) {
      const nodes = bootstrap.map((port) => ({ host: '127.0.0.1', port }))
      swarm = new Hyperswarm({ dht: new DHT({ bootstrap: nodes, host: '127.0.0.1' }) })
      swarm.on('connection', (connection) => {
        connection.on('error', () => {})
        store.replicate(connection)
      })
    },
    // Meets others who have an open core; by default as somebody who only reads it.
    async meet ({ key, server = false }) {
      const discovery = swarm.join(find(key).discoveryKey, { server, client: true })
      await (server ? discovery.flushed() : swarm.flush())
    },
    // What others meet under.
    topic: ({ key }) => find(key).discoveryKey.toString('hex'),
    peers: () => swarm.connections.size,
    async depart () {
      await swarm.destroy()
    }
  }
}
