// Feeds cores that somebody has changed; says for each what hypercore answers.
const Corestore = require('corestore')
const feed = require('./feed')
const main = require('./main')

main((cores) => main.inDirectory(async (directory) => {
  const answers = []
  for (const [at, core] of cores.entries()) {
    const store = new Corestore(directory + '/' + at)
    answers.push(await feed(store, core).then(() => 'accepted', (error) => error.code || error.message))
    await store.close()
  }
  return answers
}))
