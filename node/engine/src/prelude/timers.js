// Timers in virtual time: it starts with the call, and jumps to the next timer when no other work is left.
(function (global, host) {
  'use strict'
  const { Map, Object, Reflect, TypeError } = global
  const { apply, setPrototypeOf } = Reflect
  const { get: mapGet, set: mapSet, delete: mapDelete } = Map.prototype
  const TIMEOUT_MAX = 2147483647
  // Without a prototype: a script that changes Array.prototype must not see our timers.
  const list = () => {
    const array = []
    setPrototypeOf(array, null)
    return array
  }
  let pending = new Map()
  let queue = list()
  let made = 0

  const isBefore = (a, b) => a.time < b.time || (a.time === b.time && a.number < b.number)

  // A binary heap: the first timer to fire is at index 0.
  const push = (timer) => {
    let at = queue.length
    while (at > 0) {
      const parent = (at - 1) >> 1
      if (!isBefore(timer, queue[parent])) break
      queue[at] = queue[parent]
      at = parent
    }
    queue[at] = timer
  }

  const pop = () => {
    const first = queue[0]
    const last = queue[queue.length - 1]
    queue.length--
    if (queue.length === 0) return first
    let at = 0
    for (;;) {
      let child = 2 * at + 1
      if (child >= queue.length) break
      if (child + 1 < queue.length && isBefore(queue[child + 1], queue[child])) child++
      if (!isBefore(queue[child], last)) break
      queue[at] = queue[child]
      at = child
    }
    queue[at] = last
    return first
  }

  const start = (callback, delay, args, repeats) => {
    if (typeof callback !== 'function') throw new TypeError('a timer needs a function')
    const timer = { number: ++made, time: host.now() + delay, callback, args, delay, repeats, id: made }
    apply(mapSet, pending, [timer.id, timer])
    push(timer)
    return timer.id
  }

  const milliseconds = (delay) => {
    const number = +delay
    return number >= 1 && number <= TIMEOUT_MAX ? number - number % 1 : 1
  }

  const clear = (id) => { apply(mapDelete, pending, [id]) }

  const functions = {
    setTimeout (callback, delay, ...args) { return start(callback, milliseconds(delay), args, false) },
    setInterval (callback, delay, ...args) { return start(callback, milliseconds(delay), args, true) },
    setImmediate (callback, ...args) { return start(callback, 0, args, false) },
    clearTimeout (id) { clear(id) },
    clearInterval (id) { clear(id) },
    clearImmediate (id) { clear(id) }
  }
  for (const name of Reflect.ownKeys(functions)) {
    Object.defineProperty(global, name, { value: functions[name], writable: true, enumerable: false, configurable: true })
  }

  return {
    // Fires the next timer; returns false when there is none.
    fire () {
      while (queue.length > 0) {
        const timer = pop()
        if (apply(mapGet, pending, [timer.id]) !== timer) continue
        host.advance(timer.time)
        if (timer.repeats) {
          timer.time += timer.delay
          timer.number = ++made
          push(timer)
        } else {
          clear(timer.id)
        }
        apply(timer.callback, undefined, timer.args)
        return true
      }
      return false
    },
    // Drops the timers that a call has left running.
    drop () {
      if (made === 0) return
      pending = new Map()
      queue = list()
      made = 0
    }
  }
})
