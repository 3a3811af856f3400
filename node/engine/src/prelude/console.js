// console: lines for the operator. A script cannot observe whether they are read.
(function (global, host) {
  'use strict'
  const { Error, JSON, Object, String } = global
  const { stringify } = JSON
  const { isPrototypeOf, toString } = Object.prototype
  const wellFormed = String.prototype.toWellFormed
  const { apply } = global.Reflect

  const show = (value) => {
    if (typeof value === 'string') return value
    if (typeof value === 'object' && value !== null) {
      if (apply(isPrototypeOf, Error.prototype, [value])) return String(value.name) + ': ' + String(value.message)
      try {
        return stringify(value) ?? apply(toString, value, [])
      } catch {
        return apply(toString, value, [])
      }
    }
    return typeof value === 'function' ? '[function ' + String(value.name) + ']' : String(value)
  }

  const line = (level) => (...values) => {
    let text = ''
    for (let at = 0; at < values.length; at++) text += (at === 0 ? '' : ' ') + show(values[at])
    host.console(level, apply(wellFormed, text, []))
  }

  const console = {}
  for (const level of ['log', 'info', 'warn', 'error', 'debug']) console[level] = line(level)
  Object.defineProperty(global, 'console', { value: console, writable: true, enumerable: false, configurable: true })
})
