// A stock peer whose messages are looked at, held back or changed on their way: how a test gets it into the states in
// which the reference implementation is known to stall, to pause its peer, or to break the connection.
const MESSAGES = ['sync', 'request', 'cancel', 'data', 'noData']
// Far from the numbers that the reference gives its own requests.
const FIRST_REQUEST = 1000000

module.exports = function traps (find, store) {
  const held = []
  const refused = new Set()
  let asked = null

  // The only peer of a core, once it is there.
  async function peerOf (key) {
    const core = find(key)
    while (core.peers.length === 0) await new Promise((resolve) => core.once('peer-add', resolve))
    return core.peers[0]
  }

  const wire = (peer, name) => peer.channel.messages[MESSAGES.indexOf(name)]

  // Has `see` look at all messages of a kind that come, before the reference does.
  function tap (peer, name, see) {
    const message = wire(peer, name)
    const { onmessage } = message
    message.onmessage = (body, channel) => {
      see(body)
      return onmessage(body, channel)
    }
  }

  // Counts what the peer opens and we do not have.
  if (store) {
    const attach = store._attachMaybe.bind(store)
    store._attachMaybe = async (muxer, discoveryKey) => {
      await attach(muxer, discoveryKey)
      if (!muxer.opened({ protocol: 'hypercore/alpha', id: discoveryKey })) {
        refused.add(discoveryKey.toString('hex'))
        store.emit('refused')
      }
    }
  }

  return {
    // Waits until so many cores that the peer has opened are rejected.
    async refused ({ count }) {
      while (refused.size < count) await new Promise((resolve) => store.once('refused', resolve))
    },
    // Keeps its own state to itself, until it is released.
    async hold ({ key }) {
      const message = wire(await peerOf(key), 'sync')
      const { send } = message
      message.send = (body) => held.push(() => send(body))
      held.restore = () => { message.send = send }
    },
    async release () {
      held.restore()
      held.splice(0).forEach((send) => send())
    },
    // Waits for a state of the peer that has these members.
    async hears ({ key, ...members }) {
      const peer = await peerOf(key)
      return new Promise((resolve) => tap(peer, 'sync', (sync) => {
        if (Object.entries(members).every(([name, value]) => sync[name] === value)) resolve(sync)
      }))
    },
    // Sends these requests as they are, and gives the answers; `null` for each that the end of the channel prevented.
    async requests ({ key, requests }) {
      const peer = await peerOf(key)
      const answers = new Map()
      const kept = requests.map((request, at) => ({
        id: FIRST_REQUEST + at, fork: 0, block: null, hash: null, seek: null, upgrade: null, manifest: false, priority: 0, ...request
      }))
      await new Promise((resolve) => {
        const answer = (id, what) => {
          answers.set(id, what)
          if (answers.size === kept.length) resolve()
        }
        tap(peer, 'data', ({ request }) => answer(request, 'data'))
        tap(peer, 'noData', ({ request, reason }) => answer(request, reason))
        peer.stream.once('close', resolve)
        for (const request of kept) wire(peer, 'request').send(request)
      })
      return kept.map(({ id }) => answers.has(id) ? answers.get(id) : null)
    },
    // Has it pause whoever connects from now on, as it does for good after 32 refusals.
    async pauses ({ key }) {
      asked = new Promise((resolve) => find(key).on('peer-add', (peer) => {
        peer.paused = true
        tap(peer, 'request', ({ block }) => { if (block) resolve(block.index) })
      }))
    },
    // Waits until one that it has paused has asked for a block; gives which.
    asked: () => asked,
    // Has it believe that the peer has these blocks, and ask for all of them again and again; gives how often the peer
    // has said no when it ended the connection, and whether it was given up before.
    async mistakes ({ key, end }) {
      const core = find(key)
      const peer = await peerOf(key)
      let refusals = 0
      tap(peer, 'noData', () => {
        refusals++
        // Believed still: the reference asks again at once.
        peer._remoteContiguousLength = end
      })
      const closed = new Promise((resolve) => peer.stream.once('close', resolve))
      peer._remoteContiguousLength = end
      core.download({ start: 0, end })
      peer._update()
      await closed
      return { refusals, paused: peer.paused }
    },
    // Spoils a block once as it comes. The reference then asks for the signed head under the number 0; gives what it
    // found wrong, and whether the peer is still paused when it has the answer.
    async spoils ({ key, block }) {
      const core = find(key)
      const peer = await peerOf(key)
      const message = wire(peer, 'data')
      const { onmessage } = message
      const found = new Promise((resolve) => core.once('verification-error', (error) => resolve(error.code)))
      let isSpoilt = false
      const answered = new Promise((resolve) => {
        message.onmessage = async (data, channel) => {
          if (!isSpoilt && data.block && data.block.index === block) {
            isSpoilt = true
            data.block.value[0] ^= 1
          }
          await onmessage(data, channel)
          if (data.request === 0) resolve(peer.paused)
        }
      })
      core.download({ start: 0, end: core.length })
      return { found: await found, paused: await answered }
    },
    // Closes the channel of a core as the reference does when both sides say that they are not downloading.
    async closes ({ key }) {
      const core = find(key)
      const peer = await peerOf(key)
      core.setActive(false)
      const removed = new Promise((resolve) => core.once('peer-remove', resolve))
      peer.channel.close()
      await removed
    },
    // Is interested in a core again: opens its channel anew on the same connection.
    async reopens ({ key }) {
      const core = find(key)
      core.setActive(true)
      await peerOf(key)
    }
  }
}
