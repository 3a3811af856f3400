// Honest hosts behind a network that fails, that restart, and whose clock is wrong.

import { counted, fails, holds, same, sleep, until } from './check.js'

/** A host that stops, is killed, and comes back while calls are under way: each call is executed once, in order. */
export async function restarts ({ libvms, url, ask }) {
  const service = await libvms.connect(url, { key: await libvms.generateKey(), known: null, timeout: 120_000 })
  let reconnects = 0
  service.$on('reconnect', () => { reconnects++ })
  same(await service.increment(), 1)
  let count = 1
  for (const how of ['terminate', 'kill', 'kill']) {
    await ask('test', how)
    same(await service.increment(), ++count, 'a restart between two calls is not noticed')
    const calls = counted(100).map(() => service.increment())
    await sleep(5 * count % 20)
    await ask('test', how)
    same(await Promise.all(calls), counted(100).map((number) => count + number), how)
    count += 100
  }
  holds(reconnects >= 3, `${reconnects} connections came after the first`)
  await service.$close()
}

/** A host that is restarted while somebody calls who does not sign: nothing is sent twice. */
export async function restartsOfAnonymous ({ libvms, url, ask }) {
  const service = await libvms.connect(url, { known: null })
  same(await service.increment(), 1)
  await ask('test', 'kill')
  await until(async () => {
    try {
      return await service.get() === 1
    } catch (error) {
      same(error.code, 'lost')
    }
  })
  await service.$close()
}

/** Calls whose answers are lost are sent again, and executed once. */
export async function lostAnswers ({ libvms, ask, url: host }) {
  const { connect, generateKey, ClosedError } = libvms
  const url = await ask('proxy', 'before', host)
  const service = await connect(url, { key: await generateKey(), known: null })
  same(await service.increment(), 1)
  await ask('proxy', 'loseAnswers', true)
  const before = await ask('proxy', 'counts')
  const calls = counted(50).map(() => service.increment())
  await until(async () => (await ask('proxy', 'counts')).requests > before.requests)
  await sleep(300)
  await ask('proxy', 'refuse', true)
  await ask('proxy', 'cut')
  await sleep(300)
  await ask('proxy', 'loseAnswers', false)
  await ask('proxy', 'refuse', false)
  same(await Promise.all(calls), counted(50).map((number) => number + 1))
  // While nothing waits, a lost connection is nobody's concern.
  const { connections } = await ask('proxy', 'counts')
  await ask('proxy', 'cut')
  await sleep(300)
  same((await ask('proxy', 'counts')).connections, connections)
  same(await service.increment(), 52)
  // Who does not sign is told, and is not answered twice.
  const anonymous = await connect(url, { known: null })
  await ask('proxy', 'loseAnswers', true)
  const lost = fails(anonymous.increment(), ClosedError, 'lost')
  await sleep(300)
  await ask('proxy', 'cut')
  await lost
  await ask('proxy', 'loseAnswers', false)
  same(await anonymous.get(), 53)
  // A service that stays away is given up, and found again.
  await ask('proxy', 'refuse', true)
  await ask('proxy', 'cut')
  await fails(service.$call('increment', [], { timeout: 400 }), ClosedError, 'timeout')
  await ask('proxy', 'refuse', false)
  holds(await service.increment() >= 54, 'it is found again')
  // A client closes while its service is away.
  await ask('proxy', 'refuse', true)
  await ask('proxy', 'cut')
  const call = fails(service.increment(), ClosedError, 'closed')
  await sleep(100)
  await service.$close()
  await call
  await anonymous.$close()
}

/** A connection that is lost in mid-call, by a host that executes and says nothing. */
export async function cutInMidCall ({ libvms, ask }) {
  const { url } = await ask('ledger', 'start', 'c')
  const service = await libvms.connect(url, { key: await libvms.generateKey(), known: null })
  await ask('ledger', 'next', 'c', [{ cut: true }, { cut: true }])
  same(await service.increment(), 1)
  const { calls, entries } = await ask('ledger', 'seen', 'c')
  same([calls, entries.length], [3, 1], 'it came three times, and counts once')
  await service.$close()
}

/** The log's time counts, and not the caller's. */
export async function wrongClock ({ libvms, url, ask, hours }) {
  const { connect, generateKey, ClockError } = libvms
  const key = await generateKey()
  const service = await connect(url, { key, known: null })
  same([await service.increment(), await service.increment()], [1, 2], 'the deployment, a moment ago, shows the time')
  if (hours > 0) {
    // Two minutes later, only the host says so.
    await ask('test', 'shift', hours * 3600 + 120)
    const late = await connect(url, { key, known: null })
    const error = await fails(late.increment(), ClockError, 'clock')
    holds(error.log - error.own > 3_600_000, error.message)
    const anonymous = await connect(url, { known: null })
    same(await anonymous.increment(), 3)
    same(await late.increment(), 4, 'now an entry does')
    await late.$close()
    await anonymous.$close()
  }
  await service.$close()
}

/** Another device with the same key does not lose a call. */
export async function overtaken ({ libvms, ask }) {
  const { connect, importKey } = libvms
  const seed = '07'.repeat(32)
  const key = await importKey(seed)
  const { url } = await ask('ledger', 'start', 'o')
  const service = await connect(url, { key, known: null })
  same(await service.increment(), 1)
  await ask('ledger', 'overtake', 'o', seed, Date.now() * 1000 + 500_999)
  same(await service.increment(), 3)
  await ask('ledger', 'overtake', 'o', seed, Date.now() * 1000 + 3_600_000_000)
  const other = await connect(url, { key, known: null })
  same(await other.increment(), 5)
  const { entries } = await ask('ledger', 'seen', 'o')
  holds(entries.every(({ nonce }, at) => at === 0 || entries[at - 1].nonce < nonce), 'numbers ascend')
  holds(entries[2].instead?.length >= 1, 'it was refused first')
  await service.$close()
  await other.$close()
}
