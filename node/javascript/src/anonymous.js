// Calls of nobody in particular. They are sent once: nothing tells a second one from the first.

import { isSameCall } from './entry.js'
import { RefusedError, ServiceError } from './errors.js'
import { readRefusal } from './refusal.js'
import { answerOf, unproved } from './signing.js'
import { request, words } from './wire.js'

/** The codes of JSON-RPC that say why a call was not executed. */
const REASONS = { '-32601': 'no-method', '-32602': 'invalid' }

/** Makes a call, and returns its answer: the one that the log has, where `wantsReceipt`. */
export async function callAnonymously ({ session, link, ask, user, wantsReceipt }, { methodName, args }, limit) {
  session?.checkTrust()
  const from = session?.newest.length
  const make = (id) => request(id, methodName, args, wantsReceipt ? { receipt: true } : {})
  const { result, error, refusal, receipt } = await link.request(make, { isRepeated: false, signal: limit.signal })
  if (wantsReceipt && receipt !== undefined) {
    const opened = await session.openReceipt(receipt)
    await session.heads.checkReceipt(opened, ask, limit)
    checkCall(opened, { methodName, args, userId: user ?? null, from })
    return answerOf(opened)
  }
  if (refusal) throw refused(refusal, error)
  if (error && REASONS[error.code]) throw new RefusedError('refused', describe(error), { reason: REASONS[error.code] })
  if (wantsReceipt) throw unproved(error ? describe(error) : 'it has a result and no receipt')
  if (error) throw serviceError(error)
  return { result }
}

/** Throws unless the entry is of such a call, made since the log had the length `from`: an older one is somebody else's. */
function checkCall ({ number, block, entry }, { methodName, args, userId, from }) {
  const isOurs = entry.type === 'call' && block >= from && entry.call.userId === userId && isSameCall(entry.call, { methodName, args })
  if (!isOurs) throw unproved(`the receipt is that of another call, in block ${number}`)
}

function refused (refusal, error) {
  try {
    return readRefusal(refusal, error).error
  } catch (cause) {
    return unproved(`its refusal cannot be read: ${cause.message}`, cause)
  }
}

const describe = ({ message, data }) => words(typeof data === 'string' ? `${message}: ${data}` : message)

/** Returns an error of the script, whose name is the message of JSON-RPC's error and whose message is its data. */
const serviceError = ({ code, message, data, details }) =>
  new ServiceError(message, typeof data === 'string' ? data : JSON.stringify(data) ?? '', { code, details })
