// Why a host has not executed a call, as it says.

import { hex, unhex } from './bytes.js'
import { callName, refusalBytes } from './call.js'
import { RefusedError } from './errors.js'
import { integer, readHead, readNodes, words } from './wire.js'

const optional = (value, read) => value === undefined || value === null ? undefined : read(value)

/**
 * Reads a refusal `form` of the call that was signed as `signed` (undefined for anonymous ones). `log` checks the signature of the
 * refusal. Throws where it has not its form.
 */
export function readRefusal (form, error, log, signed) {
  const { reason } = form
  if (typeof reason !== 'string') throw new TypeError('its reason is no text')
  const now = optional(form.now, (now) => integer(now, 'now'))
  const block = optional(form.block, (block) => integer(block, 'block'))
  const retryAfter = optional(form.retryAfter, (millis) => integer(millis, 'retryAfter'))
  const sig = optional(form.sig, (sig) => unhex(sig, 64))
  const call = signed && callName(signed.bytes, signed.sig)
  const refusal = sig && call && now !== undefined && { log: log.key, call, reason, now, block }
  const isSigned = Boolean(refusal) && log.verifies(refusalBytes(refusal), sig)
  return {
    reason,
    now,
    head: log && optional(form.head, (head) => readHead(log.key, head)),
    nodes: optional(form.nodes, readNodes) ?? [],
    latest: form.latest,
    error: refusedError({ reason, now, block, retryAfter, isSigned, sig: isSigned ? hex(sig) : undefined }, error)
  }
}

function refusedError (fields, { message, data }) {
  const said = typeof data === 'string' ? `: ${data}` : ''
  const more = Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== undefined))
  return new RefusedError('refused', `the host has not executed the call: ${words(`${fields.reason} (${message}${said})`)}`, more)
}
