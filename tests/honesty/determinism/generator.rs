//! Scripts and calls out of a seed: whatever the language offers by which two machines might differ.
//!
//! A script is one [`FRAME`] with methods that differ from script to script: each returns a list of random expressions,
//! some after random statements, some by way of promises and timers. Others run into a limit. What an expression throws
//! is its value, so that one bad expression does not hide the others.

use libvms_hypercore::random::Dice;
use libvms_protocol::entry::Limits;
use libvms_protocol::value::Value;

/// A script with calls of its methods.
pub(crate) struct Program {
    pub(crate) code: String,
    pub(crate) calls: Vec<(String, Vec<Value>)>,
}

/// Calls of one script.
pub(crate) const CALLS_PER_PROGRAM: usize = 50;

/// Methods of one script, beside those that run into a limit.
const METHODS: usize = 6;

/// How deep expressions nest.
const DEPTH: u32 = 3;

/// Small, so that running into one takes little time.
pub(crate) const LIMITS: Limits =
    Limits { fuel: 20, memory: 2 << 20, stack: 128 << 10, output: 32 << 10, load: None, call_age: None };

/// What every script starts with.
const FRAME: &str = "
let total = 0, kept = [], seen = new Map(), object = { b: 1, 10: 2, a: 3, 9: 4 }
const wait = (time) => new Promise(resolve => setTimeout(resolve, time))
const told = (f) => { try { return f() } catch (error) { return error?.name + ': ' + error?.message } }
const bits = (n) => [...new Uint8Array(new Float64Array([n]).buffer)].map(b => b.toString(16)).join(' ')
const show = (value) => typeof value === 'bigint' ? value + 'n' : Object.is(value, -0) ? '-0' : typeof value === 'number' ? bits(value) + ' ' + value : value
function * counting (n) { for (let i = 0; i < n; i++) { const more = yield i * total; if (more) i += more } }
class Point { #x; constructor (x) { this.#x = x } get x () { return this.#x } static of (x) { return new this(x) } toJSON () { return { x: this.#x } } }
exports.endless = () => { total++; for (;;) total += 1e-9 }
exports.endlessly = async () => { for (;;) { try { await null; total++ } catch {} } }
exports.executor = () => { for (;;) new Promise(() => { for (;;) total++ }) }
exports.backtrack = (n) => /^(?:a|aa|a*)+$/.test('a'.repeat(n) + 'b')
exports.hoard = () => { for (;;) kept.push({ n: kept.length, text: 'x' + kept.length }) }
exports.hoardBytes = () => { for (;;) kept.push(new Uint8Array(1000 + kept.length)) }
exports.fill = () => { let mine = [], n = 0; try { for (;;) { mine = [mine, n++] } } catch {} mine = null; return n }
exports.drop = () => { const n = kept.length; kept = []; return n }
exports.shout = (n) => 'x'.repeat(n)
exports.flood = async (n) => { for (let i = 0; i < n; i++) await System.files.writeFile('/flood' + i, 'x'.repeat(1000 * i)) }
exports.save = async (n) => { await System.files.writeFile('/f/' + n % 7, String(total) + n); return System.files.readdir('/f') }
exports.erase = async (n) => { await System.files.unlink('/f/' + n % 7); return (await System.files.history()).length }
exports.load = async (n) => [await System.files.readFile('/f/' + n % 7), await System.files.stat('/f/' + n % 7)]
exports.never = async () => { total++; await new Promise(() => {}) }
exports.who = () => [System.caller.id, Date.now(), Math.random()]
";

/// Methods that run into a limit.
const LIMIT_METHODS: [&str; 20] = [
    "endless",
    "endlessly",
    "executor",
    "backtrack",
    "hoard",
    "hoardBytes",
    "fill",
    "drop",
    "shout",
    "flood",
    "save",
    "erase",
    "load",
    "never",
    "who",
    "recurse",
    "depth",
    "nested",
    "starve",
    "alive",
];

/// Runs into a limit, catches what can be caught of it, and tells how far it came.
const CAUGHT: &str = r#"
const deepest = (f) => { let n = 0; const deeper = () => { n++; return f(deeper, n) }; const end = told(deeper); return n + ' ' + end }
const nest = (n, value, wrap) => { for (let i = 0; i < n; i++) value = wrap(value); return value }
const hoarded = (size) => { const all = []; try { for (;;) all.push(new Uint8Array(size)) } catch {} return all }
const starved = (size, f) => { const all = hoarded(size); for (;;) try { all.push([1]) } catch { break } return told(f) }

exports.recurse = () => { const deeper = (n) => deeper(n + 1) + 1; return deeper(0) }
exports.depth = (n) => {
  const o = { get a () { return this.b() }, toString () { return this.b() }, toJSON () { return this.b() } }
  const through = (use) => deepest(deeper => { o.b = deeper; return use(o) })
  return [
    () => deepest(deeper => deeper()),
    () => deepest((deeper, n) => deeper(n, deeper, total) + 1),
    () => deepest(deeper => [1].map(deeper)), () => deepest(deeper => [2, 1].sort(deeper)),
    () => deepest(deeper => 'a'.replace(/a/, deeper)), () => deepest(deeper => new Proxy(deeper, { apply: deeper })()),
    () => deepest(deeper => [...function * () { yield deeper() }()]), () => deepest(deeper => JSON.parse('1', deeper)),
    () => deepest(deeper => new (class { a = deeper() })()), () => deepest(deeper => { const [a = deeper()] = []; return a }),
    () => deepest(deeper => `${deeper()}`), () => deepest(deeper => Reflect.apply(deeper, null, [])),
    () => through(o => o.a), () => through(o => `${o}`), () => through(o => JSON.stringify(o)),
    () => deepest((deeper, n) => { try { return deeper() } catch (error) { if (n % 64) throw error; return n } })
  ][n % 16]()
}
exports.nested = (n) => {
  const [text, most] = [(one, other) => one.repeat(n) + other.repeat(n), n % 5000]
  return [
    () => JSON.stringify(nest(most, 1, a => [a])).length, () => JSON.parse(text('[', ']')).length,
    () => String(nest(most, 1, a => [a])), () => nest(most, 1, a => [a]).flat(Infinity),
    () => new Function(text('(', ')')).length, () => new Function(text('[', ']')).length,
    () => new Function('!'.repeat(n) + 1).length, () => new Function(text('{', '}')).length,
    () => new RegExp('(?:'.repeat(most) + ')'.repeat(most)).source.length,
    () => nest(most, () => 1, f => f.bind())(), () => ({}) instanceof nest(most, class {}, f => f.bind()),
    () => nest(most, {}, o => new Proxy(o, {})).a, () => nest(most, [1].values(), it => it.map(x => x)).next().value,
    () => JSON.parse('{"a":'.repeat(most) + 1 + '}'.repeat(most), (k, v) => v).a !== 1
  ].map(told)[n % 14]
}
exports.starve = (n) => starved(1 + n % 4096, [
  () => 'aXbX'.replace(/x/gi, () => 'y'), () => Math.cbrt(27), () => Symbol('a').toString(), () => [...function * () { yield 1 }()],
  () => new (function () {})(), () => [3, 1, 2].toSorted(), () => Object.groupBy([1, 2], x => x % 2), () => 5n ** 50n,
  () => structuredClone, () => new Map([[1, 2]]).entries().next().value, () => 'abc'.normalize('NFD'), () => new Date(0).toISOString(),
  () => JSON.stringify({ a: [1] }), () => class { static a = 1 }.a, () => Promise.resolve(1) instanceof Promise
][n % 15])
exports.alive = () => [
  'aXbX'.replace(/x/gi, () => 'y'), Math.cbrt(27), Symbol('a').toString(), [...function * () { yield 1 }()], [3, 1, 2].toSorted(),
  typeof Object.groupBy([1, 2], x => x % 2), show(5n ** 50n), new Map([[1, 2]]).entries().next().value, 'abc'.normalize('NFD'),
  new Date(0).toISOString(), JSON.stringify({ a: [1] }), class { static a = 1 }.a, Promise.resolve(1) instanceof Promise
]
"#;

/// The script of this number under a seed.
pub(crate) fn program(seed: u64, number: u64) -> Program {
    let mut writer = Writer { dice: Dice::for_purpose(seed, number) };
    let mut code = String::from(FRAME);
    code.push_str(CAUGHT);
    for method in 0..METHODS {
        code.push_str(&writer.method(method));
    }
    let calls = (0..CALLS_PER_PROGRAM).map(|_| writer.call()).collect();
    Program { code, calls }
}

struct Writer {
    dice: Dice,
}

impl Writer {
    fn call(&mut self) -> (String, Vec<Value>) {
        let small = || Value::Integer(0);
        if self.dice.one_in(5) {
            let n = self.dice.below(40);
            let n = Value::Integer(i64::try_from(n * n * n).expect("small"));
            return (self.dice.pick(&LIMIT_METHODS).to_owned(), vec![n]);
        }
        let a = self.argument().unwrap_or_else(small);
        let b = self.argument().unwrap_or_else(small);
        (format!("m{}", self.dice.index(METHODS)), vec![a, b])
    }

