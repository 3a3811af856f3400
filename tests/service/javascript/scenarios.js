// What the client does with hosts that are honest, that fail, and that lie. Each scenario runs in Node.js and in a browser: `ask` has a
// test, a proxy or a ledger do something; what else there is, the test says.

export * from './scenarios-honest.js'
export * from './scenarios-liars.js'
export * from './scenarios-trouble.js'
