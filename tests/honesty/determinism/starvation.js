// First uses of what the engine makes lazily, without room for it.

const names = (object) => Reflect.ownKeys(object).map(key => typeof key === 'symbol' ? '@' + key.description.slice(7) : key)
const key = (name) => name[0] === '@' ? Symbol[name.slice(1)] : name
const hidden = {
  iterator: () => Object.getPrototypeOf(Object.getPrototypeOf([].values())),
  array: () => Object.getPrototypeOf([].values()), map: () => Object.getPrototypeOf(new Map().values()),
  set: () => Object.getPrototypeOf(new Set().values()), string: () => Object.getPrototypeOf(''[Symbol.iterator]()),
  pattern: () => Object.getPrototypeOf('a'.matchAll(/a/g)), helper: () => Object.getPrototypeOf([].values().map(x => x)),
  wrapped: () => Object.getPrototypeOf(Iterator.from({ next () {} })), concat: () => Object.getPrototypeOf(Iterator.concat()),
  generator: () => Object.getPrototypeOf(function * () {}), async: () => Object.getPrototypeOf(async () => {}),
  asyncGenerator: () => Object.getPrototypeOf(async function * () {}), typed: () => Object.getPrototypeOf(Int8Array),
  arguments: () => (function () { return arguments })(), error: () => { try { null.a } catch (e) { return e } },
  match: () => /(?<a>b)/d.exec('b'), promise: () => Promise.withResolvers(), segment: () => 'a'.matchAll(/a/g).next()
}
const root = (name) => name === 'globalThis' ? globalThis : hidden[name]()
const owner = (path) => path.slice(1, -1).reduce((object, name) => {
  const { value, get } = Object.getOwnPropertyDescriptor(object, key(name))
  return value ?? get
}, root(path[0]))

/** Each property of each object that can be reached, once. */
exports.paths = () => {
  const [paths, seen, waiting] = [[], new Set(), ['globalThis', ...Object.keys(hidden)].map(name => [root(name), [name]])]
  for (const [object, path] of waiting) {
    if (seen.has(object)) continue
    seen.add(object)
    for (const name of names(object)) {
      if (path.length === 1 && ['module', 'exports'].includes(name)) continue
      const { value, get } = Object.getOwnPropertyDescriptor(object, key(name))
      paths.push([...path, name])
      for (const next of [value, get]) if (next instanceof Object || typeof next === 'object' && next) waiting.push([next, [...path, name]])
    }
  }
  return paths
}

const told = (f) => { try { return f() } catch (error) { return error ? error.name + ': ' + error.message : 'nothing' } }
const look = (path) => {
  const { value, get, set, writable, enumerable, configurable } = Object.getOwnPropertyDescriptor(owner(path), key(path.at(-1)))
  const kind = (value) => typeof value === 'function' ? `${value.name}/${value.length}` : typeof value === 'object' && value ? names(value).join() : String(value)
  return [typeof value, kind(value), kind(get), kind(set), writable, enumerable, configurable].join(' ')
}
/** What a property is, in words. */
exports.look = (paths) => paths.map(look)

const uses = {
  replace: () => 'aXbX'.replace(/x/gi, (x) => x + '!'), cbrt: () => Math.cbrt(27), symbol: () => Symbol('a').toString(),
  spread: () => [...function * () { yield 1 }()], constructor: () => new (made())() instanceof made(),
  method: () => class { static a () { return 1 } }.a(), group: () => Object.groupBy([1, 2], x => x % 2)[1],
  sort: () => [3, 1, 2].toSorted(), date: () => new Date(0).toISOString(), big: () => String(5n ** 80n),
  json: () => JSON.stringify({ a: [1, { b: 2 }] }), pattern: () => 'aXb'.match(/(?<x>x)/i).groups.x, split: () => 'a,b'.split(/,/),
  zip: () => Iterator.zip ? [...Iterator.zip([[1], [2]])] : 0, concat: () => [...Iterator.concat([1], [2])], take: () => [...[1, 2].values().take(1)],
  set: () => [...new Set([1]).union(new Set([2]))], map: () => [...new Map([[1, 2]]).entries()], typed: () => [...new Uint8Array([1, 2]).toReversed()],
  error: () => new AggregateError([1], 'a').errors, proxy: () => new Proxy({}, { get: () => 1 }).a, reflect: () => Reflect.ownKeys({ a: 1 }),
  text: () => 'abc'.normalize('NFD').padStart(5).at(-1), number: () => (255).toString(16) + (1.5).toFixed(3), async: () => typeof (async () => 1)().then,
  from: () => typeof Array.fromAsync([1]).then, view: () => new DataView(new ArrayBuffer(8)).getFloat64(0), weak: () => new WeakMap([[{}, 1]]) instanceof WeakMap,
  buffer: () => Buffer.from('abc').toString('hex'), eval: () => (0, eval)('`${1 + 1}`'), function: () => Function('a', 'return a * 2')(4),
  unicode: () => /\p{Lu}/u.test('Ä') && 'ß'.toUpperCase(), label: () => 'x'.localeCompare('y'), structured: () => [1, [2]].flat().with(0, 5)
}
let functions = []
const made = () => functions[functions.length - 1]
exports.uses = () => Object.keys(uses)
exports.use = (name) => told(uses[name])

const wrappers = [l => () => l, l => [l], l => ({ l })]

/** Fills the heap, gives some of it back, and does something that may need more. Asks for nothing when there is nothing. */
const starved = (spare, f) => {
  let list = null
  for (let size = 1 << 19; size >= 8; size = size > 256 ? size >> 1 : size - 8) {
    try { for (;;) list = { list, bytes: new ArrayBuffer(size) } } catch {}
  }
  for (let i = 0; i < 3; i++) try { for (;;) list = wrappers[i](list) } catch {}
  for (let i = 0; i < spare && list; i++) list = typeof list === 'function' ? list() : list.list ?? list.l ?? list[0]
  try { return f() } catch { return 'starved' }
}
exports.lookStarved = (path, spare) => starved(spare, () => told(() => look(path)))
exports.useStarved = (name, spare) => starved(spare, () => exports.use(name))
exports.prepare = () => { functions.push(function () {}) }
