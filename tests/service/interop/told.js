// A peer that does what it is told. Each line on stdin is a command, { "do": name, ... }; each line on stdout is what
// came of it. The peer ends with its input.
const readline = require('readline')

// Longer than anything here takes on a busy machine, and shorter than a test may take.
const PATIENCE_MS = 60000

module.exports = async function told (commands) {
  try {
    for await (const line of readline.createInterface({ input: process.stdin })) {
      const { do: name, ...argument } = JSON.parse(line)
      const tooLate = setTimeout(() => fail(new Error('too late: ' + line)), PATIENCE_MS)
      const result = await commands[name](argument)
      clearTimeout(tooLate)
      console.log(JSON.stringify(result === undefined ? null : result))
    }
    process.exit(0)
  } catch (error) {
    fail(error)
  }
}

function fail (error) {
  console.error(error)
  process.exit(1)
}
