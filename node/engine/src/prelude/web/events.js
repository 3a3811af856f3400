// Event, EventTarget, AbortSignal, AbortController: the DOM standard, where no target has a parent.
(function (language, host, tools) {
  'use strict'
  const { Number, TypeError, apply, defineProperty, setTimeout } = language
  const { failure, finish, isObject, list, options: optionsOf, string } = tools
  const MOST = 2 ** 53 - 1

  const wants = (what, given, wanted) => {
    if (given < wanted) throw new TypeError(what + ' takes ' + wanted + ' arguments, not ' + given)
  }
  // What a target may do with an event.
  let stateOf

  class Event {
    #state
    static { stateOf = (event) => event.#state }

    constructor (type, options = undefined) {
      wants('Event', arguments.length, 1)
      const name = string(type)
      const { bubbles, cancelable, composed } = optionsOf('Event', options)
      this.#state = {
        __proto__: null, type: name, bubbles: !!bubbles, cancelable: !!cancelable, composed: !!composed, target: null, current: null, phase: 0,
        isStopped: false, isStoppedAtOnce: false, isCanceled: false, isPassive: false, isDispatched: false, isOurs: false, time: host.now() - host.origin()
      }
    }

    get type () { return this.#state.type }
    get target () { return this.#state.target }
    get srcElement () { return this.#state.target }
    get currentTarget () { return this.#state.current }
    composedPath () { return this.#state.current === null ? [] : [this.#state.current] }
    get eventPhase () { return this.#state.phase }
    stopPropagation () { this.#state.isStopped = true }
    get cancelBubble () { return this.#state.isStopped }
    set cancelBubble (value) { if (value) this.#state.isStopped = true }
    stopImmediatePropagation () {
      this.#state.isStopped = true
      this.#state.isStoppedAtOnce = true
    }

    get bubbles () { return this.#state.bubbles }
    get cancelable () { return this.#state.cancelable }
    get returnValue () { return !this.#state.isCanceled }
    set returnValue (value) { if (!value) cancel(this.#state) }
    preventDefault () { cancel(this.#state) }
    get defaultPrevented () { return this.#state.isCanceled }
    get composed () { return this.#state.composed }
    get isTrusted () { return this.#state.isOurs }
    get timeStamp () { return this.#state.time }
    initEvent (type, bubbles = false, cancelable = false) {
      const state = this.#state
      wants('initEvent', arguments.length, 1)
      const name = string(type)
      if (state.isDispatched) return
      state.type = name
      state.bubbles = !!bubbles
      state.cancelable = !!cancelable
      state.isStopped = state.isStoppedAtOnce = state.isCanceled = state.isOurs = false
      state.target = null
    }
  }
  const cancel = (state) => { if (state.cancelable && !state.isPassive) state.isCanceled = true }
  const phases = ['NONE', 'CAPTURING_PHASE', 'AT_TARGET', 'BUBBLING_PHASE']
  for (let at = 0; at < phases.length; at++) {
    const constant = { __proto__: null, value: at, writable: false, enumerable: true, configurable: false }
    defineProperty(Event, phases[at], constant)
    defineProperty(Event.prototype, phases[at], constant)
  }

  // A listener that throws does not keep the others from running. The operator sees it.
  const report = (thrown) => {
    let said = 'Uncaught in a listener: '
    try {
      said += isObject(thrown) && thrown.message !== undefined ? string(thrown.name) + ': ' + string(thrown.message) : string(thrown)
    } catch {
      said += 'a value that cannot be shown'
    }
    host.console('error', tools.text(said))
  }
  const dispatch = (target, listeners, event) => {
    const state = stateOf(event)
    state.isDispatched = true
    state.target = state.current = target
    state.phase = 2
    const now = list()
    for (let at = 0; at < listeners.length; at++) now[at] = listeners[at]
    // Those that capture come first.
    for (let turn = 0; turn < 2; turn++) {
      const isCapturing = turn === 0
      for (let at = 0; at < now.length && !state.isStoppedAtOnce; at++) {
        const listener = now[at]
        if (listener.type !== state.type || listener.isCapturing !== isCapturing || listener.isRemoved) continue
        if (listener.isOnce) remove(listeners, listener)
        const { callback } = listener
        state.isPassive = listener.isPassive
        try {
          if (typeof callback === 'function') apply(callback, target, [event])
          else apply(handlerOf(callback), callback, [event])
        } catch (thrown) {
          report(thrown)
        }
        state.isPassive = false
      }
      if (state.isStopped) break
    }
    state.phase = 0
    state.current = null
    state.isDispatched = state.isStopped = state.isStoppedAtOnce = false
    return !state.isCanceled
  }
  const handlerOf = (callback) => {
    const { handleEvent } = callback
    if (typeof handleEvent !== 'function') throw new TypeError('the listener has no handleEvent')
    return handleEvent
  }
  const remove = (listeners, listener) => {
    listener.isRemoved = true
    let kept = 0
    for (let at = 0; at < listeners.length; at++) {
      if (listeners[at] === listener) continue
      listeners[kept++] = listeners[at]
    }
    listeners.length = kept
  }
  const isCapturingIn = (options) => isObject(options) ? !!options.capture : !!options
  const checked = (what, callback) => {
    if (callback !== null && !isObject(callback)) throw new TypeError(what + ': the listener must be a function or an object')
    return callback
  }

  // What a signal may do with its listeners.
  let listenersOf

  class EventTarget {
    #listeners = list()
    static { listenersOf = (target) => target.#listeners }

    addEventListener (type, callback, options = undefined) {
      const listeners = this.#listeners
      wants('addEventListener', arguments.length, 2)
      const name = string(type)
      const isCapturing = isCapturingIn(options)
      const { once, passive, signal } = isObject(options) ? options : { __proto__: null }
      if (signal !== undefined && !isSignal(signal)) throw new TypeError('addEventListener: the signal must be an AbortSignal')
      if (checked('addEventListener', callback ?? null) === null || (signal !== undefined && abortedBy(signal))) return
      for (let at = 0; at < listeners.length; at++) {
        const { type: of, callback: by, isCapturing: how } = listeners[at]
        if (of === name && by === callback && how === isCapturing) return
      }
      const listener = { __proto__: null, type: name, callback, isCapturing, isOnce: !!once, isPassive: !!passive, isRemoved: false }
      listeners[listeners.length] = listener
      if (signal !== undefined) whenAborted(signal, () => remove(listeners, listener))
    }

    removeEventListener (type, callback, options = undefined) {
      const listeners = this.#listeners
      wants('removeEventListener', arguments.length, 2)
      const name = string(type)
      const isCapturing = isCapturingIn(options)
      checked('removeEventListener', callback ?? null)
      for (let at = 0; at < listeners.length; at++) {
        const listener = listeners[at]
        if (listener.type === name && listener.callback === callback && listener.isCapturing === isCapturing) return remove(listeners, listener)
      }
    }

    dispatchEvent (event) {
      const listeners = this.#listeners
      wants('dispatchEvent', arguments.length, 1)
      if (!isEvent(event)) throw new TypeError('dispatchEvent takes an Event')
      if (stateOf(event).isDispatched) throw failure('InvalidStateError', 'The event is already being dispatched')
      stateOf(event).isOurs = false
      return dispatch(this, listeners, event)
    }
  }
  const isEvent = (value) => {
    try {
      return stateOf(value) !== undefined
    } catch {
      return false
    }
  }

  // The key of our own constructions.
  const ours = { __proto__: null }
  let isSignal, abortedBy, whenAborted, abort, follow

  class AbortSignal extends EventTarget {
    #reason = undefined
    #isAborted = false
    #steps = list()
    // The signals of which this one is made, and those that are made of it.
    #sources = list()
    #dependents = list()
    #handler = null

    static {
      isSignal = (value) => isObject(value) && #isAborted in value
      abortedBy = (signal) => signal.#isAborted
      whenAborted = (signal, step) => { signal.#steps[signal.#steps.length] = step }
      abort = (signal, reason) => {
        if (signal.#isAborted) return
        const all = list()
        all[0] = signal
        signal.#end(reason)
        for (let at = 0; at < signal.#dependents.length; at++) {
          const dependent = signal.#dependents[at]
          if (dependent.#isAborted) continue
          dependent.#end(signal.#reason)
          all[all.length] = dependent
        }
        for (let at = 0; at < all.length; at++) all[at].#tell()
      }
      follow = (made, signal) => {
        const sources = signal.#sources.length > 0 ? signal.#sources : [signal]
        for (let at = 0; at < sources.length; at++) {
          made.#sources[made.#sources.length] = sources[at]
          sources[at].#dependents[sources[at].#dependents.length] = made
        }
        return signal.#reason
      }
    }

    constructor (key = undefined) {
      if (key !== ours) throw new TypeError('Illegal constructor')
      super()
    }

    static abort (reason = undefined) {
      const signal = new AbortSignal(ours)
      signal.#end(reason)
      return signal
    }

    static timeout (milliseconds) {
      wants('timeout', arguments.length, 1)
      const delay = Number(milliseconds)
      if (!(delay >= 0 && delay <= MOST)) throw new TypeError('timeout: the time must be a number of milliseconds')
      const signal = new AbortSignal(ours)
      setTimeout(() => abort(signal, failure('TimeoutError', 'The operation was aborted due to timeout')), delay)
      return signal
    }

    static any (signals) {
      wants('any', arguments.length, 1)
      const given = list()
      if (!isObject(signals) || typeof signals[language.iterator] !== 'function') throw new TypeError('any takes a list of signals')
      for (const signal of signals) {
        if (!isSignal(signal)) throw new TypeError('any takes a list of signals')
        given[given.length] = signal
      }
      const made = new AbortSignal(ours)
      for (let at = 0; at < given.length; at++) {
        if (!given[at].#isAborted) continue
        made.#end(given[at].#reason)
        return made
      }
      for (let at = 0; at < given.length; at++) follow(made, given[at])
      return made
    }

    get aborted () { return this.#isAborted }
    get reason () { return this.#reason }
    throwIfAborted () { if (this.#isAborted) throw this.#reason }
    get onabort () { return this.#handler === null ? null : this.#handler.given }
    set onabort (value) {
      const given = isObject(value) ? value : null
      const listeners = listenersOf(this)
      if (given === null) {
        if (this.#handler !== null) remove(listeners, this.#handler)
        this.#handler = null
        return
      }
      if (this.#handler !== null) {
        this.#handler.given = given
        return
      }
      const handler = { __proto__: null, type: 'abort', isCapturing: false, isOnce: false, isPassive: false, isRemoved: false, given }
      handler.callback = function (event) { if (typeof handler.given === 'function') apply(handler.given, this, [event]) }
      this.#handler = handler
      listeners[listeners.length] = handler
    }

    #end (reason) {
      this.#isAborted = true
      this.#reason = reason === undefined ? failure('AbortError', 'This operation was aborted') : reason
    }

    #tell () {
      const steps = this.#steps
      this.#steps = list()
      for (let at = 0; at < steps.length; at++) steps[at]()
      const event = new Event('abort')
      stateOf(event).isOurs = true
      dispatch(this, listenersOf(this), event)
    }
  }

  class AbortController {
    #signal = new AbortSignal(ours)
    get signal () { return this.#signal }
    abort (reason = undefined) { abort(this.#signal, reason) }
  }

  return {
    __proto__: null,
    AbortController: finish(AbortController, 'AbortController'),
    AbortSignal: finish(AbortSignal, 'AbortSignal'),
    Event: finish(Event, 'Event'),
    EventTarget: finish(EventTarget, 'EventTarget')
  }
})
