// Stock cores to replicate.
const Hypercore = require('hypercore')

// A core of COUNT blocks of BYTES.
module.exports.written = async function (directory, count, bytes) {
  const core = new Hypercore(directory, { compat: true })
  await core.ready()
  const many = Math.max(1, Math.floor(1e6 / bytes))
  for (let done = 0; done < count; done += many) {
    await core.append(Array.from({ length: Math.min(many, count - done) }, (_, block) => Buffer.alloc(bytes, done + block)))
  }
  return core
}

// A copy that has nothing yet of the core with this key.
module.exports.copy = async function (directory, key) {
  const core = new Hypercore(directory, Buffer.from(key, 'hex'), { compat: true })
  await core.ready()
  return core
}
