// How the scripts here are run: JSON on stdin is the argument, JSON on stdout the result.
const fs = require('fs')
const os = require('os')
const path = require('path')

// A core waits for peers when it lacks a block; nobody will come.
const PATIENCE_MS = 60000

module.exports = function main (run) {
  setTimeout(() => fail(new Error('nothing has happened for too long')), PATIENCE_MS)
  run(JSON.parse(fs.readFileSync(0, 'utf8'))).then((result) => {
    fs.writeSync(1, JSON.stringify(result))
    process.exit(0)
  }).catch(fail)
}

function fail (error) {
  console.error(error)
  process.exit(1)
}

// Runs with a directory that is gone afterwards.
module.exports.inDirectory = async function (run) {
  const directory = fs.mkdtempSync(path.join(os.tmpdir(), 'vms-interop-'))
  process.on('exit', () => fs.rmSync(directory, { recursive: true, force: true }))
  return run(directory)
}
