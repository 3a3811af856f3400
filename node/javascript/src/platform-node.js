// What Node.js has of its own: files. What is remembered is the file of the Rust client, under the same lock.

import { spawn } from 'node:child_process'
import { constants } from 'node:fs'
import { mkdir, open, readFile, rename } from 'node:fs/promises'
import { homedir } from 'node:os'
import { dirname, isAbsolute, join } from 'node:path'

import { KnownLogsError } from './errors.js'
import { exportKey, generateKey, importKey } from './keys.js'

export { openSocket } from './socket-node.js'

/** Bytes of a file that is read. */
const FILE_BYTES_MAX = 16 * 1024 * 1024

/** Seconds for which another program may hold the lock: it only reads and writes a file meanwhile. */
const LOCK_SECONDS = 10

/** How often the lock is tried where no program waits for it, in milliseconds. */
const LOCK_POLL = 5

/** Returns the place of a file; without a path, the user's own, `$XDG_STATE_HOME/vms/known_logs`. */
export function ownStore (path = ownPath()) {
  return {
    name: path,
    read: () => read(path).then((bytes) => decoder.decode(bytes ?? new Uint8Array())),
    write: (text) => replace(path, text),
    lock: (work) => locked(path, work),
    readProof: (name) => read(join(dirname(path), name)),
    keepProof: (name, proof) => locked(path, () => keep(join(dirname(path), name), proof)),
    placeOfProof: (name) => join(dirname(path), name)
  }
}

/** Returns the key of a file of `vms keygen`, which is made where there is none. */
export async function storedKey (path) {
  try {
    return await importKey(await readFile(path, 'utf8'))
  } catch (error) {
    if (error.code !== 'ENOENT') throw error
  }
  const key = await generateKey()
  const file = await open(path, 'wx', 0o600)
  try {
    await file.writeFile(await exportKey(key))
    await file.sync()
  } finally {
    await file.close()
  }
  return key
}

const decoder = new TextDecoder('utf-8', { fatal: true })

function ownPath () {
  const state = process.env.XDG_STATE_HOME
  return join(state && isAbsolute(state) ? state : join(homedir(), '.local/state'), 'vms/known_logs')
}

/** Returns the content of a file; undefined if it does not exist. */
async function read (path) {
  let file
  try {
    file = await open(path)
    const { size } = await file.stat()
    if (size > FILE_BYTES_MAX) throw new Error('it is too large')
    return new Uint8Array(await file.readFile())
  } catch (cause) {
    if (cause.code === 'ENOENT') return undefined
    throw failed('read', path, cause)
  } finally {
    await file?.close()
  }
}

/** Replaces the content of a file, under its lock. After a crash it is the old one or the new one. */
async function replace (path, content) {
  const made = `${path}.new`
  try {
    const file = await open(made, 'w', 0o600)
    try {
      await file.writeFile(content)
      await file.sync()
    } finally {
      await file.close()
    }
    await rename(made, path)
  } catch (cause) {
    throw failed('write', path, cause)
  }
}

async function keep (path, proof) {
  if (await read(path) === undefined) await replace(path, proof)
}

/** Does `work` under the lock of the file, which is a file beside it. */
async function locked (path, work) {
  try {
    await mkdir(dirname(path), { recursive: true })
  } catch (cause) {
    throw failed('make', dirname(path), cause)
  }
  const unlock = await lock(`${path}.lock`)
  try {
    return await work()
  } finally {
    await unlock()
  }
}

/**
 * Takes the lock that the Rust client takes: flock(2). Node.js does not have that call; where the system does not take the lock as it opens
 * a file, the program flock(1) holds it for us, until its standard input ends.
 */
const lock = (path) => EXCLUSIVE === undefined ? lockByProgram(path) : lockByOpening(path)

/** `O_EXLOCK` of the systems that have it. */
const EXCLUSIVE = { darwin: 0x20, freebsd: 0x20, openbsd: 0x20 }[process.platform]

async function lockByOpening (path) {
  const flags = constants.O_WRONLY | constants.O_CREAT | constants.O_NONBLOCK | EXCLUSIVE
  for (const begun = performance.now(); ;) {
    try {
      const file = await open(path, flags, 0o600)
      return () => file.close()
    } catch (cause) {
      if (cause.code !== 'EAGAIN') throw failed('lock', path, cause)
      if (performance.now() - begun > 1000 * LOCK_SECONDS) throw held(path)
      await new Promise((resolve) => setTimeout(resolve, LOCK_POLL))
    }
  }
}

async function lockByProgram (path) {
  await (await open(path, 'a', 0o600).catch((cause) => { throw failed('open', path, cause) })).close()
  const flock = spawn('flock', ['--exclusive', '--timeout', String(LOCK_SECONDS), path, 'sh', '-c', 'echo; exec cat'], { stdio: ['pipe', 'pipe', 'ignore'] })
  const ended = new Promise((resolve, reject) => flock.on('error', reject).on('exit', resolve))
  flock.stdin.on('error', () => {})
  const taken = new Promise((resolve) => flock.stdout.once('data', () => resolve('taken')))
  const outcome = await Promise.race([taken, ended]).catch((cause) => { throw failed('lock', path, cause) })
  if (outcome !== 'taken') throw held(path)
  return async () => {
    flock.stdin.end()
    await ended
  }
}

const held = (path) => new KnownLogsError('locked', `another program holds ${path} and does not let it go`)

const failed = (what, path, cause) => new KnownLogsError('system', `cannot ${what} ${path}: ${cause.message}`, { cause })
