// A shared folder that keeps every version.
//
//   vms host examples/files.js
//   vms call ws://127.0.0.1:5555/ write /notes/today.txt "buy milk"
//   vms call ws://127.0.0.1:5555/ list /notes

exports.write = async (path, content) => {
  const folder = path.slice(0, path.lastIndexOf('/')) || '/'
  await System.files.mkdir(folder)
  await System.files.writeFile(path, content)
}

exports.read = (path) => System.files.readFile(path)

exports.list = (folder = '/', recursive = false) => System.files.readdir(folder, { recursive })

exports.stat = async (path) => {
  const stat = await System.files.stat(path)
  return { size: stat.size, isDirectory: stat.isDirectory() }
}

exports.remove = (path) => System.files.unlink(path)

exports.removeFolder = (folder) => System.files.rmdir(folder, { recursive: true })

exports.history = () => System.files.history({ reverse: true })

exports.info = () => System.files.getInfo()
