// The URL of a service.

import { nameOf } from './known.js'

/** Characters of a URL. A longer one does not fit into the head of a request. */
const URL_LENGTH_MAX = 16 * 1024

/**
 * Reads the URL of a service, after which `#KEY` may stand: the key of the log that it must write. Throws a `TypeError` for anything else.
 */
export function placeOf (text) {
  const wrong = (why) => new TypeError(`${text} is not the URL of a service: ${why}`)
  if (String(text).length > URL_LENGTH_MAX) throw new TypeError(`a URL has at most ${URL_LENGTH_MAX} characters`)
  if (!URL.canParse(text)) throw wrong('it must begin with ws:// or wss://')
  const url = new URL(text)
  if (url.protocol !== 'ws:' && url.protocol !== 'wss:') throw wrong('it must begin with ws:// or wss://')
  if (url.username || url.password) throw wrong('it has a name or a password before its host')
  const log = url.hash.slice(1).toLowerCase()
  if (log !== '' && !/^[0-9a-f]{64}$/.test(log)) throw wrong("after `#` stands the key of the service's log: 64 hexadecimal digits and nothing else")
  url.hash = ''
  return { url: url.href, name: nameOf(url), log: log || undefined, user: userOf(url.search.slice(1)) }
}

/** Returns the caller's name in a query, as a host reads it. */
function userOf (query) {
  const [, value] = query.split('&').map((parameter) => parameter.split(/=(.*)/s)).find(([name]) => name === 'user') ?? []
  return value ? decodeURIComponent(value) : undefined
}
