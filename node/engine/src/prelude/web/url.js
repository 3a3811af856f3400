// URL and URLSearchParams: the URL standard. Parsing is the host's.
(function (language, host, tools) {
  'use strict'
  const { TypeError, apply, arraySort, defineProperty, getOwnPropertyDescriptor, iterator, iteratorPrototype, ownKeys, setPrototypeOf, slice, toStringTag } = language
  const { finish, isObject, list, text } = tools
  // The places of a URL's parts, in the host's order.
  const HREF = 0
  const ORIGIN = 1
  const PROTOCOL = 2
  const USERNAME = 3
  const PASSWORD = 4
  const HOST = 5
  const HOSTNAME = 6
  const PORT = 7
  const PATHNAME = 8
  const SEARCH = 9
  const HASH = 10

  const wants = (what, given, wanted) => {
    if (given < wanted) throw new TypeError(what + ' takes ' + wanted + ' arguments, not ' + given)
  }
  const pairsOf = (query) => {
    const pairs = host.formParts(query)
    setPrototypeOf(pairs, null)
    return pairs
  }
  // As Web IDL reads a sequence.
  const each = (iterable, method, visit) => {
    const steps = apply(method, iterable, [])
    if (!isObject(steps)) throw new TypeError('URLSearchParams: the value is not iterable')
    const { next } = steps
    for (;;) {
      const step = apply(next, steps, [])
      if (!isObject(step)) throw new TypeError('URLSearchParams: the value is not iterable')
      if (step.done) return
      visit(step.value)
    }
  }
  // As Web IDL reads a record: a name that comes twice, since halves of letters are made whole, keeps its place.
  const ofRecord = (record) => {
    const pairs = list()
    const places = { __proto__: null }
    const keys = ownKeys(record)
    for (let at = 0; at < keys.length; at++) {
      const property = getOwnPropertyDescriptor(record, keys[at])
      if (property === undefined || !property.enumerable) continue
      const name = text(keys[at])
      const value = text(record[keys[at]])
      const place = places[name] ?? pairs.length
      places[name] = place
      pairs[place] = name
      pairs[place + 1] = value
    }
    return pairs
  }
  const ofSequence = (sequence, method) => {
    if (typeof method !== 'function') throw new TypeError('URLSearchParams: the value is not iterable')
    const pairs = list()
    each(sequence, method, (pair) => {
      const parts = list()
      const inner = isObject(pair) ? pair[iterator] : undefined
      if (typeof inner !== 'function') throw new TypeError('URLSearchParams: each pair must be iterable')
      each(pair, inner, (part) => { parts[parts.length] = text(part) })
      if (parts.length !== 2) throw new TypeError('URLSearchParams: each pair must be a name and a value')
      pairs[pairs.length] = parts[0]
      pairs[pairs.length] = parts[1]
    })
    return pairs
  }

  // What the classes below may do with the parameters of a URL, and an iterator with any.
  let attach, refill, pairsIn

  class URLSearchParams {
    // A name, its value, the next name.
    #pairs
    // Takes the query that these parameters make up, if they are those of a URL.
    #update = undefined

    static {
      attach = (params, update) => { params.#update = update }
      refill = (params, query) => { params.#pairs = pairsOf(query) }
      pairsIn = (params) => params.#pairs
    }

    constructor (init = '') {
      if (isObject(init)) {
        const method = init[iterator]
        this.#pairs = method === undefined || method === null ? ofRecord(init) : ofSequence(init, method)
      } else {
        const query = text(init)
        this.#pairs = pairsOf(query[0] === '?' ? apply(slice, query, [1]) : query)
      }
    }

    get size () { return this.#pairs.length / 2 }

    append (name, value) {
      const pairs = this.#pairs
      wants('append', arguments.length, 2)
      const key = text(name)
      const content = text(value)
      pairs[pairs.length] = key
      pairs[pairs.length] = content
      this.#changed()
    }

    delete (name, value = undefined) {
      this.#pairs
      wants('delete', arguments.length, 1)
      const key = text(name)
      const content = value === undefined ? undefined : text(value)
      const kept = list()
      const pairs = this.#pairs
      for (let at = 0; at < pairs.length; at += 2) {
        if (pairs[at] === key && (content === undefined || pairs[at + 1] === content)) continue
        kept[kept.length] = pairs[at]
        kept[kept.length] = pairs[at + 1]
      }
      this.#pairs = kept
      this.#changed()
    }

    get (name) {
      const pairs = this.#pairs
      wants('get', arguments.length, 1)
      const key = text(name)
      for (let at = 0; at < pairs.length; at += 2) if (pairs[at] === key) return pairs[at + 1]
      return null
    }

    getAll (name) {
      const pairs = this.#pairs
      wants('getAll', arguments.length, 1)
      const key = text(name)
      const found = []
      for (let at = 0; at < pairs.length; at += 2) {
        if (pairs[at] !== key) continue
        defineProperty(found, found.length, { __proto__: null, value: pairs[at + 1], writable: true, enumerable: true, configurable: true })
      }
      return found
    }

    has (name, value = undefined) {
      const pairs = this.#pairs
      wants('has', arguments.length, 1)
      const key = text(name)
      const content = value === undefined ? undefined : text(value)
      for (let at = 0; at < pairs.length; at += 2) {
        if (pairs[at] === key && (content === undefined || pairs[at + 1] === content)) return true
      }
      return false
    }

    set (name, value) {
      this.#pairs
      wants('set', arguments.length, 2)
      const key = text(name)
      const content = text(value)
      const kept = list()
      let isSet = false
      const pairs = this.#pairs
      for (let at = 0; at < pairs.length; at += 2) {
        const isIt = pairs[at] === key
        if (isIt && isSet) continue
        kept[kept.length] = pairs[at]
        kept[kept.length] = isIt ? content : pairs[at + 1]
        isSet ||= isIt
      }
      if (!isSet) {
        kept[kept.length] = key
        kept[kept.length] = content
      }
      this.#pairs = kept
      this.#changed()
    }

    sort () {
      const pairs = this.#pairs
      const order = list()
      for (let at = 0; at < pairs.length; at += 2) order[order.length] = at
      apply(arraySort, order, [(a, b) => pairs[a] < pairs[b] ? -1 : pairs[a] > pairs[b] ? 1 : a - b])
      const sorted = list()
      for (let at = 0; at < order.length; at++) {
        sorted[sorted.length] = pairs[order[at]]
        sorted[sorted.length] = pairs[order[at] + 1]
      }
      this.#pairs = sorted
      this.#changed()
    }

    forEach (callback, thisArgument = undefined) {
      this.#pairs
      if (typeof callback !== 'function') throw new TypeError('forEach takes a function')
      // A list that is being changed is seen as it is then.
      for (let at = 0; at < this.#pairs.length; at += 2) apply(callback, thisArgument, [this.#pairs[at + 1], this.#pairs[at], this])
    }

    entries () {
      this.#pairs
      return new Steps(this, 'entries')
    }

    keys () {
      this.#pairs
      return new Steps(this, 'keys')
    }

    values () {
      this.#pairs
      return new Steps(this, 'values')
    }

    toString () {
      const pairs = this.#pairs
      let query = ''
      for (let at = 0; at < pairs.length; at += 2) {
        query += (at === 0 ? '' : '&') + host.formText(pairs[at]) + '=' + host.formText(pairs[at + 1])
      }
      return query
    }

    #changed () {
      // By our own function, whatever the script has put in its place.
      if (this.#update !== undefined) this.#update(apply(toString, this, []))
    }
  }
  const { toString } = URLSearchParams.prototype
  defineProperty(URLSearchParams.prototype, iterator, { __proto__: null, value: URLSearchParams.prototype.entries, writable: true, enumerable: false, configurable: true })

  class Steps {
    #params
    #kind
    #at = 0
    constructor (params, kind) {
      this.#params = params
      this.#kind = kind
    }

    next () {
      const pairs = pairsIn(this.#params)
      const at = this.#at
      if (at >= pairs.length) return { value: undefined, done: true }
      this.#at = at + 2
      const value = this.#kind === 'keys' ? pairs[at] : this.#kind === 'values' ? pairs[at + 1] : [pairs[at], pairs[at + 1]]
      return { value, done: false }
    }
  }
  delete Steps.prototype.constructor
  setPrototypeOf(Steps.prototype, iteratorPrototype)
  defineProperty(Steps.prototype, 'next', { __proto__: null, value: Steps.prototype.next, writable: true, enumerable: true, configurable: true })
  defineProperty(Steps.prototype, toStringTag, { __proto__: null, value: 'URLSearchParams Iterator', writable: false, enumerable: false, configurable: true })

  const parse = (url, base) => {
    const address = text(url)
    return host.url(address, base === undefined ? null : text(base)) ?? null
  }
  const refused = (url) => {
    const error = new TypeError('Invalid URL')
    defineProperty(error, 'code', { __proto__: null, value: 'ERR_INVALID_URL', writable: true, enumerable: true, configurable: true })
    defineProperty(error, 'input', { __proto__: null, value: text(url), writable: true, enumerable: true, configurable: true })
    return error
  }
  // Stands for a URL that was parsed already.
  const parsed = { __proto__: null, parts: null }

  class URL {
    #parts
    #params = undefined

    constructor (url, base = undefined) {
      wants('URL', arguments.length, 1)
      if (url === parsed) {
        this.#parts = parsed.parts
        return
      }
      const parts = parse(url, base)
      if (parts === null) throw refused(url)
      this.#parts = parts
    }

    static canParse (url, base = undefined) {
      wants('canParse', arguments.length, 1)
      return parse(url, base) !== null
    }

    static parse (url, base = undefined) {
      wants('parse', arguments.length, 1)
      const parts = parse(url, base)
      if (parts === null) return null
      parsed.parts = parts
      return new URL(parsed)
    }

    get href () { return this.#parts[HREF] }
    set href (value) {
      this.#parts
      const parts = parse(value, undefined)
      if (parts === null) throw refused(value)
      this.#parts = parts
      this.#refill()
    }

    get origin () { return this.#parts[ORIGIN] }
    get protocol () { return this.#parts[PROTOCOL] }
    set protocol (value) { this.#set(PROTOCOL, value) }
    get username () { return this.#parts[USERNAME] }
    set username (value) { this.#set(USERNAME, value) }
    get password () { return this.#parts[PASSWORD] }
    set password (value) { this.#set(PASSWORD, value) }
    get host () { return this.#parts[HOST] }
    set host (value) { this.#set(HOST, value) }
    get hostname () { return this.#parts[HOSTNAME] }
    set hostname (value) { this.#set(HOSTNAME, value) }
    get port () { return this.#parts[PORT] }
    set port (value) { this.#set(PORT, value) }
    get pathname () { return this.#parts[PATHNAME] }
    set pathname (value) { this.#set(PATHNAME, value) }
    get search () { return this.#parts[SEARCH] }
    set search (value) {
      this.#set(SEARCH, value)
      this.#refill()
    }

    get searchParams () {
      const query = this.#parts[SEARCH]
      if (this.#params === undefined) {
        this.#params = new URLSearchParams(query)
        attach(this.#params, (changed) => { this.#set(SEARCH, changed) })
      }
      return this.#params
    }

    get hash () { return this.#parts[HASH] }
    set hash (value) { this.#set(HASH, value) }
    toString () { return this.#parts[HREF] }
    toJSON () { return this.#parts[HREF] }

    #set (part, value) {
      const before = this.#parts[HREF]
      const parts = host.changedUrl(before, part, text(value))
      // What cannot be set stays as it is.
      if (parts !== undefined) this.#parts = parts
    }

    #refill () {
      if (this.#params !== undefined) refill(this.#params, apply(slice, this.#parts[SEARCH], [1]))
    }
  }

  return { __proto__: null, URL: finish(URL, 'URL'), URLSearchParams: finish(URLSearchParams, 'URLSearchParams') }
})
