// Hosts that lie: whatever they say, a client believes the log and nothing else.

import { counted, fails, holds, same, sleep } from './check.js'

const repeat = (count, trick) => counted(count).map(() => trick)

/** What stands beside a receipt is not read; an answer without the receipt of this call is none. */
export async function falseAnswers ({ libvms, ask }) {
  const { connect, generateKey, ServiceError, UnprovedError } = libvms
  const { url } = await ask('ledger', 'start', 'a')
  const { url: otherUrl } = await ask('ledger', 'start', 'other')
  const stranger = await connect(otherUrl, { key: await generateKey(), known: null })
  const { receipt } = await stranger.$call('increment')
  const foreign = btoa(String.fromCharCode(...receipt)).replaceAll('+', '-').replaceAll('/', '_').replaceAll('=', '')
  const service = await connect(url, { key: await generateKey(), known: null })
  const refusal = { error: { code: -32001, message: 'lie', data: { reason: 'stale-call' } } }
  await ask('ledger', 'next', 'a', [{ answer: { result: 77 } }, { answer: { error: { code: -32000, message: 'Error', data: 'lie' } } }, { answer: refusal }])
  for (const number of [1, 2, 3]) same(await service.increment(), number, 'the log\'s answer')
  const thrown = await fails(service.throw(), ServiceError, 42)
  same([thrown.name, thrown.message, thrown.data, thrown.block], ['TypeError', 'no luck', { why: 1 }, 4])
  const lies = {
    'another call of this key': { receiptOf: 1 },
    'the deployment': { receiptOf: 0 },
    "another log's": { answer: { receipt: foreign } },
    'no receipt': { answer: { receipt: null } },
    'no receipt of an error': { instead: { error: { code: -32000, message: 'Error', data: 'no' } } },
    'no receipt of a result': { instead: { result: 2 } },
    'an empty receipt': { answer: { receipt: '' } },
    'a number': { answer: { receipt: 7 } },
    'not base64': { answer: { receipt: '====' } },
    'not a proof': { answer: { receipt: 'AAAA' } },
    'garbage of three megabytes': { answer: { receipt: 'A'.repeat(3_000_000) } },
    'an array without an end': { answer: { receipt: 'm____wAA' } },
    'deep nesting': { answer: { receipt: 'gYGB'.repeat(300_000) } },
    'another result in the entry': { changed: 'entry' },
    'a refusal without a reason': { instead: { error: { code: -32001, message: 'no', data: { reason: 7 } } } },
    'a refusal with too many nodes': { refuse: 'unknown-head', more: { nodes: repeat(600, { index: 1, hash: '00'.repeat(32), size: 1 }) } },
    'a refusal with a head that is none': { refuse: 'unknown-head', more: { head: [] } }
  }
  for (const [name, lie] of Object.entries(lies)) {
    await ask('ledger', 'next', 'a', [lie])
    await fails(service.increment(), UnprovedError, 'unproved', name)
  }
  holds(await service.increment() > 4, 'all goes on')
  await service.$close()
  await stranger.$close()
}

/** A host that answers one call with the entry of another executes none twice, and convinces nobody. */
export async function repeatedAnswers ({ libvms, ask }) {
  const { connect, generateKey, UnprovedError } = libvms
  const { url, log } = await ask('ledger', 'start', 'r')
  const key = await generateKey()
  const service = await connect(url, { key, known: null })
  same(await service.increment(), 1)
  await ask('ledger', 'next', 'r', [{ receiptOf: 1 }])
  await fails(service.increment(), UnprovedError, 'unproved', 'the first answer again')
  const anonymous = await connect(`${url}#${log}`, { known: null })
  same(await anonymous.increment(), 3)
  await ask('ledger', 'next', 'r', [{ receiptOf: 3 }, { receiptOf: 1 }, { receiptOf: 0 }, { answer: { receipt: null } }])
  for (const what of ['an older entry', "somebody else's", 'the deployment', 'nothing']) await fails(anonymous.increment(), UnprovedError, 'unproved', what)
  same(await anonymous.increment(), 8)
  const { entries } = await ask('ledger', 'seen', 'r')
  const nonces = entries.filter(({ userId }) => userId === key.id).map(({ nonce }) => nonce)
  same(nonces.length, new Set(nonces).size, 'no call stands there twice')
  await service.$close()
  await anonymous.$close()
}

