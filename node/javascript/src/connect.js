// Connecting to a service.

import { openSocket, ownStore } from '#platform'

import { Client } from './client.js'
import { lateError, Limit } from './limit.js'
import { placeOf } from './place.js'
import { Events, serviceOf } from './service.js'
import { Store } from './store.js'

/** How long a call may take, and connecting, in milliseconds: as long as a signed call is good where a service does not say otherwise. */
const TIMEOUT = 60_000

/**
 * Connects to the service at `url`, `ws://HOST:PORT/PATH`, after which `#KEY` may stand: the key of the log that it must write.
 */
export async function connect (url, { key, known, require, acceptNewKey = false, signal, timeout = TIMEOUT } = {}) {
  const options = { key, require, acceptNewKey, timeout }
  checkOptions(options)
  const [place, events] = [placeOf(url), new Events()]
  const client = new Client({ place, options, openSocket, store: storeOf(known, options, place), events })
  const limit = new Limit({ timeout, signal, late: () => lateError(`connecting to ${place.url}`, timeout, client.link.outage) })
  try {
    await client.begin(limit)
  } catch (error) {
    client.link.end(error)
    throw error
  } finally {
    limit.done()
  }
  closeWith(signal, client)
  return serviceOf(client, events)
}

function checkOptions ({ key, require, timeout }) {
  if (key !== undefined && typeof key?.sign !== 'function') throw new TypeError('key is not one of generateKey, importKey or storedKey')
  if (require !== undefined && require !== 'receipt') throw new TypeError("require is 'receipt', or left out")
  if (typeof timeout !== 'number' || !(timeout > 0)) throw new TypeError('timeout is not a number of milliseconds')
}

/** Returns where the client remembers logs. One that compares none has no place for that. */
function storeOf (known, { key, require }, { log }) {
  if (known === null || !(key || require || log)) return undefined
  return new Store(known === undefined || typeof known === 'string' ? ownStore(known) : known)
}

/** Ends a client when a signal says so. */
function closeWith (signal, { link }) {
  const stop = () => link.end(signal.reason)
  if (signal?.aborted) stop()
  else signal?.addEventListener('abort', stop, { once: true })
}
