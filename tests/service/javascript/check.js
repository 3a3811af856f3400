// Assertions, for Node.js and for browsers.

/** Fails unless two values are the same data. */
export function same (found, expected, what = '') {
  const [one, other] = [found, expected].map((value) => JSON.stringify(value) ?? 'undefined')
  if (one !== other) throw new Error(`${what}: ${one.slice(0, 2000)}, expected ${other.slice(0, 2000)}`)
}

export function holds (condition, what) {
  if (!condition) throw new Error(`it does not hold: ${what}`)
}

/** Returns the error of a promise that fails with an error of this class. */
export async function fails (promise, kind, code, what = '') {
  let found
  try {
    found = await promise
  } catch (error) {
    if (!(error instanceof kind)) throw new Error(`${what}: ${error?.name} instead of ${kind.name}: ${error?.stack}`)
    if (code !== undefined) same(error.code ?? error.reason, code, `${what}: ${error.message}`)
    return error
  }
  throw new Error(`${what}: it did not fail, and gave ${JSON.stringify(found)}`)
}

export const sleep = (millis) => new Promise((resolve) => setTimeout(resolve, millis))

/** Waits until something holds. */
export async function until (condition) {
  while (!await condition()) await sleep(5)
}

/** Returns the numbers from 1 on. */
export const counted = (count) => Array.from({ length: count }, (_, at) => at + 1)
