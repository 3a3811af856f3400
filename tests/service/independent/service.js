// What the independent client calls.
let count = 0

exports.init = () => {}
exports.echo = (...args) => args
exports.count = () => ++count
exports.who = () => System.caller.id
exports.nothing = () => {}
exports.fail = () => { throw Object.assign(new RangeError('far'), { code: 7, data: { field: [1] } }) }
exports.endless = () => { for (;;) ; }
// About as long as a call may take.
exports.spin = () => { for (let left = 3_000_000; left > 0; left--) ; }
