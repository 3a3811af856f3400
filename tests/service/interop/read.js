// Opens the cores of a host's data directory, and reads the log, and every version of the files.
const Corestore = require('corestore')
const Hyperdrive = require('hyperdrive')
const feed = require('./feed')
const main = require('./main')

main(({ log, files, blobs }) => main.inDirectory(async (directory) => {
  const store = new Corestore(directory)
  const result = { log: await blocks(await feed(store, log)) }
  await feed(store, files)
  await feed(store, blobs)
  const drive = new Hyperdrive(store, Buffer.from(files.key, 'hex'))
  await drive.ready()
  result.blobsKey = drive.contentKey.toString('hex')
  result.version = drive.version
  result.versions = []
  for (let version = 1; version <= drive.version; version++) result.versions.push(await look(drive, version))
  result.history = await all(drive.db.createHistoryStream(), ({ type, key, seq }) => [type, key.toString(), seq])
  await store.close()
  return result
}))

async function blocks (core) {
  const found = []
  for (let index = 0; index < core.length; index++) found.push((await core.get(index)).toString('hex'))
  return found
}

async function look (drive, version) {
  const then = drive.checkout(version)
  const files = {}
  for await (const { key, seq } of then.list('/')) {
    files[key] = { seq, content: (await then.get(key)).toString('base64') }
  }
  const folders = {}
  for (const folder of new Set(['/', ...Object.keys(files).flatMap(parents)])) {
    folders[folder] = await all(then.readdir(folder), (name) => name)
  }
  await then.close()
  return { files, folders }
}

const parents = (path) => path.split('/').slice(1, -1).map((_, at, names) => '/' + names.slice(0, at + 1).join('/'))

async function all (stream, pick) {
  const found = []
  for await (const element of stream) found.push(pick(element))
  return found
}
