// Replaces all that a script can replace: each function, getter and setter of the language and its globals, by one that reports
// its use. The prelude's behaviour must not change by that, and must use none of them.
(function (global, kept) {
  const { apply, defineProperty, getOwnPropertyDescriptor, getPrototypeOf, ownKeys, setPrototypeOf } = Reflect
  let used = ''
  const isObject = (value) => (typeof value === 'object' && value !== null) || typeof value === 'function'
  const objects = []
  const seen = new Set(kept.slice(1))
  const walk = (path, object) => {
    if (!isObject(object) || seen.has(object)) return
    seen.add(object)
    objects.push([path, object])
    for (const key of ownKeys(object)) {
      const { value, get, set } = getOwnPropertyDescriptor(object, key)
      for (const inner of [value, get, set]) walk(`${path}.${String(key)}`, inner)
    }
    walk(`${path}.__proto__`, getPrototypeOf(object))
  }
  walk('global', global)
  walk('Date.prototype', Date.prototype)
  for (const iterator of [[].values(), ''[Symbol.iterator](), new Map().values(), new Set().values(), 'a'.matchAll(/a/g),
    Iterator.from({ next () {} }), [].values().map(x => x)]) walk('iterator', getPrototypeOf(iterator))
  for (const [name, kind] of [['generator', function * () {}], ['async', async function () {}], ['asyncGenerator', async function * () {}]]) {
    walk(name, getPrototypeOf(kind))
  }
  const poison = (path) => function () { used += path + '\n'; return undefined }
  const describe = Symbol.prototype.toString

  let count = 0
  return {
    poison () {
      // No iterator is left when this is half done.
      for (let index = 0; index < objects.length; index++) {
        const path = objects[index][0]
        const object = objects[index][1]
        const keys = ownKeys(object)
        for (let at = 0; at < keys.length; at++) {
          const key = keys[at]
          // Those that the language itself calls on a result: a promise is resolved with it, or it is written as JSON.
          if (key === 'then' || key === 'toJSON' || key === 'constructor' || (object === global && key === 'exports')) continue
          const property = getOwnPropertyDescriptor(object, key)
          const where = path + '.' + (typeof key === 'symbol' ? apply(describe, key, []) : key)
          if (!property.configurable && !property.writable) continue
          if (typeof property.value === 'function') {
            if (property.configurable) defineProperty(object, key, { __proto__: null, value: poison(where), configurable: true, writable: true })
            else object[key] = poison(where)
          } else if (property.configurable && property.get !== undefined) {
            defineProperty(object, key, { __proto__: null, get: poison(where), set: poison(where), configurable: true })
          } else continue
          count++
        }
      }
      // Properties that descriptions, answers, options and lists would inherit.
      const inherited = ['value', 'get', 'set', 'writable', 'enumerable', 'configurable', 'failure', 'name', 'message', 'stat', 'recursive',
        'start', 'end', 'reverse', 'limit', 'encoding', 'isDirectory', 'size', 'blocks', 'offset', 'id', 'args', 'callback', 'time', 'number',
        '0', '1', '2', '3', 'utf8', 'hex', 'undefined']
      for (let at = 0; at < inherited.length; at++) {
        const where = 'inherited ' + inherited[at]
        defineProperty(kept[0], inherited[at], { __proto__: null, get: poison(where), set: poison(where), configurable: true })
        count++
      }
      setPrototypeOf(kept[1], function Evil () { used += 'Evil\n' })
      return count
    },
    used () { return used }
  }
})
