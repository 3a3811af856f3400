// Calls a service by HTTP POST, with no library at all.
const main = require('./main')

main(async ({ url, bodies }) => {
  const answers = []
  for (const body of bodies) {
    const headers = { 'content-type': 'application/json' }
    const response = await fetch(url, { method: 'POST', headers, body })
    const text = await response.text()
    const type = response.headers.get('content-type')
    answers.push({ status: response.status, type, body: text && JSON.parse(text) })
  }
  return answers
})
