// System: who calls, and the files archive.
(function (global, host, buffer) {
  'use strict'
  const { Object, String, TypeError } = global
  const { freeze, defineProperty } = Object
  const { toLowerCase, toWellFormed } = String.prototype
  const { apply } = global.Reflect
  let caller = freeze({ id: null })
  // What a script's options are read from where it gives none.
  const none = freeze({ __proto__: null })

  // A file operation that fails gives a description of its error instead of throwing.
  const done = (answer) => {
    if (answer.failure !== undefined) throw buffer.failure(answer.failure.name, answer.failure.message)
    return answer.value
  }
  const text = (value) => apply(toWellFormed, String(value), [])
  const pathOf = (value) => {
    if (typeof value !== 'string') throw new TypeError('a path is text')
    return text(value)
  }
  const encodingOf = (options) => {
    const encoding = typeof options === 'object' && options !== null ? options.encoding : options
    return encoding === undefined || encoding === null ? undefined : apply(toLowerCase, String(encoding), [])
  }
  const count = (value) => {
    if (value === undefined || value === null) return -1
    const number = +value
    return number >= 0 ? number - number % 1 : 0
  }

  const statOf = (found) => {
    const { isDirectory, size, blocks, offset } = found
    const stat = { size, blocks, offset }
    defineProperty(stat, 'isDirectory', { __proto__: null, value: () => isDirectory })
    defineProperty(stat, 'isFile', { __proto__: null, value: () => !isDirectory })
    return stat
  }
  const below = (folder, name) => folder + '/' + name

  const files = {
    async getInfo () { return done(host.info()) },
    async stat (path) { return statOf(done(host.stat(pathOf(path)))) },
    async readFile (path, options) {
      const encoding = encodingOf(options)
      return buffer.decode(done(host.read(pathOf(path))), encoding)
    },
    async readdir (path = '/', options = none) {
      const folder = pathOf(path)
      const names = done(host.list(folder, !!options?.recursive))
      if (!options?.stat) return names
      const found = []
      for (let at = 0; at < names.length; at++) {
        const value = { name: names[at], stat: statOf(done(host.stat(below(folder, names[at])))) }
        defineProperty(found, at, { __proto__: null, value, writable: true, enumerable: true, configurable: true })
      }
      return found
    },
    async writeFile (path, data, options) {
      const name = pathOf(path)
      done(host.write(name, buffer.encode(data, encodingOf(options))))
    },
    async mkdir (path) { done(host.makeDirectory(pathOf(path))) },
    async unlink (path) { done(host.remove(pathOf(path))) },
    async rmdir (path, options = none) { done(host.removeDirectory(pathOf(path), !!options?.recursive)) },
    async history (options = none) {
      const { start, end, reverse, limit } = options ?? none
      return done(host.history(count(start), count(end), !!reverse, count(limit)))
    }
  }

  const System = freeze({
    // Who calls is kept where no script gets.
    get caller () {
      const id = host.caller()
      if (id !== caller.id) caller = freeze({ id })
      return caller
    },
    files: freeze(files)
  })
  defineProperty(global, 'System', { value: System, writable: false, enumerable: false, configurable: false })
})
