// What a stock Hyperdrive makes of a files archive.
const Corestore = require('corestore')
const Hyperdrive = require('hyperdrive')

module.exports = function drives (store, directory) {
  let drive = null
  let copy = null

  // The contents of all files.
  async function look (from) {
    const files = {}
    for await (const { key } of from.list('/')) files[key] = (await from.get(key)).toString()
    return files
  }

  // Waits until the archive is so long.
  async function reach (version) {
    while (drive.version < version) await new Promise((resolve) => drive.core.once('append', resolve))
  }

  return {
    async drive ({ key }) {
      drive = new Hyperdrive(store, Buffer.from(key, 'hex'))
      await drive.ready()
    },
    // Makes an ordinary drive, whose cores have manifests, with these files; gives its key.
    async author ({ files }) {
      drive = new Hyperdrive(store)
      await drive.ready()
      for (const [path, text] of Object.entries(files)) await drive.put(path, Buffer.from(text))
      return drive.key.toString('hex')
    },
    // The files as they were at a version.
    async checkout ({ version }) {
      await reach(version)
      const then = drive.checkout(version)
      const files = await look(then)
      await then.close()
      return files
    },
    // The names in a folder.
    async folder ({ path, version }) {
      await reach(version)
      const names = []
      for await (const name of drive.readdir(path)) names.push(name)
      return names.sort()
    },
    // Copies a version, and later ones as they come meanwhile, into a drive of its own; gives what is there then.
    async mirror ({ version }) {
      await reach(version)
      if (copy === null) {
        copy = new Hyperdrive(new Corestore(directory + '/copy'))
        await copy.ready()
      }
      const mirror = drive.mirror(copy)
      await mirror.done()
      return { files: await look(copy), count: mirror.count }
    },
    // Downloads all of an archive, of so many versions and blocks of contents, so that others can have it from here.
    async whole ({ version, length }) {
      await reach(version)
      const blobs = await drive.getBlobs()
      while (blobs.core.length < length) await new Promise((resolve) => blobs.core.once('append', resolve))
      await blobs.core.download({ start: 0, end: length }).done()
      await drive.core.download({ start: 0, end: version }).done()
    }
  }
}
