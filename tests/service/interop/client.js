// Makes calls with the stock nodevms-client.
const Client = require('nodevms-client')
const main = require('./main')

// [{ url, user, calls: [[method, ...args]] }] -> for each service, its handshake and what the calls gave
main(async (sessions) => {
  const results = []
  for (const { url, user, calls } of sessions) {
    const client = new Client()
    await client.connect(url, { user })
    const answers = []
    for (const [method, ...args] of calls) answers.push(await answer(client, method, args))
    results.push({ handshake: client.backendInfo, answers })
    const closed = new Promise((resolve) => client.on('close', resolve))
    client.close()
    results.at(-1).closed = await closed
  }
  return results
})

const answer = async (client, method, args) =>
  client[method](...args).then((result) => ({ result }), (error) => ({ error, isError: error instanceof Error }))