    fn argument(&mut self) -> Option<Value> {
        let json = match self.dice.below(6) {
            0 => self.integer(),
            1 => self.float(),
            2 => format!("\"{}\"", self.dice.pick(&WORDS)),
            3 => format!("[{}, {}, null]", self.integer(), self.float()),
            4 => format!("{{\"k\": {}, \"j\": [true]}}", self.float()),
            _ => "null".into(),
        };
        Value::from_json(&json).ok()
    }

    fn method(&mut self, number: usize) -> String {
        let count = 2 + self.dice.below(5);
        let values: Vec<String> =
            (0..count).map(|_| format!("show(told(() => {}))", self.any(DEPTH))).collect();
        let statements: String = (0..self.dice.below(3)).map(|_| self.statement()).collect();
        let values = values.join(",\n  ");
        if self.dice.one_in(3) {
            let pause = self.asynchronous();
            format!("exports.m{number} = async (a, b) => {{ {statements} {pause}\n return [{values}] }}\n")
        } else {
            format!("exports.m{number} = (a, b) => {{ {statements}\n return [{values}] }}\n")
        }
    }

    fn statement(&mut self) -> String {
        let n = 1 + self.dice.below(300);
        match self.dice.below(8) {
            0 => format!(
                "for (let i = 0; i < {n}; i++) total += told(() => {}) === i ? 1 : 0.1\n",
                self.number(1)
            ),
            1 => format!("seen.set(told(() => {}), total)\n", self.any(1)),
            2 => format!("kept.push(told(() => {})); if (kept.length > 50) kept = []\n", self.any(1)),
            3 => format!("object[told(() => {})] = total\n", self.text(1)),
            4 => "delete object[Object.keys(object)[1]]; seen.delete([...seen.keys()][0])\n".into(),
            5 => format!(
                "outer: for (const x of counting({n})) for (;;) {{ if (x > 5) break outer; continue outer }}\n"
            ),
            6 => "try { null.x } catch { total++ } finally { total *= 1.0000001 }\n".into(),
            _ => format!(
                "{{ let {{ k = {}, ...rest }} = Object(a); total += rest.j ? 1 : 2 }}\n",
                self.number(1)
            ),
        }
    }