/** A host that refuses for ever is given up. */
export async function falseRefusals ({ libvms, ask }) {
  const { connect, generateKey, ClockError, RefusedError } = libvms
  const { url } = await ask('ledger', 'start', 'f')
  const key = await generateKey()
  const service = await connect(url, { key, known: null, timeout: 400 })
  for (const reason of ['early', 'closing', 'busy', 'repeated-nonce', 'stale-call', 'unknown-head', 'old-head']) {
    for (const more of [{}, { now: 0 }, { now: Number.MAX_SAFE_INTEGER }, { latest: 'AAAA' }, { latest: 7 }]) {
      await ask('ledger', 'next', 'f', repeat(1000, { refuse: reason, more }))
      const before = await ask('ledger', 'seen', 'f')
      const error = await fails(service.increment(), Error)
      holds(error instanceof RefusedError || error instanceof ClockError || error.code === 'timeout', `${reason}: ${error}`)
      const after = await ask('ledger', 'seen', 'f')
      holds(after.calls - before.calls < 40, `${reason} ${JSON.stringify(more)}: ${after.calls - before.calls} calls`)
    }
  }
  await service.$close()
  const patient = await connect(url, { key: await generateKey(), known: null })
  for (const reason of ['stale-call', 'old-head', 'unknown-head']) {
    await ask('ledger', 'next', 'f', [{ refuse: reason }])
    holds(await patient.increment() > 0, 'it is signed again, once')
    const { entries } = await ask('ledger', 'seen', 'f')
    same(entries.at(-1).instead?.length, 1, 'in the place of the first')
    await ask('ledger', 'next', 'f', repeat(2, { refuse: reason, more: { block: 9 } }))
    const error = await fails(patient.increment(), RefusedError)
    same([error.reason, error.block], [reason, 9])
  }
  await ask('ledger', 'next', 'f', [{ refuse: 'rate', more: { retryAfter: 1500 } }, { refuse: 'rate', more: { sig: '00'.repeat(64) } }, { refuse: 'tired' }])
  const rate = await fails(patient.increment(), RefusedError)
  same([rate.reason, rate.retryAfter, rate.isSigned], ['rate', 1500, true])
  holds(rate.message.includes('rate (as the test wants it)'), rate.message)
  same((await fails(patient.increment(), RefusedError)).isSigned, false, 'not its signature')
  same((await fails(patient.increment(), RefusedError)).reason, 'tired')
  await ask('ledger', 'next', 'f', [{ refuse: 'closing' }, { refuse: 'busy' }, { refuse: 'early' }])
  holds(await patient.increment() > 0, 'the same call again')
  same((await ask('ledger', 'seen', 'f')).entries.at(-1).instead, undefined)
  await patient.$close()
}

/** A service that does not describe its log gets no signature. */
export async function noLog ({ libvms, ask }) {
  const { connect, generateKey, ClosedError, TrustError } = libvms
  const { url } = await ask('ledger', 'start', 'n')
  const key = await generateKey()
  const head = { length: 1, hash: '00'.repeat(32), sig: '00'.repeat(64) }
  const descriptions = [
    { log: null }, { head: null }, { now: null }, { auth: null }, { log: 'AB'.repeat(32) }, { log: 7 }, { head }, { head: { ...head, length: -1 } },
    { head: [] }, { now: -1 }, { now: 1.5 }, { now: 2 ** 60 }, { limits: { callAge: 'x' } }, { log: '00'.repeat(32) },
    { consistency: { nodes: repeat(10_000, { index: 1, hash: '00'.repeat(32), size: 1 }) } }, { consistency: { nodes: [null] } }
  ]
  for (const told of descriptions) {
    await ask('ledger', 'handshakes', 'n', told)
    await fails(connect(url, { key, known: null }), TrustError, 'no-log', JSON.stringify(told).slice(0, 100))
  }
  await ask('ledger', 'handshakes', 'n', { auth: 'debug' })
  await fails(connect(url, { key, known: null }), TrustError, 'not-signed')
  same((await ask('ledger', 'seen', 'n')).calls, 0, 'nothing was signed')
  await ask('ledger', 'handshakes', 'n', {})
  // What is no answer at all, or none that ends.
  const texts = ['', 'x', '[]', '7', '{"id":"1"}', '{"jsonrpc":"2.0","error":{"code":-32700,"message":"Parse error"},"id":null}', '{"id":0,"error":7}', '['.repeat(100_000)]
  for (const text of texts) {
    await ask('ledger', 'speaks', 'n', [{ text }])
    await fails(connect(url, { key, known: null, timeout: 5000 }), ClosedError, 'garbage', text.slice(0, 40))
  }
  await ask('ledger', 'speaks', 'n', [{ text: '{"method":"news"}' }])
  await fails(connect(url, { key, known: null, timeout: 300 }), ClosedError, 'timeout')
}

