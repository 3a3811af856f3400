// A package registry whose names belong to keys. Nobody but its owner publishes under a name, no version ever changes, and an
// operator who serves another content is found out.
//
//   vms keygen me.key
//   vms host examples/package-registry.js --auth signed
//   curl http://127.0.0.1:5555/files/packages/left-pad/1.0.0
//
// An owner's call is `vms call URL publish left-pad 1.0.0 @left-pad.js --key me.key`, or `transfer left-pad OTHERKEY`.
// Downloads are files of the archive: `vms files cat` copies and checks them, and they stay out of the log of calls.

const NAME = /^[a-z0-9][a-z0-9-]{0,63}$/
const VERSION = /^(0|[1-9]\d{0,5})\.(0|[1-9]\d{0,5})\.(0|[1-9]\d{0,5})$/
const CONTENT_MAX = 512 * 1024

class Forbidden extends Error {
  get name () { return 'Forbidden' }
}

const caller = () => {
  if (!System.caller.id) throw new Forbidden('sign the call')
  return System.caller.id
}

const folderOf = (name) => {
  if (typeof name !== 'string' || !NAME.test(name)) throw new TypeError('a name has 1 to 64 small letters, digits, dashes')
  return `/packages/${name}`
}

const read = async (name) => {
  try {
    return await System.files.readFile(`${folderOf(name)}/package.json`, 'json')
  } catch (error) {
    if (error.name === 'NotFoundError') return null
    throw error
  }
}

const write = (name, description) => System.files.writeFile(`${folderOf(name)}/package.json`, description, 'json')

// The package, for its owner alone.
const own = async (name) => {
  const by = caller()
  const description = await read(name)
  if (!description) throw new Error(`there is no ${name}`)
  if (description.owner !== by) throw new Forbidden(`${name} belongs to ${description.owner}`)
  return description
}

exports.publish = async (name, version, content) => {
  const by = caller()
  if (typeof version !== 'string' || !VERSION.test(version)) throw new TypeError('a version is three numbers: 1.0.0')
  if (typeof content !== 'string' || content.length > CONTENT_MAX) throw new TypeError(`a content is text of at most ${CONTENT_MAX} characters`)
  // A name belongs to the first who publishes under it.
  const description = await read(name) ? await own(name) : { name, owner: by, versions: {} }
  if (Object.hasOwn(description.versions, version)) throw new Error(`${name} ${version} is published, and never changes`)
  description.versions[version] = { by, at: new Date().toISOString(), isYanked: false }
  await System.files.writeFile(`${folderOf(name)}/${version}`, content)
  await write(name, description)
  return description
}

// Says that a version should not be used. It stays: others may depend on it.
exports.yank = async (name, version, isYanked = true) => {
  const description = await own(name)
  if (!Object.hasOwn(description.versions, version)) throw new Error(`there is no ${name} ${version}`)
  description.versions[version].isYanked = Boolean(isYanked)
  await write(name, description)
  return description
}

// Gives a name to another key, for good.
exports.transfer = async (name, owner) => {
  const description = await own(name)
  if (typeof owner !== 'string' || !/^[0-9a-f]{64}$/.test(owner)) throw new TypeError('a key has 64 lower-case hexadecimal digits')
  await write(name, { ...description, owner })
  return owner
}

exports.info = (name) => read(name)

exports.latest = async (name) => {
  const description = await read(name)
  const parts = (version) => version.split('.').map(Number)
  const isLater = (one, other) => {
    const at = [0, 1, 2].find((place) => parts(one)[place] !== parts(other)[place])
    return at !== undefined && parts(one)[at] > parts(other)[at]
  }
  const usable = Object.entries(description?.versions ?? {}).filter(([, { isYanked }]) => !isYanked).map(([version]) => version)
  return usable.reduce((best, version) => best === null || isLater(version, best) ? version : best, null)
}

exports.list = async () => {
  try {
    return await System.files.readdir('/packages')
  } catch (error) {
    if (error.name === 'NotFoundError') return []
    throw error
  }
}