    fn asynchronous(&mut self) -> String {
        let n = self.dice.below(20);
        match self.dice.below(6) {
            0 => format!("await wait({n})"),
            1 => format!("kept.push(...await Promise.all([wait({n}).then(() => Date.now()), 1, wait(3)]))"),
            2 => {
                format!("kept.push((await Promise.allSettled([Promise.reject(total), wait({n})]))[0].reason)")
            }
            3 => format!(
                "const ticks = setInterval(() => {{ total++ }}, 3); await wait({n}); clearInterval(ticks)"
            ),
            4 => "for await (const x of (async function * () { yield 1; await null; yield 2 })()) total += x"
                .into(),
            _ => format!(
                "setTimeout(() => {{ total += {n} }}, 1e6); queueMicrotask(() => kept.push(Date.now())); await null"
            ),
        }
    }

    fn any(&mut self, depth: u32) -> String {
        match self.dice.below(5) {
            0 | 1 => self.number(depth),
            2 => self.text(depth),
            3 => self.list(depth),
            _ => self.bigint(depth),
        }
    }

    fn number(&mut self, depth: u32) -> String {
        if depth == 0 {
            return match self.dice.below(8) {
                0 => "total".into(),
                1 => "Date.now()".into(),
                2 => "Math.random()".into(),
                3 => "+a".into(),
                4 => self.integer(),
                5 => self
                    .dice
                    .pick(&["NaN", "-0", "1/3", "Infinity", "5e-324", "(2**53)", "kept.length", "Math.PI"])
                    .into(),
                _ => self.float(),
            };
        }
        let d = depth - 1;
        match self.dice.below(14) {
            0 => format!("({} {} {})", self.number(d), self.dice.pick(&OPERATORS), self.number(d)),
            1 | 2 => format!("Math.{}({})", self.dice.pick(&FUNCTIONS), self.number(d)),
            3 => format!(
                "Math.{}({}, {})",
                self.dice.pick(&["pow", "atan2", "hypot", "max", "imul"]),
                self.number(d),
                self.number(d)
            ),
            4 => format!("(({}) ** {})", self.float(), self.number(d)),
            5 => format!("parseFloat({})", self.text(d)),
            6 => format!("Number({})", self.text(d)),
            7 => format!("{}.length", self.list(d)),
            8 => format!("{}.localeCompare({})", self.text(d), self.text(d)),
            9 => format!("Date.parse({})", self.text(d)),
            10 => format!(
                "new Date({}).{}()",
                self.number(d),
                self.dice.pick(&["getHours", "getDay", "getTimezoneOffset", "valueOf", "getYear"])
            ),
            11 => format!("{}.reduce((x, y) => x + +y, 0)", self.list(d)),
            12 => format!("Number({})", self.bigint(d)),
            _ => format!("{}.search({})", self.text(d), self.regexp()),
        }
    }

