// The host object `$262` and the globals that test262 requires of its runner, except features that this engine does not have.
(function (global) {
  'use strict'
  const { transfer } = global.ArrayBuffer.prototype
  const { apply } = global.Reflect
  const evaluate = global.eval
  const print = global.String
  let printed = ''
  global.print = (text) => { printed += print(text) + '\n' }
  global.$262 = {
    global,
    evalScript: (source) => evaluate(source),
    detachArrayBuffer: (target) => { apply(transfer, target, []) },
    gc () {}
  }
  global.exports.answer = () => printed
})(globalThis)
