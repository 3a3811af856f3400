// Who comes to the party? Everybody speaks for themselves, and the host can neither add nor lose a guest unseen.
//
//   vms host examples/guest-list.js
//   vms call ws://127.0.0.1:5555/ rsvp yes --user alice
//   vms call ws://127.0.0.1:5555/ guests
//
// With `--auth debug`, as here, the host believes any name: that is for trying out. With `--auth signed` a name is a key.

const ANSWERS = ['yes', 'no', 'maybe']
const pathOf = (name) => `/guests/${encodeURIComponent(name)}.json`

exports.rsvp = async (answer, company = 0) => {
  const name = System.caller.id
  if (!name) throw new Error('say who you are: ?user=NAME')
  if (!ANSWERS.includes(answer)) throw new Error(`answer ${ANSWERS.join(', ')}`)
  if (!Number.isInteger(company) || company < 0 || company > 10) throw new Error('bring 0 to 10 people')
  const guest = { name, answer, company, at: new Date().toISOString() }
  await System.files.writeFile(pathOf(name), guest, 'json')
  return guest
}

exports.guests = async () => {
  const names = await System.files.readdir('/guests')
  return Promise.all(names.map((name) => System.files.readFile(`/guests/${name}`, 'json')))
}

exports.headcount = async () => {
  const guests = await exports.guests()
  return guests.filter((guest) => guest.answer === 'yes').reduce((sum, guest) => sum + 1 + guest.company, 0)
}