    fn text(&mut self, depth: u32) -> String {
        if depth == 0 {
            return match self.dice.below(4) {
                0 => "String(b)".into(),
                1 => format!("'{}'", self.float()),
                _ => format!("'{}'", self.dice.pick(&WORDS)),
            };
        }
        let d = depth - 1;
        match self.dice.below(14) {
            0 => format!("({}).toString({})", self.number(d), 2 + self.dice.below(35)),
            1 => format!(
                "({}).{}({})",
                self.number(d),
                self.dice.pick(&["toFixed", "toExponential"]),
                self.dice.below(25)
            ),
            2 => format!("({}).toPrecision({})", self.number(d), 1 + self.dice.below(30)),
            3 => format!("JSON.stringify({})", self.list(d)),
            4 => format!("{}.replace({}, (m, ...rest) => rest.length + m)", self.text(d), self.regexp()),
            5 => format!(
                "{}.{}()",
                self.text(d),
                self.dice.pick(&[
                    "toUpperCase",
                    "toLocaleUpperCase",
                    "toLowerCase",
                    "trim",
                    "toWellFormed",
                    "normalize"
                ])
            ),
            6 => format!(
                "{}.{}({})",
                self.text(d),
                self.dice.pick(&["padStart", "slice", "at", "charAt", "substring"]),
                self.dice.below(12)
            ),
            7 => format!(
                "new Date({}).{}()",
                self.number(d),
                self.dice.pick(&[
                    "toString",
                    "toLocaleString",
                    "toISOString",
                    "toLocaleDateString",
                    "toUTCString",
                    "toTimeString",
                    "toJSON"
                ])
            ),
            8 => format!(
                "new Date({}, {}, {}).toString()",
                1900 + self.dice.below(200),
                self.dice.below(14),
                self.dice.below(40)
            ),
            9 => format!(
                "(() => {{ throw new {}({}) }})()",
                self.dice.pick(&["Error", "TypeError", "Point", "AggregateError"]),
                self.text(d)
            ),
            10 => "told(() => { try { undefinedName } catch (error) { return error.stack } })".into(),
            11 => format!("(({}).toLocaleString() + String(told))", self.number(d)),
            12 => format!("encodeURIComponent({})", self.text(d)),
            _ => format!("({} + {})", self.text(d), self.any(d)),
        }
    }

    fn list(&mut self, depth: u32) -> String {
        if depth == 0 {
            return self
                .dice
                .pick(&["[3, 1, 2]", "Object.keys(object)", "[...seen]", "kept.slice(0, 9)", "[a, b]", "[]"])
                .into();
        }
        let d = depth - 1;
        let n = self.dice.below(60);
        match self.dice.below(14) {
            0 => format!("[{}, {}, {}].map(show)", self.any(d), self.any(d), self.any(d)),
            1 => format!("Array.from({{ length: {n} }}, () => Math.random() * 9 | 0).sort((x, y) => x - y)"),
            2 => format!(
                "Array.from({{ length: {n} }}, (_, i) => ({{ i, k: i * 7 % 5 }})).sort((x, y) => x.k - y.k).map(x => x.i)"
            ),
            3 => format!("{}.sort()", self.list(d)),
            4 => format!("({}.match({}) ?? [])", self.text(d), self.regexp()),
            5 => format!(
                "[...{}.matchAll(new RegExp({}, 'g'))].flat().slice(0, 20)",
                self.text(d),
                self.regexp()
            ),
            6 => format!("{}.split({}, 20)", self.text(d), self.regexp()),
            7 => format!("[...new {}({}.map(x => +x))].map(show)", self.dice.pick(&ARRAYS), self.list(d)),
            8 => format!("Object.entries({{ ...object, [{}]: 1 }}).flat()", self.text(d)),
            9 => format!("[...new Set({})].concat([...counting({})])", self.list(d), n % 10),
            10 => format!("Object.values(Object.groupBy({}, x => String(x).length)).flat()", self.list(d)),
            11 => format!("[JSON.stringify(JSON.parse(JSON.stringify({})))]", self.list(d)),
            12 => format!("[new Point({}), Point.of(1).x, typeof ({})]", self.number(d), self.any(d)),
            _ => format!(
                "[(() => {{ const v = new DataView(new ArrayBuffer(8)); v.{}(0, {}); return v.getBigUint64(0) + '' }})()]",
                self.dice.pick(&["setFloat32", "setFloat64", "setInt16", "setUint32"]),
                self.number(d)
            ),
        }
    }

