// The smallest service.
//
//   vms host examples/hello-world.js
//   vms call ws://127.0.0.1:5555/ hello Alice

exports.hello = (name = 'world') => `hello, ${name}`
