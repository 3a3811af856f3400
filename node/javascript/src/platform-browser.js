// What a browser has of its own: IndexedDB, and Web Locks between its tabs.

import { KnownLogsError } from './errors.js'
import { generatePair, keyOfPair } from './keys.js'

export { openSocket } from './socket-browser.js'

const DATABASE = 'libvms'
const STORE = 'known'

/** Where calls without an answer are, and how many: more than people make. */
const CALLS = IDBKeyRange.bound('call-', 'call.', false, true)
const CALLS_MAX = 1000

/** Returns the place of this page's origin. */
export function ownStore () {
  return {
    name: 'this browser',
    read: () => get('lines'),
    write: (text) => put('lines', text),
    lock: (work) => navigator.locks.request('libvms/known', work),
    readProof: (name) => get(name),
    keepProof: async (name, proof) => {
      if (await get(name) === undefined) await put(name, proof)
    },
    placeOfProof: (name) => `${name} of the database ${DATABASE}`,
    calls
  }
}

/** Returns the key of this name, which nobody can read out of the browser. It is made where there is none. */
export async function storedKey (name = 'default') {
  const place = `key-${name}`
  return navigator.locks.request(`libvms/${place}`, async () => {
    let pair = await get(place)
    if (!pair) {
      pair = await generatePair()
      await put(place, pair)
    }
    return keyOfPair(pair)
  })
}

/** The numbers and the unanswered calls of all tabs: together they are one caller. */
class Calls {
  // While a tab lives, its calls are its own. The lock ends with it.
  #tab = crypto.randomUUID()
  #isAlive = false
  #underWay = new Set()

  /** Takes the next number of a key in a log: `next` is given the last one that any tab has used, and returns it. */
  async reserve (key, log, next) {
    const place = `nonce-${key}-${log}`
    return navigator.locks.request(`libvms/${place}`, async () => {
      const nonce = next(await get(place) ?? 0)
      if (nonce !== undefined) await put(place, nonce)
      return nonce
    })
  }

  /** Keeps a call until it is answered. */
  async keep (id, call) {
    this.#live()
    if (!this.#underWay.has(id) && await transact('readonly', (store) => store.count(CALLS)) >= CALLS_MAX) {
      throw new KnownLogsError('full', `this browser keeps ${CALLS_MAX} calls without an answer: forget some`)
    }
    this.#underWay.add(id)
    await put(`call-${id}`, { ...call, id, tab: this.#tab })
  }

  /** Takes that nobody waits for a call any more. One that is answered is forgotten. */
  async settle (id, isAnswered) {
    if (this.#underWay.delete(id) && isAnswered) await this.forget(id)
  }

  async forget (id) {
    await change((store) => store.delete(`call-${id}`))
  }

  /** Returns the calls of a key in a log that have no answer, and for which nobody waits. */
  async orphans (key, log) {
    const { held } = await navigator.locks.query()
    const tabs = new Set(held.map(({ name }) => name))
    const isWaitedFor = ({ tab, id }) => tab === this.#tab ? this.#underWay.has(id) : tabs.has(tabLock(tab))
    const calls = await transact('readonly', (store) => store.getAll(CALLS, CALLS_MAX))
    return calls.filter((call) => call.key === key && call.log === log && !isWaitedFor(call))
  }

  /** Says that this tab lives, until it does not. */
  #live () {
    if (this.#isAlive) return
    this.#isAlive = true
    navigator.locks.request(tabLock(this.#tab), () => new Promise(() => {}))
  }
}

const tabLock = (tab) => `libvms/tab/${tab}`

const calls = new Calls()

let opened

/** Opens the database, once. */
function database () {
  opened ??= new Promise((resolve, reject) => {
    const asked = indexedDB.open(DATABASE, 1)
    asked.onupgradeneeded = () => asked.result.createObjectStore(STORE)
    asked.onsuccess = () => resolve(asked.result)
    asked.onerror = () => reject(failed(asked.error))
  })
  return opened
}

const get = (place) => transact('readonly', (store) => store.get(place))
const put = (place, value) => change((store) => store.put(value, place))
const change = (work) => transact('readwrite', work)

/** Does one thing, and waits until it is done. */
async function transact (mode, work) {
  const transaction = (await database()).transaction(STORE, mode)
  const asked = work(transaction.objectStore(STORE))
  return new Promise((resolve, reject) => {
    transaction.oncomplete = () => resolve(asked.result)
    transaction.onabort = () => reject(failed(transaction.error))
  })
}

const failed = (cause) => new KnownLogsError('system', `this browser does not keep what it knows: ${cause?.message}`, { cause })
