// Time and random numbers: both come with the call, so every replay sees the same values.
(function (global, host) {
  'use strict'
  const { Object, Reflect, Math } = global
  const Engine = global.Date
  const { apply, construct } = Reflect
  const print = Engine.prototype.toString
  const { parse } = Engine

  const hide = (object, name, value) =>
    Object.defineProperty(object, name, { value, writable: true, enumerable: false, configurable: true })

  const Date = function Date (...parts) {
    if (new.target === undefined) return apply(print, construct(Engine, [host.now()]), [])
    if (parts.length === 0) parts = [host.now()]
    // Parses by the function that charges fuel for long texts.
    else if (parts.length === 1 && typeof parts[0] === 'string') parts = [parse(parts[0])]
    return construct(Engine, parts, new.target)
  }
  Object.defineProperty(Date, 'length', { value: 7 })
  Object.defineProperty(Date, 'prototype', { value: Engine.prototype, writable: false })
  hide(Date, 'now', () => host.now())
  hide(Date, 'parse', Engine.parse)
  hide(Date, 'UTC', Engine.UTC)
  hide(Engine.prototype, 'constructor', Date)
  hide(global, 'Date', Date)
  hide(Math, 'random', host.random)

  // Removes globals that depend on the garbage collector, on other threads or on a clock of their own.
  for (const name of ['WeakRef', 'FinalizationRegistry', 'SharedArrayBuffer', 'Atomics', 'performance']) {
    delete global[name]
  }
})
