// A counter in memory. Its log brings the count back after a restart: every call is executed again.
//
//   vms host examples/counter.js
//   vms call ws://127.0.0.1:5555/ increment

let count = 0

exports.increment = (by = 1) => {
  if (!Number.isSafeInteger(by)) throw new TypeError('count in whole numbers')
  count += by
  return count
}

exports.get = () => count
