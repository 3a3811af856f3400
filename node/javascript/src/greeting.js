// What a service tells of its log in answer to `handshake`, checked as far as it can be without knowing anything of the log.

import { equal } from './bytes.js'
import { TrustError } from './errors.js'
import { Log } from './log.js'
import { readGreeting, words } from './wire.js'

/**
 * Reads the answer to a handshake of the service at `url`. `log` is the one that it must write, if that is known. Throws a `TrustError`
 * where it does not describe its log, or where its head is not signed.
 */
export function checkGreeting (url, { result, error }, log) {
  const noLog = (why, cause) => new TrustError('no-log', `${url} does not describe its log as a service for callers with keys does: ${words(why)}`, { cause })
  if (error) throw noLog(error.message)
  const greeting = read(result, noLog)
  const own = log && equal(greeting.log, log.key) ? log : new Log(greeting.log)
  if (!own.isHeadSigned(greeting.head)) throw noLog(`the head at length ${greeting.head.length} is not signed by its log`)
  return { ...greeting, log: own }
}

function read (result, noLog) {
  try {
    return readGreeting(result)
  } catch (error) {
    throw noLog(error.message, error)
  }
}
