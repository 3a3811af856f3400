// Honest hosts.

import { counted, fails, holds, same } from './check.js'

/** The script of the host: a counter that tells its caller. */
export async function signedCalls ({ libvms, url, log }) {
  const { connect, generateKey, importKey, exportKey, ServiceError, RefusedError, ClosedError } = libvms
  const key = await generateKey()
  const again = await importKey(await exportKey(key))
  same(again.id, key.id, 'a key that was exported')
  const service = await connect(`${url}#${log}`, { key, known: null })
  const heads = []
  service.$on('head', ({ length }) => heads.push(length))
  same(await service.increment(), 1)
  const { result, receipt, block } = await service.$call('increment')
  same([result, block, receipt instanceof Uint8Array], [2, 2, true])
  same(await service.whoami(), key.id, 'whose call it is')
  same(await service.echo('ö', 1.5, null, [{ b: [], a: -0 }]), ['ö', 1.5, null, [{ a: 0, b: [] }]], 'what comes back')
  same(await service.nothing(), undefined, 'undefined is not null')
  const thrown = await fails(service.fail(), ServiceError, -32000)
  same([thrown.name, thrown.message, thrown.block, thrown.receipt instanceof Uint8Array], ['RangeError', 'far', 6, true])
  const refused = await fails(service.missing(), RefusedError, 'refused')
  same([refused.reason, refused.isSigned], ['no-method', true])
  const results = await Promise.all(counted(200).map(() => service.increment()))
  same(results, counted(200).map((count) => count + 2), 'in the order in which they were begun')
  same([service.$log, service.$head.length], [log, 207])
  holds(heads.every((length, at) => at === 0 || heads[at - 1] < length), 'heads only go on')
  same((await service.$handshake()).log, log)
  await service.$close()
  await fails(service.increment(), ClosedError, 'closed')
}

/** Callers who are nobody in particular. */
export async function anonymousCalls ({ libvms, url, log, hasKey, user }) {
  const { connect, ServiceError, RefusedError, TrustError } = libvms
  const anonymous = await connect(url, { known: null })
  same(await anonymous.increment(), 1)
  same(await anonymous.$call('get'), { result: 1 }, 'nothing is proved')
  same(anonymous.$head, undefined)
  same((await fails(anonymous.fail(), ServiceError, -32000)).name, 'RangeError')
  same((await fails(anonymous.missing(), RefusedError)).reason, 'no-method')
  await anonymous.$close()
  const proved = await connect(`${url}#${log}`, { known: null })
  const { result, receipt, block } = await proved.$call('increment')
  same([result, receipt instanceof Uint8Array, proved.$head.length], [2, true, block + 1])
  same((await fails(proved.fail(), ServiceError, -32000)).message, 'far')
  same((await fails(proved.missing(), RefusedError)).reason, 'no-method')
  const all = await Promise.all(counted(50).map(() => proved.increment()))
  same(all, counted(50).map((count) => count + 2))
  await proved.$close()
  const required = await connect(url, { known: null, require: 'receipt' })
  same((await required.$call('get')).result, 52)
  await required.$close()
  if (user) {
    const named = await connect(`${url}?user=${encodeURIComponent(user)}#${log}`, { known: null })
    same(await named.whoami(), user)
    await named.$close()
  }
  if (!hasKey) await fails(connect(url, { key: await libvms.generateKey(), known: null }), TrustError, 'not-signed')
  await fails(connect(`${url}#${'ab'.repeat(32)}`, { known: null }), TrustError, 'other-log')
}

/** Arguments that nobody can sign are not sent. */
export async function argumentsThatCannotBeSigned ({ libvms, url }) {
  const service = await libvms.connect(url, { key: await libvms.generateKey(), known: null })
  const deep = counted(100).reduce((value) => [value], 1)
  const circle = []
  circle.push(circle)
  for (const bad of ['\ud800', 'a\udfffb', { '\udc00': 1 }, NaN, [Infinity], 1n, deep, circle]) await fails(service.echo(bad), Error)
  await fails(service.$call('echo', { a: 1 }), TypeError)
  await fails(service.$call('echo\ud800', []), TypeError)
  same(await service.get(), 0, 'nothing was called')
  for (const odd of ['', '__proto__', 'a'.repeat(70_000), 2 ** 53, -(2 ** 53), 2 ** 53 + 2, 1e308, 5e-324, { '/': 'a', bytes: 'a' }, { '': { '': '' } }]) {
    same(await service.echo(odd), [odd], 'what is odd and good')
  }
  const proto = JSON.parse('{"__proto__":{"a":1},"constructor":2}')
  same(await service.echo(proto), [proto])
  await service.$close()
}

/** A page or program that stops waiting. */
export async function aborted ({ libvms, url }) {
  const { connect, generateKey, ClosedError } = libvms
  const key = await generateKey()
  const controller = new AbortController()
  const service = await connect(url, { key, known: null, signal: controller.signal })
  const call = new AbortController()
  const slow = service.$call('slow', [], { signal: call.signal })
  call.abort(new Error('enough'))
  same((await fails(slow, Error)).message, 'enough')
  await fails(service.$call('slow', [], { timeout: 1 }), ClosedError, 'timeout')
  const late = fails(service.increment(), Error)
  controller.abort(new Error('all of it'))
  same((await late).message, 'all of it')
  same((await fails(service.increment(), Error)).message, 'all of it')
  await fails(connect(url, { key, known: null, signal: AbortSignal.abort(new Error('never')) }), Error)
}

/** Which log a URL had, the newest head and the last number are remembered, in each platform's own place. */
export async function remembered ({ libvms, url, other, file, ask }) {
  const { connect, generateKey, TrustError } = libvms
  const key = await generateKey()
  const first = await connect(url, { key, known: file })
  same(await first.increment(), 1)
  await first.$close()
  const again = await connect(url, { key, known: file })
  same([await again.increment(), again.$head.length], [2, 3])
  await again.$close()
  // Another service listens there now.
  await ask('test', 'swap')
  const refused = await fails(connect(`${url}?a=b`, { key, known: file }), TrustError, 'other-log')
  holds(refused.message.includes(refused.expected) && refused.message.includes(refused.found), refused.message)
  same(refused.found, other)
  const accepted = await connect(url, { key, known: file, acceptNewKey: true })
  same(await accepted.increment(), 1)
  await accepted.$close()
  await connect(url, { key, known: file }).then((service) => service.$close())
  // An object of the application does as well.
  const object = { text: undefined, read: async () => object.text, write: async (text) => { object.text = text } }
  const clients = await Promise.all(counted(3).map(() => connect(url, { key, known: object })))
  await Promise.all(clients.map((client) => client.increment()))
  await Promise.all(clients.map((client) => client.$close()))
  const lines = object.text.trim().split('\n').map((line) => JSON.parse(line))
  same(lines.map((line) => Object.keys(line)), [['key', 'log', 'nonce'], ['url', 'log', 'length', 'hash', 'sig']])
  holds(lines[1].length >= 4, 'the newest head')
}
