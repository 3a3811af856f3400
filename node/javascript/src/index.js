// The client of services that LibVMS hosts.

export { storedKey } from '#platform'

export { connect } from './connect.js'
export * from './errors.js'
export { exportKey, generateKey, importKey, Key, keyOfPair } from './keys.js'
