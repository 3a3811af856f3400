// A headless Chromium with a page that runs a scenario.

import { spawn } from 'node:child_process'
import { mkdtemp, rm } from 'node:fs/promises'
import http from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

import { build } from 'esbuild'

const PROGRAMS = ['chromium', 'chromium-browser', 'google-chrome']

/** Runs a scenario in a browser. Fails as the scenario does. */
export async function inBrowser ({ scenario, context, ask }) {
  const script = await bundled()
  const outcome = Promise.withResolvers?.() ?? withResolvers()
  const server = http.createServer((request, response) => answer(request, response, { script, scenario, context, ask, outcome }))
  await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve))
  const profile = await mkdtemp(join(tmpdir(), 'libvms-browser-'))
  const browser = await start(profile, `http://127.0.0.1:${server.address().port}/`)
  browser.on('exit', (code) => outcome.reject(new Error(`the browser has ended with ${code}`)))
  try {
    await outcome.promise
  } finally {
    await end(browser)
    server.close()
    server.closeAllConnections()
    await rm(profile, { recursive: true, force: true, maxRetries: 10 })
  }
}

function withResolvers () {
  const outcome = {}
  outcome.promise = new Promise((resolve, reject) => Object.assign(outcome, { resolve, reject }))
  return outcome
}

async function bundled () {
  const options = { entryPoints: [join(import.meta.dirname, 'page.js')], bundle: true, format: 'esm', platform: 'browser', write: false }
  return (await build(options)).outputFiles[0].text
}

async function answer (request, response, { script, scenario, context, ask, outcome }) {
  const body = await read(request)
  const { pathname } = new URL(request.url, 'http://here')
  const send = (type, content) => response.writeHead(200, { 'content-type': type, 'cache-control': 'no-store' }).end(content)
  switch (pathname) {
    case '/script.js': return send('text/javascript', script)
    case '/context': return send('application/json', JSON.stringify({ scenario, context }))
    case '/ask': return send('application/json', JSON.stringify(await asked(ask, body)))
    case '/done':
      send('text/plain', '')
      return body ? outcome.reject(new Error(body)) : outcome.resolve()
    case '/frame': return send('text/html', '<!doctype html><script type="module">import { frame } from "/script.js"; frame(window)</script>')
    default: return send('text/html', '<!doctype html><meta charset="utf-8"><script type="module">import { page } from "/script.js"; page()</script>')
  }
}

async function asked (ask, body) {
  try {
    return { answer: await ask(...JSON.parse(body)) ?? null }
  } catch (error) {
    return { error: String(error) }
  }
}

async function read (request) {
  let text = ''
  for await (const chunk of request) text += chunk
  return text
}

/** Starts the first browser that is there. */
async function start (profile, url) {
  const options = ['--headless=new', '--no-sandbox', '--disable-gpu', '--disable-dev-shm-usage', '--no-first-run', '--disable-background-networking',
    '--disable-component-update', '--disable-sync', '--remote-debugging-pipe', `--user-data-dir=${profile}`, url]
  for (const program of PROGRAMS) {
    // The browser ends when its pipes end, however this process does. It is the first of a group, to be ended with all its own.
    const browser = spawn(program, options, { stdio: ['ignore', 'ignore', 'ignore', 'pipe', 'pipe'], detached: true })
    browser.stdio.forEach((pipe) => pipe?.on('error', () => {}))
    const isThere = await new Promise((resolve) => browser.once('spawn', () => resolve(true)).once('error', () => resolve(false)))
    if (isThere) return browser
  }
  throw new Error('this test needs Chromium: run `.ci/setup --tests`')
}

/** Ends a browser with all its processes, which are a group. */
async function end (browser) {
  if (browser.exitCode !== null || browser.signalCode !== null) return
  browser.removeAllListeners('exit')
  const ended = new Promise((resolve) => browser.once('exit', resolve))
  process.kill(-browser.pid, 'SIGKILL')
  await ended
}
