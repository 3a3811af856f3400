// A poll in which each key votes once. Who signs a vote is in the log for all to check; a host can neither invent a vote,
// nor count one twice, nor leave one out of the result unseen.
//
//   vms keygen me.key
//   vms host examples/poll.js --auth signed
//
// A voter's call is `vms call URL vote yes --key me.key --receipt vote.proof`; `vms proof check vote.proof` judges the receipt.
// Keys cost nothing, so the one who opens the poll says which of them vote: the first call is open(question, choices, keys).

let poll = null

const caller = () => {
  if (!System.caller.id) throw new Error('sign the call: nobody in particular has no vote')
  return System.caller.id
}

const current = () => {
  if (!poll) throw new Error('no poll is open yet')
  return poll
}

const isKey = (text) => typeof text === 'string' && /^[0-9a-f]{64}$/.test(text)

exports.open = (question, choices, voters) => {
  const by = caller()
  if (poll) throw new Error('there is a poll already')
  if (typeof question !== 'string' || question === '') throw new TypeError('ask something')
  if (!Array.isArray(choices) || choices.length < 2 || new Set(choices).size !== choices.length || !choices.every((choice) => typeof choice === 'string')) {
    throw new TypeError('give two choices or more, each once')
  }
  if (!Array.isArray(voters) || voters.length === 0 || !voters.every(isKey)) throw new TypeError('name the keys of the voters, each as 64 lower-case digits')
  poll = { question, choices, by, voters: new Set(voters), votes: new Map(), isOpen: true }
  return exports.result()
}

exports.vote = (choice) => {
  const by = caller()
  const { choices, voters, votes, isOpen } = current()
  if (!isOpen) throw new Error('the poll is closed')
  if (!voters.has(by)) throw new Error(`${by} is no voter`)
  if (votes.has(by)) throw new Error(`${by} has voted`)
  if (!choices.includes(choice)) throw new Error(`choose ${choices.join(', ')}`)
  votes.set(by, choice)
  return { voted: votes.size, of: voters.size }
}

exports.close = () => {
  if (caller() !== current().by) throw new Error('only who has opened the poll closes it')
  poll.isOpen = false
  return exports.result()
}

// Counts are told once the poll is closed, so that nobody votes by them. The log shows every vote, to those who look.
exports.result = () => {
  const { question, choices, voters, votes, isOpen } = current()
  const told = { question, isOpen, voted: votes.size, of: voters.size }
  if (isOpen) return told
  const cast = [...votes.values()]
  return { ...told, counts: choices.map((choice) => [choice, cast.filter((vote) => vote === choice).length]) }
}
