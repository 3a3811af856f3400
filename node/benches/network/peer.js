// How the JavaScript sides of the benches talk to the bench that runs them.
const readline = require('readline')

// A process ends with its input. Before that, each line of it is a JSON object for whoever listens.
module.exports.listen = function (told = () => {}) {
  const lines = readline.createInterface({ input: process.stdin })
  lines.on('line', (line) => told(JSON.parse(line))).on('close', () => process.exit(0))
}

module.exports.say = function (object) {
  console.log(JSON.stringify(object))
}
