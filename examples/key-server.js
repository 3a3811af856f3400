// Public keys by user name. Nobody but their owner changes them, old ones stay visible in the archive's history,
// and an operator who shows one key to Alice and another to Bob is found out.
//
//   vms host examples/key-server.js
//   vms call ws://127.0.0.1:5555/ set "ssh-ed25519 AAAA..." --user alice
//   vms call ws://127.0.0.1:5555/ get alice
//   vms files export key-server.vms ./keys
//
// With `--auth debug`, as here, the host believes any name: that is for trying out. With `--auth signed` a name is a key.

const KEY_BYTES_MAX = 16 * 1024

const pathOf = (user) => {
  if (typeof user !== 'string' || !/^[a-z0-9][a-z0-9._-]{0,63}$/i.test(user)) {
    throw new TypeError('a user name has 1 to 64 letters, digits, dots, dashes')
  }
  return `/keys/${user.toLowerCase()}`
}

const ownPath = () => {
  if (!System.caller.id) throw new Error('say who you are: ?user=NAME')
  return pathOf(System.caller.id)
}

exports.set = async (key) => {
  if (typeof key !== 'string' || key.length === 0 || key.length > KEY_BYTES_MAX) {
    throw new TypeError(`a key is text of 1 to ${KEY_BYTES_MAX} characters`)
  }
  await System.files.writeFile(ownPath(), key)
}

exports.revoke = () => System.files.unlink(ownPath())

exports.get = async (user) => {
  try {
    return await System.files.readFile(pathOf(user))
  } catch (error) {
    if (error.name === 'NotFoundError') return null
    throw error
  }
}

exports.list = () => System.files.readdir('/keys')

exports.history = async (user) => {
  const path = pathOf(user)
  return (await System.files.history()).filter((change) => change.path === path)
}
