// System: who calls, and the files archive.
(function (global, host, buffer) {
  'use strict'
  const { Object, String } = global
  const { freeze, defineProperty } = Object
  const wellFormed = String.prototype.toWellFormed
  const { apply } = global.Reflect
  let caller = freeze({ id: null })

  // A file operation that fails gives a description of its error instead of throwing.
  const done = (answer) => {
    if (answer.failure !== undefined) throw buffer.failure(answer.failure.name, answer.failure.message)
    return answer.value
  }
  const text = (value) => apply(wellFormed, String(value), [])
  const pathOf = (value) => {
    if (typeof value !== 'string') throw new global.TypeError('a path is text')
    return text(value)
  }
  const encodingOf = (options) => {
    const encoding = typeof options === 'object' && options !== null ? options.encoding : options
    return encoding === undefined || encoding === null ? undefined : String(encoding).toLowerCase()
  }
  const count = (value) => {
    if (value === undefined || value === null) return -1
    const number = +value
    return number >= 0 ? number - number % 1 : 0
  }

  const statOf = (found) => {
    const { isDirectory, size, blocks, offset } = found
    const stat = { size, blocks, offset }
    defineProperty(stat, 'isDirectory', { value: () => isDirectory })
    defineProperty(stat, 'isFile', { value: () => !isDirectory })
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
    async readdir (path = '/', options = {}) {
      const folder = pathOf(path)
      const names = done(host.list(folder, !!options?.recursive))
      if (!options?.stat) return names
      const found = []
      for (let at = 0; at < names.length; at++) {
        found[at] = { name: names[at], stat: statOf(done(host.stat(below(folder, names[at])))) }
      }
      return found
    },
    async writeFile (path, data, options) {
      const name = pathOf(path)
      done(host.write(name, buffer.encode(data, encodingOf(options))))
    },
    async mkdir (path) { done(host.makeDirectory(pathOf(path))) },
    async unlink (path) { done(host.remove(pathOf(path))) },
    async rmdir (path, options = {}) { done(host.removeDirectory(pathOf(path), !!options?.recursive)) },
    async history (options = {}) {
      const { start, end, reverse, limit } = options ?? {}
      return done(host.history(count(start), count(end), !!reverse, count(limit)))
    }
  }

  const System = freeze({ get caller () { return caller }, files: freeze(files) })
  defineProperty(global, 'System', { value: System, writable: false, enumerable: false, configurable: false })

  return { setCaller (id) { caller = freeze({ id }) } }
})
