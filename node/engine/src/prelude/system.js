// System: the caller's id, the files archive, the world outside, digests and signatures.
(function (global, host, content) {
  'use strict'
  const { JSON, Object, Promise, String, TypeError } = global
  const { parse, stringify } = JSON
  const { isArray } = global.Array
  const { freeze, defineProperty, keys } = Object
  const { slice, toLowerCase, toWellFormed } = String.prototype
  const { apply, construct, setPrototypeOf } = global.Reflect
  const COUNT_MAX = 9007199254740991
  let caller = freeze({ id: null })
  let call = freeze({ id: null })
  // The options of a call that passes none.
  const none = freeze({ __proto__: null })

  // A file operation that fails returns a description of its error instead of throwing.
  const done = (answer) => {
    if (answer.failure !== undefined) throw content.failure(answer.failure.name, answer.failure.message)
    return answer.value
  }
  const text = (value) => apply(toWellFormed, String(value), [])

  // Describes a value of the wrong type in a few words.
  const short = (value) => value.length > 40 ? apply(slice, value, [0, 40]) + '...' : value
  const given = (value) => {
    const type = typeof value
    if (value === undefined || value === null) return String(value)
    if (type === 'string') return 'the text ' + stringify(short(text(value)))
    if (type === 'object') return isArray(value) ? 'an array' : 'an object'
    if (type === 'function' || type === 'symbol') return 'a ' + type
    return 'the ' + type + ' ' + short(String(value))
  }
  const wrong = (call, argument, wanted, value) => {
    throw new TypeError(call + ': ' + argument + ' must be ' + wanted + ', not ' + given(value))
  }

  const pathOf = (call, value) => typeof value === 'string' ? text(value) : wrong(call, 'path', 'a text', value)
  const isMissing = (value) => value === undefined || value === null
  const flag = (call, name, value) => {
    if (isMissing(value)) return false
    return typeof value === 'boolean' ? value : wrong(call, name, 'true or false', value)
  }
  const count = (call, name, value) => {
    if (isMissing(value)) return -1
    const isCount = typeof value === 'number' && value >= 0 && value <= COUNT_MAX && value % 1 === 0
    return isCount ? value : wrong(call, name, 'a whole number from 0', value)
  }
  const encodingOf = (call, value) => {
    if (isMissing(value)) return undefined
    return typeof value === 'string' ? apply(toLowerCase, short(value), []) : wrong(call, 'encoding', 'a text', value)
  }

  // Reads the options of a call. An unknown option is an error: it would have no effect, and be a mistake.
  const optionsOf = (call, options, ...names) => {
    if (isMissing(options)) return none
    if (typeof options !== 'object' || isArray(options)) wrong(call, 'options', 'an object', options)
    const said = keys(options)
    for (let at = 0; at < said.length; at++) {
      let isKnown = false
      let has = ''
      for (let of = 0; of < names.length; of++) {
        isKnown = isKnown || names[of] === said[at]
        has += (of === 0 ? '' : ', ') + names[of]
      }
      if (isKnown) continue
      const option = stringify(short(text(said[at])))
      throw new TypeError(call + ': there is no option ' + option + '; it has ' + (has === '' ? 'none' : has))
    }
    return options
  }
  // Files are read and written with an encoding, or with an object that has one.
  const encodingIn = (call, options) => {
    if (typeof options === 'string') return encodingOf(call, options)
    if (!isMissing(options) && typeof options !== 'object') wrong(call, 'options', 'an encoding or an object', options)
    return encodingOf(call, optionsOf(call, options, 'encoding').encoding)
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
    async getInfo (options) {
      optionsOf('getInfo', options)
      return done(host.info())
    },
    async stat (path, options) {
      const name = pathOf('stat', path)
      optionsOf('stat', options)
      return statOf(done(host.stat(name)))
    },
    async readFile (path, options) {
      const name = pathOf('readFile', path)
      const encoding = encodingIn('readFile', options)
      return content.decode(done(host.read(name)), encoding)
    },
    async readdir (path = '/', options = none) {
      const folder = pathOf('readdir', path)
      const chosen = optionsOf('readdir', options, 'recursive', 'stat', 'limit', 'offset', 'reverse')
      const isRecursive = flag('readdir', 'recursive', chosen.recursive)
      const hasStat = flag('readdir', 'stat', chosen.stat)
      const limit = count('readdir', 'limit', chosen.limit)
      const offset = count('readdir', 'offset', chosen.offset)
      const isReverse = flag('readdir', 'reverse', chosen.reverse)
      const names = done(host.list(folder, isRecursive, offset, limit, isReverse))
      if (!hasStat) return names
      const found = []
      for (let at = 0; at < names.length; at++) {
        const value = { name: names[at], stat: statOf(done(host.stat(below(folder, names[at])))) }
        defineProperty(found, at, { __proto__: null, value, writable: true, enumerable: true, configurable: true })
      }
      return found
    },
    async writeFile (path, data, options) {
      const name = pathOf('writeFile', path)
      const encoding = encodingIn('writeFile', options)
      done(host.write(name, content.encode(data, encoding)))
    },
    async mkdir (path, options) {
      const name = pathOf('mkdir', path)
      optionsOf('mkdir', options)
      done(host.makeDirectory(name))
    },
    async unlink (path, options) {
      const name = pathOf('unlink', path)
      optionsOf('unlink', options)
      done(host.remove(name))
    },
    async rmdir (path, options = none) {
      const name = pathOf('rmdir', path)
      const isRecursive = flag('rmdir', 'recursive', optionsOf('rmdir', options, 'recursive').recursive)
      done(host.removeDirectory(name, isRecursive))
    },
    async history (options = none) {
      const chosen = optionsOf('history', options, 'start', 'end', 'reverse', 'limit')
      const start = count('history', 'start', chosen.start)
      const end = count('history', 'end', chosen.end)
      const isReverse = flag('history', 'reverse', chosen.reverse)
      const limit = count('history', 'limit', chosen.limit)
      return done(host.history(start, end, isReverse, limit))
    }
  }

  // Without a prototype: a script that changes Array.prototype must not see our questions.
  const list = () => {
    const array = []
    setPrototypeOf(array, null)
    return array
  }
  // The questions that were asked, in order; `next` is the first whose answer was not delivered.
  let questions = list()
  let next = 0
  const refuse = (failure) => {
    if (failure === undefined) return
    const error = content.failure(failure.name, failure.message)
    if (failure.code !== null) {
      defineProperty(error, 'code', { __proto__: null, value: failure.code, writable: true, enumerable: false, configurable: true })
    }
    throw error
  }
  const told = (answer) => {
    refuse(answer.failure)
    return answer.value
  }
  const nameOf = (what, value) => typeof value === 'string' ? text(value) : wrong(what, 'name', 'a text', value)
  const jsonOf = (args) => {
    setPrototypeOf(args, null)
    return stringify(args)
  }
  const ask = (what, oracle, argsOf) => construct(Promise, [(resolve, reject) => {
    const name = nameOf(what, oracle)
    const args = jsonOf(argsOf())
    const at = questions.length
    let isAsked = false
    // Before it is asked: from then on nothing can fail that would leave an answer without its question.
    questions[at] = { __proto__: null, resolve, reject }
    try {
      refuse(host.ask(name, args))
      isAsked = true
    } finally {
      if (!isAsked) questions.length = at
    }
  }])
  const request = (options) => {
    const { method, headers, body, encoding } = optionsOf('fetch', options, 'method', 'headers', 'body', 'encoding')
    return { __proto__: null, method, headers, body, encoding }
  }

  const System = freeze({
    // The caller's id is kept where no script can reach it.
    get caller () {
      const id = host.caller()
      if (id !== caller.id) caller = freeze({ id })
      return caller
    },
    get call () {
      const id = told(host.callId())
      if (id !== call.id) call = freeze({ id })
      return call
    },
    files: freeze(files),
    oracle (name, ...args) { return ask('oracle', name, () => args) },
    fetch (url, options) {
      return ask('fetch', 'fetch', () => isMissing(options) ? [text(url)] : [text(url), request(options)])
    },
    emit (name, ...args) { refuse(host.emit(nameOf('emit', name), jsonOf(args))) },
    get crypto () { return host.systemCrypto() }
  })
  defineProperty(global, 'System', { value: System, writable: false, enumerable: false, configurable: false })

  return {
    // Delivers the answer to the oldest question.
    deliver () {
      const question = questions[next++]
      let value
      try {
        value = parse(told(host.answer()))
      } catch (error) {
        question.reject(error)
        return
      }
      question.resolve(value)
    },
    // Drops the questions of a call that has ended.
    drop () {
      if (questions.length === 0) return
      questions = list()
      next = 0
    }
  }
})