    fn bigint(&mut self, depth: u32) -> String {
        if depth == 0 {
            return format!("{}n", self.dice.draw() >> self.dice.below(60));
        }
        let d = depth - 1;
        match self.dice.below(6) {
            0 | 1 => format!(
                "({} {} {})",
                self.bigint(d),
                self.dice.pick(&["+", "-", "*", "/", "%", "&", "|", "^"]),
                self.bigint(d)
            ),
            2 => format!("({} ** {}n)", self.bigint(d), self.dice.below(20)),
            3 => format!(
                "BigInt.as{}IntN({}, {})",
                self.dice.pick(&["", "U"]),
                self.dice.below(70),
                self.bigint(d)
            ),
            4 => format!("BigInt(Math.trunc({}))", self.number(d)),
            _ => format!("(-{} << {}n)", self.bigint(d), self.dice.below(80)),
        }
    }

    fn regexp(&mut self) -> String {
        let pieces: String = (0..=self.dice.below(3))
            .map(|_| {
                let atom = self.dice.pick(&ATOMS);
                let quantifier = self.dice.pick(&["", "", "*", "+", "?", "{1,3}", "*?"]);
                // What only looks cannot be repeated.
                if atom.starts_with("(?<") || matches!(atom, "^" | "$" | "\\b") {
                    atom.into()
                } else {
                    format!("{atom}{quantifier}")
                }
            })
            .collect();
        format!("/{pieces}/{}", self.dice.pick(&["", "i", "u", "iu", "s", "m"]))
    }

    fn integer(&mut self) -> String {
        let bits = self.dice.below(53);
        format!("{}", self.dice.draw() >> (63 - bits))
    }

    /// A finite number of any size, or one of everyday size.
    fn float(&mut self) -> String {
        let any = f64::from_bits(self.dice.draw());
        let plain = (self.dice.below(2_000_001) as f64 - 1e6) / 1024.0;
        if any.is_finite() && self.dice.one_in(2) { format!("{any:e}") } else { format!("{plain}") }
    }
}

const WORDS: [&str; 12] = [
    "abc",
    "Straße",
    "ıİiI",
    "Ünïcode",
    "😀 smile",
    "2024-02-30T10:00",
    "Mar 1 2020 10:00 GMT+0130",
    "1e400",
    "  12px ",
    "e\u{301}\u{323}",
    "aaaaab",
    "\u{3a3}\u{3c3}\u{3c2}",
];

const OPERATORS: [&str; 10] = ["+", "-", "*", "/", "%", "&", "|", "^", "<<", ">>>"];

const FUNCTIONS: [&str; 26] = [
    "sin", "cos", "tan", "asin", "acos", "atan", "sinh", "cosh", "tanh", "asinh", "acosh", "atanh", "exp",
    "expm1", "log", "log1p", "log2", "log10", "cbrt", "sqrt", "fround", "round", "trunc", "sign", "clz32",
    "abs",
];

const ARRAYS: [&str; 8] = [
    "Float32Array",
    "Float64Array",
    "Float16Array",
    "Int8Array",
    "Uint16Array",
    "Uint8ClampedArray",
    "Int32Array",
    "Set",
];

const ATOMS: [&str; 13] =
    ["a", "b", ".", "\\d", "\\w", "[^a-e]", "(a|b)", "(?:\\s|ß)", "(?<=a)", "^", "\\b", "[à-ÿ]", "i"];
