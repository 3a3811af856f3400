// performance: virtual time since the script was loaded.
(function (language, host, tools) {
  'use strict'
  const { setPrototypeOf } = language
  const timeOrigin = host.origin()
  class Performance {
    get timeOrigin () { return timeOrigin }
    now () { return host.now() - timeOrigin }
    toJSON () { return { timeOrigin } }
  }
  tools.finish(Performance, 'Performance')
  delete Performance.prototype.constructor
  const performance = {}
  setPrototypeOf(performance, Performance.prototype)
  return { __proto__: null, performance }
})
