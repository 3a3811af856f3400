// console: lines for the operator. Nothing that a script can see depends on whether anybody reads them.
(function (global, host) {
  'use strict'
  const { Error, JSON, Object, String } = global
  const { stringify } = JSON
  const wellFormed = String.prototype.toWellFormed
  const { apply } = global.Reflect

  const show = (value) => {
    if (typeof value === 'string') return value
    if (value instanceof Error) return `${value.name}: ${value.message}`
    if (typeof value === 'object' && value !== null) {
      try {
        return stringify(value) ?? Object.prototype.toString.call(value)
      } catch {
        return Object.prototype.toString.call(value)
      }
    }
    return typeof value === 'function' ? `[function ${value.name}]` : String(value)
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
