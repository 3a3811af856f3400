// Spies on the prelude's use of a script's values: each hook that a value can have records its caller and its arguments.
// These must all belong to the script or the language, and call sites may return nothing but texts.
(function (global, places, results) {
  const { apply, construct, getPrototypeOf, getOwnPropertyDescriptor, ownKeys } = Reflect
  const findings = new Set()
  const isObject = (value) => (typeof value === 'object' && value !== null) || typeof value === 'function'
  const known = new WeakSet()
  // Visits all objects that can be reached from a value; returns the new ones.
  const learn = (root) => {
    const learned = []
    const queue = [root]
    while (queue.length > 0) {
      const value = queue.pop()
      if (!isObject(value) || known.has(value)) continue
      known.add(value)
      learned.push(value)
      queue.push(getPrototypeOf(value))
      for (const key of ownKeys(value)) {
        const { value: held, get, set } = getOwnPropertyDescriptor(value, key)
        queue.push(held, get, set)
        if (get !== undefined) try { queue.push(apply(get, value, [])) } catch {}
      }
    }
    return learned
  }
  learn(global)
  for (const iterator of [[].values(), ''[Symbol.iterator](), new Map().values(), new Set().values(), 'a'.matchAll(/a/g),
    Iterator.from({ next () {} }), [].values().map(x => x)]) learn(getPrototypeOf(iterator))
  for (const kind of [function * () {}, async function () {}, async function * () {}]) learn(kind)

  let doing = ''
  const find = (what) => findings.add(`${doing}: ${what}`)
  const check = (value, where) => {
    if (!isObject(value) || known.has(value)) return
    // A list of arguments, or of spread values.
    if (Array.isArray(value) && getPrototypeOf(value) === Array.prototype) return value.forEach(part => check(part, where))
    // The object in which the language wraps a value that is written as JSON.
    if (ownKeys(value).join() === '') return check(value[''], where)
    find(`${typeof value} ${String(value.name ?? '')} in ${where}`)
  }
  const look = () => {
    const before = Error.prepareStackTrace
    Error.prepareStackTrace = (error, sites) => sites
    const sites = new Error().stack
    Error.prepareStackTrace = before
    for (const site of sites) {
      for (const key of ownKeys(getPrototypeOf(site))) {
        const method = getPrototypeOf(site)[key]
        if (typeof method !== 'function') continue
        const told = apply(method, site, [])
        if (isObject(told)) find(`call site: ${String(key)} gives ${typeof told}`)
      }
    }
  }

  let made = 0
  const spy = (depth = 0) => {
    made++
    const target = function () {}
    const text = () => { look(); return 'text' }
    known.add(text)
    const trap = (name, answer) => (...operands) => {
      look()
      for (const operand of operands) if (operand !== target) check(operand, name)
      return answer(...operands)
    }
    const proxy = new Proxy(target, {
      get: trap('get', (object, key) => {
        if (key === Symbol.toPrimitive) return text
        if (key === 'length') return 2
        if (key === 'then' || key === Symbol.iterator || depth > 2) return undefined
        return spy(depth + 1)
      }),
      set: trap('set', () => true),
      has: trap('has', () => true),
      deleteProperty: trap('deleteProperty', () => true),
      apply: trap('apply', () => 'applied'),
      construct: trap('construct', () => spy(3)),
      getPrototypeOf: trap('getPrototypeOf', () => Function.prototype)
    })
    known.add(target).add(proxy)
    return proxy
  }
  // A value with a getter for each hook and each option.
  const hooked = () => {
    const object = {}
    for (const key of ['length', 'constructor', 'encoding', 'recursive', 'stat', 'start', 'end', 'reverse', 'limit', 'name', 'message',
      'toString', 'valueOf', 'toJSON', 'raw', 'flags', 'source', 'slice', 'subarray', 'buffer', 'byteLength', Symbol.toPrimitive,
      Symbol.species, Symbol.match, Symbol.replace, Symbol.split, Symbol.isConcatSpreadable, Symbol.iterator, Symbol.hasInstance,
      Symbol.toStringTag]) {
      const get = function () { look(); check(this, 'this of a getter'); return undefined }
      Object.defineProperty(object, key, { get })
      known.add(get)
    }
    known.add(object)
    return object
  }
  const callback = function (...operands) {
    look()
    check(this, 'this of a callback')
    operands.forEach(operand => check(operand, 'arguments of a callback'))
    return 0
  }
  known.add(callback)

  const bytes = Buffer.alloc(3)
  known.add(bytes)
  const attempts = []
  const attempt = (name, action) => {
    doing = name
    try {
      attempts.push(action())
    } catch (error) { attempts.push(error) }
  }
  for (const operands of [[spy, spy, spy], [hooked, hooked, hooked], [() => '/a', spy, spy], [() => '/a', () => 'x', hooked],
    [() => callback, spy, spy], [() => [spy()], spy, spy], [() => new Uint8Array(3), spy, spy], [spy, () => callback, spy]]) {
    const args = () => operands.map(operand => {
      const made = operand()
      learn(made)
      return made
    })
    const surface = [[System.files, 'System.files'], [Buffer, 'Buffer'], [Buffer.prototype, 'Buffer.prototype'], [console, 'console'],
      [Date, 'Date'], [{ setTimeout, setInterval, setImmediate, clearTimeout, clearInterval, clearImmediate }, 'timers']]
    for (const [object, path] of surface) {
      for (const key of ownKeys(object)) {
        const { value } = getOwnPropertyDescriptor(object, key)
        if (typeof value !== 'function') continue
        for (const receiver of [object, bytes, ...args()]) {
          attempt(`${path}.${String(key)}`, () => apply(value, receiver, args()))
        }
      }
    }
    for (const place of places) {
      const built = (0, eval)(place)
      for (const receiver of args()) attempt(place, () => apply(built, receiver, args()))
      attempt(`new ${place}`, () => construct(built, args()))
    }
    for (const built of [Buffer, Date]) attempt(`new ${built.name}`, () => construct(built, args()))
  }
  // The prelude returns data.
  const settle = async () => {
    for (const result of attempts) { try { await result } catch {} }
    for (const [name, result] of results()) {
      doing = name
      let value
      try { value = await result } catch (error) { value = error }
      for (const learned of learn(value)) {
        const isOfStat = typeof learned === 'function' && /^is(Directory|File)$|^value$/.test(learned.name)
        if (typeof learned === 'function' && !isOfStat) find(`a function ${learned.name} in the result`)
      }
    }
    return { findings: [...findings], made }
  }
  return settle()
})