/** Frames that no server sends, and messages beyond the bound. */
export async function badFrames ({ libvms, ask }) {
  const { connect, generateKey, ClosedError } = libvms
  const { url } = await ask('ledger', 'start', 'b')
  const key = await generateKey()
  const frames = ['8200', '8300', '8181000000007b', 'c17b', '817f7fffffffffffffff', '817f0000000001000001', '897e0080', '0900', '8000', '017b' + '817b', '81fe']
  for (const raw of frames) {
    await ask('ledger', 'speaks', 'b', [{ raw }])
    const error = await fails(connect(url, { key, known: null, timeout: 2000 }), ClosedError, undefined, raw)
    holds(['garbage', 'lost', 'timeout'].includes(error.code), `${raw}: ${error.code}`)
  }
  await ask('ledger', 'speaks', 'b', undefined)
}

/** A shorter head, or one that does not show how it goes on, is stale, and proves nothing. */
export async function stale ({ libvms, ask, file }) {
  const { connect, generateKey, TrustError, UnprovedError } = libvms
  const { url } = await ask('ledger', 'start', 's')
  const key = await generateKey()
  const service = await connect(url, { key, known: file })
  await service.increment()
  await ask('ledger', 'save', 's', 'before')
  await service.increment()
  await service.$close()
  await ask('ledger', 'save', 's', 'newest')
  await ask('ledger', 'show', 's', 'before', 0, false)
  const error = await fails(connect(url, { key, known: file }), TrustError, 'stale')
  holds(error.message.includes('length 2') && error.message.includes('length 3'), error.message)
  // It may catch up.
  const connecting = connect(url, { key, known: file })
  await sleep(100)
  await ask('ledger', 'show', 's', 'newest', 0, false)
  const caughtUp = await connecting
  same(await caughtUp.increment(), 3)
  // Restored from a backup while it is connected.
  await ask('ledger', 'show', 's', 'before', 0, false)
  const under = await fails(caughtUp.increment(), Error)
  holds(under instanceof TrustError || under instanceof UnprovedError, `${under.name}`)
  await ask('ledger', 'show', 's', 'newest', 3, false)
  await ask('ledger', 'handshakes', 's', { consistency: null })
  await fails(connect(url, { key, known: file }), TrustError, undefined, 'it does not say how it has grown')
  await caughtUp.$close()
}

/** Two histories are a fork: proved to anybody, kept, and never forgiven. */
export async function forks ({ libvms, ask, file }) {
  const { connect, generateKey, ForkError } = libvms
  for (const longer of [0, 1, 5]) {
    const name = `fork${longer}`
    const { url, log } = await ask('ledger', 'start', name)
    const key = await generateKey()
    const service = await connect(url, { key, known: file })
    await service.increment()
    await ask('ledger', 'save', name, 'before')
    await service.increment()
    await service.$close()
    await ask('ledger', 'save', name, 'newest')
    await ask('ledger', 'show', name, 'before', 1 + longer)
    const fork = await fails(connect(url, { key, known: file }), ForkError, 'fork')
    same([fork.log, fork.heads.map(({ length }) => length)], [log, [3, 3 + longer]])
    same(await ask('test', 'proof', Array.from(fork.proof), log), 'holds')
    // Back on the first history, it is refused all the same.
    await ask('ledger', 'show', name, 'newest')
    const again = await fails(connect(url, { key, known: file }), ForkError, 'fork')
    same(Array.from(again.proof), Array.from(fork.proof))
    holds(again.message.includes(`fork-${log}.proof`), again.message)
  }
}

/** A call that is executed in another history, or refused by one, shows the fork. */
export async function forksUnderWay ({ libvms, ask }) {
  const { connect, generateKey, ForkError } = libvms
  const prove = async (fork, log) => same(await ask('test', 'proof', Array.from(fork.proof), log), 'holds')
  for (const [name, takesAnyHead, others] of [['executed', true, 2], ['longer', true, 6], ['refused', false, 3], ['same', true, 1]]) {
    const { url, log } = await ask('ledger', 'start', name)
    const service = await connect(url, { key: await generateKey(), known: null })
    await ask('ledger', 'save', name, 'before')
    await service.increment()
    await service.increment()
    await ask('ledger', 'show', name, 'before', others, takesAnyHead)
    await prove(await fails(service.increment(), ForkError, 'fork', name), log)
    const { calls } = await ask('ledger', 'seen', name)
    await fails(service.increment(), ForkError, 'fork', 'for good')
    same((await ask('ledger', 'seen', name)).calls, calls, 'nothing more is signed')
    await service.$close()
  }
  // A head that says itself that its log was truncated.
  const { url, log } = await ask('ledger', 'start', 'truncated')
  const service = await connect(url, { key: await generateKey(), known: null })
  await ask('ledger', 'next', 'truncated', [{ changed: 'fork' }])
  const fork = await fails(service.increment(), ForkError, 'fork')
  same(fork.heads.length, 1)
  await prove(fork, log)
  await service.$close()
}
