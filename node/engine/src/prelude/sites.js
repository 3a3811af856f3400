// Call sites for Error.prepareStackTrace: they hold positions and no functions. Frames of the prelude are among them.
(function (global) {
  'use strict'
  const { Error, Object } = global
  const before = Error.prepareStackTrace
  Error.prepareStackTrace = (error, sites) => sites
  const sites = new Error().stack
  Error.prepareStackTrace = before
  // As in Node.js for strict functions.
  const { getFunction } = { getFunction () { return undefined } }
  Object.defineProperty(Object.getPrototypeOf(sites[0]), 'getFunction', { value: getFunction, writable: true, enumerable: false, configurable: true })
})
