// Roles: the first caller is the admin, admins make admins, and each rule is in the script for all to check.
//
//   vms host examples/user-auth.js
//   vms call ws://127.0.0.1:5555/ setAdmin bob true --user alice
//   vms call ws://127.0.0.1:5555/ announce "Doors open at eight" --user bob
//
// With `--auth debug`, as here, the host believes any name: that is for trying out. With `--auth signed` a name is a key.

const admins = new Set()
let announcement = null

class Forbidden extends Error {
  get name () { return 'Forbidden' }
}

const caller = () => {
  if (!System.caller.id) throw new Forbidden('say who you are: ?user=NAME')
  return System.caller.id
}

const mustBeAdmin = () => {
  const id = caller()
  if (admins.size === 0) admins.add(id)
  if (!admins.has(id)) throw new Forbidden(`${id} is no admin`)
}

exports.whoami = () => ({ id: System.caller.id, isAdmin: admins.has(System.caller.id) })

exports.admins = () => [...admins]

exports.setAdmin = (id, isAdmin) => {
  mustBeAdmin()
  if (typeof id !== 'string' || id === '') throw new TypeError('name somebody')
  if (!isAdmin && admins.size === 1) throw new Forbidden('the last admin stays')
  if (isAdmin) admins.add(id)
  else admins.delete(id)
  return exports.admins()
}

exports.announce = (text) => {
  mustBeAdmin()
  announcement = { by: System.caller.id, text: String(text), at: Date.now() }
  return announcement
}

exports.announcement = () => announcement
