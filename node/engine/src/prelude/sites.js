// Call sites: what Error.prepareStackTrace is given tells where, and hands out no function. Ours stand among them.
(function (global) {
  'use strict'
  const { Error, Object } = global
  const before = Error.prepareStackTrace
  Error.prepareStackTrace = (error, sites) => sites
  const sites = new Error().stack
  Error.prepareStackTrace = before
  // As Node.js has it for strict functions.
  const { getFunction } = { getFunction () { return undefined } }
  Object.defineProperty(Object.getPrototypeOf(sites[0]), 'getFunction', { value: getFunction, writable: true, enumerable: false, configurable: true })
})
