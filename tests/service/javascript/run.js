// Runs one scenario, in Node.js or in a browser: `run.js node|browser NAME`. Standard input has one JSON object of what the scenario is to
// know, then the answers of the test to what it asks; each question is a line of standard output.

import { createInterface } from 'node:readline'

import { inBrowser } from './browser.js'
import { Ledgers } from './ledger.js'
import { Proxy } from './proxy.js'
import * as scenarios from './scenarios.js'

const [where, name] = process.argv.slice(2)
const lines = createInterface({ input: process.stdin })[Symbol.asyncIterator]()
const read = async () => JSON.parse((await lines.next()).value)

/** Asks the test to do something, and waits until it is done. */
async function test (what, ...args) {
  console.log(JSON.stringify({ what, args }))
  return read()
}

const context = await read()
const proxy = new Proxy()
const ledgers = new Ledgers()

/** What a scenario can ask for, wherever it runs: data in, data out. */
const helpers = { test, proxy: (method, ...args) => proxy[method](...args), ledger: (method, ...args) => ledgers[method](...args) }
const ask = (helper, ...args) => helpers[helper](...args)

let timer
try {
  const late = new Promise((resolve, reject) => { timer = setTimeout(() => reject(new Error(`${name} has not ended`)), 240_000) })
  const running = where === 'node' ? inNode() : inBrowser({ scenario: name, context, ask })
  await Promise.race([running, late])
  console.log(JSON.stringify({ what: 'done', args: [] }))
} catch (error) {
  console.error(error)
  process.exitCode = 1
} finally {
  clearTimeout(timer)
  lines.return?.()
  process.stdin.destroy()
  await proxy.end()
  await ledgers.end()
}
// A client that was closed leaves nothing behind: Node.js ends by itself.

async function inNode () {
  const libvms = await import('libvms-client')
  await scenarios[name]({ libvms, ask, ...context })
}
