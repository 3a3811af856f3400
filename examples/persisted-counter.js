// A counter in a file. Whoever replicates the files archive sees the count, and every earlier one.
//
//   vms host examples/persisted-counter.js
//   vms call ws://127.0.0.1:5555/ increment
//   vms files cat persisted-counter.vms /count

const PATH = '/count'

exports.init = async () => {
  await System.files.writeFile(PATH, '0')
}

exports.increment = async () => {
  const count = Number(await System.files.readFile(PATH)) + 1
  await System.files.writeFile(PATH, String(count))
  return count
}

exports.get = async () => Number(await System.files.readFile(PATH))
