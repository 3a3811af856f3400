// JSON data as a log holds it: what `JSON.parse` gives, in text without lone surrogates, no deeper than a log takes.

/** Levels of arrays and objects (`VALUE_DEPTH_MAX` of the protocol). */
export const DEPTH_MAX = 100

const LONE_SURROGATE = /\p{Surrogate}/u

/** Returns the arguments of a call as they are signed. Throws a `TypeError` where JSON has no such value, or a log none. */
export function argumentsOf (args) {
  if (!Array.isArray(args)) throw new TypeError('the arguments of a call are an array')
  return dataOf(args)
}

/** Returns a value as JSON data. What JSON leaves out is left out; what it would only distort is an error. */
export function dataOf (value) {
  const text = JSON.stringify(value, refuseDistorted)
  if (text === undefined) throw new TypeError('JSON has no such value')
  const data = JSON.parse(text)
  check(data, DEPTH_MAX)
  return data
}

/** A replacer: JSON would write `null` for these numbers. */
function refuseDistorted (key, value) {
  if (typeof value === 'number' && !Number.isFinite(value)) throw new TypeError(`${value} is no number of JSON`)
  return value
}

/** Throws where data is deeper than `levels`, or has a lone surrogate. */
export function check (data, levels) {
  if (typeof data === 'string') checkText(data)
  if (typeof data !== 'object' || data === null) return
  if (levels === 0) throw new TypeError(`nested deeper than ${DEPTH_MAX} levels`)
  if (!Array.isArray(data)) Object.keys(data).forEach(checkText)
  for (const inner of Object.values(data)) check(inner, levels - 1)
}

function checkText (text) {
  if (LONE_SURROGATE.test(text)) throw new TypeError('a text with half of a surrogate pair')
}
