// a function that calls itself
const f = () => { f() }; try { f() } catch (e) { return e.name }

// a function that calls itself with arguments
const f = (a, b, c) => f(a + b, b + c, c + a) + 1; try { f(1, 2, 3) } catch (e) { return e.name }

// a function that calls itself through sort
const f = () => [1, 2].sort(f); try { f() } catch (e) { return e.name }

// a function that calls itself through replace
const f = () => 'a'.replace('a', f); try { f() } catch (e) { return e.name }

// a function that calls itself through a pattern
const f = () => 'a'.replace(/a/, f); try { f() } catch (e) { return e.name }

// a function that calls itself through JSON
const o = { toJSON () { return JSON.stringify(o) } }; try { JSON.stringify(o) } catch (e) { return e.name }

// a function that calls itself through a reviver
const f = () => JSON.parse('1', f); try { f() } catch (e) { return e.name }

// a function that calls itself through construct
class A { constructor () { new A() } } try { new A() } catch (e) { return e.name }

// a function that calls itself through apply
const f = () => Reflect.apply(f, null, []); try { f() } catch (e) { return e.name }

// a function that calls itself through a proxy
const f = new Proxy(() => {}, { apply: () => f() }); try { f() } catch (e) { return e.name }

// a function that calls itself through every built-in that calls back
const f = () => [1].map(() => new Map([[1, 1]]).forEach(() => Array.from([1], f))); try { f() } catch (e) { return e.name }

// a function that calls itself through toString
const o = { toString: () => 'x'.repeat({ valueOf: () => `${o}`.length }) }; try { `${o}` } catch (e) { return e.name }

// a function that calls itself through a generator
function* f () { yield [...f()] } try { [...f()] } catch (e) { return e.name }

// a function that calls itself in catch
const f = () => { try { f() } catch { f() } }; try { f() } catch (e) { return e.name }

// a function that calls itself in finally
const f = () => { try { f() } finally { f() } }; try { f() } catch (e) { return e.name }

// a function that calls itself twice and never gives up
const f = () => { try { f() } catch {} try { f() } catch {} }; f()

// built-ins at the end of the stack
const f = () => { try { f() } catch { for (;;) try { [3, 1, 2].sort(); JSON.stringify([1]); new RegExp('(a|b)*').test('ab') } catch {} } }; f()

// a pattern at the end of the stack
const f = () => { try { f() } catch { /(a*)*b/.test('a'.repeat(40)) } }; f()

// eval at the end of the stack
const f = () => { try { f() } catch { for (;;) try { (0, eval)('1+1') } catch {} } }; f()

// an overflow that is kept for later
let n = 0; const f = () => { n++; f() }; for (let i = 0; i < 100; i++) try { f() } catch {} return n > 100

// an overflow in a job
return Promise.resolve().then(function f () { return f() }).catch(e => e.name)

// an overflow in a timer
return new Promise((resolve, reject) => setTimeout(() => { const f = () => f(); try { f() } catch (e) { resolve(e.name) } }, 1))

// an overflow in a getter of a result
return { get a () { return this.a } }

// an overflow in what is thrown
throw { get message () { return this.message } }

// functions in functions
try { (0, eval)('()=>'.repeat(1e5) + '1') } catch (e) { return e.name }
