// Popular packages of npm, each around one exported function that gives JSON: name, kind, source. `bundle.js` makes services of them.
'use strict'

const parsers = 'parser'
const validators = 'validator'
const dates = 'date'
const numbers = 'number'
const cryptography = 'cryptography'
const serialisation = 'serialisation'
const templates = 'template'
const search = 'search'
const state = 'state'
const text = 'text'
const tools = 'tools'
const compression = 'compression'

module.exports = [
  ['js-yaml', parsers, "import * as yaml from 'js-yaml'; export const run = () => [yaml.load('a: [1, 2.5]\\nb: {c: [x, y]}\\nd: 2020-01-01'), yaml.dump({ a: [1, { b: null }] })]"],
  ['smol-toml', parsers, "import { parse, stringify } from 'smol-toml'; export const run = () => [parse('a = 1\\n[b]\\nc = [1.5, 2.0]\\nd = \"x\"'), stringify({ a: 1, b: { c: [true] } })]"],
  ['ini', parsers, "import ini from 'ini'; export const run = () => [ini.parse('a=1\\n[b]\\nc[]=2\\nc[]=3'), ini.stringify({ a: 1, b: { c: [2, 3] } })]"],
  ['papaparse', parsers, "import Papa from 'papaparse'; export const run = () => [Papa.parse('a,b\\n1,\"x, y\"\\n2,z', { header: true }).data, Papa.unparse([{ a: 1, b: 'q\"r' }])]"],
  ['csv-parse', parsers, "import { parse } from 'csv-parse/browser/esm/sync'; export const run = () => parse('a,b\\n1,2\\n\"x\\ny\",3', { columns: true })"],
  ['fast-xml-parser', parsers, "import { XMLParser, XMLBuilder } from 'fast-xml-parser'; export const run = () => [new XMLParser({ ignoreAttributes: false }).parse('<a x=\"1\"><b>2</b><b>t &amp; u</b></a>'), new XMLBuilder().build({ a: { b: [1, 2] } })]"],
  ['marked', parsers, "import { marked } from 'marked'; export const run = () => marked.parse('# T\\n\\n* a\\n* `b`\\n\\n| x | y |\\n|---|---|\\n| 1 | 2 |')"],
  ['markdown-it', parsers, "import MarkdownIt from 'markdown-it'; export const run = () => new MarkdownIt({ linkify: true }).render('**b** <https://example.org> *i*\\n\\n1. one')"],
  ['peggy', parsers, "import peggy from 'peggy'; export const run = () => peggy.generate('start = n:number rest:(\"+\" @number)* { return rest.reduce((a, b) => a + b, n) }\\nnumber = d:[0-9]+ { return +d.join(\"\") }').parse('1+22+3')"],
  ['nearley', parsers, "import nearley from 'nearley'; const { Parser, Grammar } = nearley; export const run = () => new Parser(Grammar.fromCompiled({ ParserRules: [{ name: 's', symbols: ['s', { literal: 'a' }], postprocess: d => d[0] + 1 }, { name: 's', symbols: [], postprocess: () => 0 }], ParserStart: 's' })).feed('aaaa').results"],
  ['moo', parsers, "import moo from 'moo'; export const run = () => [...moo.compile({ ws: /[ \\t]+/, n: /[0-9]+/, op: ['+', '*'], nl: { match: /\\n/, lineBreaks: true } }).reset('1 + 2*3\\n4')].map(t => [t.type, t.value, t.line, t.col])"],
  ['zod', validators, "import { z } from 'zod'; const S = z.object({ a: z.string().email(), b: z.number().int().min(3), c: z.array(z.enum(['x', 'y'])).optional() }); export const run = () => [S.safeParse({ a: 'a@b.org', b: 4 }), S.safeParse({ a: 'no', b: 2.5, c: ['z'] }).error.issues]"],
  ['joi', validators, "import Joi from 'joi'; const S = Joi.object({ a: Joi.string().alphanum().min(3).required(), b: Joi.number().integer(), c: Joi.string().email({ tlds: false }) }); export const run = () => [S.validate({ a: 'abc', b: '5' }), S.validate({ a: 'x', c: 'q' }, { abortEarly: false }).error.details.map(d => d.message)]"],
  ['ajv', validators, "import Ajv from 'ajv'; export const run = () => { const v = new Ajv({ allErrors: true }).compile({ type: 'object', properties: { a: { type: 'integer', minimum: 2 }, b: { type: 'string', pattern: '^x' } }, required: ['a'], additionalProperties: false }); return [v({ a: 3, b: 'xy' }), v({ a: 1, b: 'q', c: 0 }), v.errors] }"],
  ['yup', validators, "import * as yup from 'yup'; export const run = async () => { const s = yup.object({ a: yup.string().required(), b: yup.number().positive() }); const bad = await s.validate({ b: -1 }, { abortEarly: false }).catch(e => e.errors); return [await s.validate({ a: 'x', b: '2' }), bad] }"],
  ['superstruct', validators, "import { object, string, number, array, validate } from 'superstruct'; const S = object({ a: string(), b: array(number()) }); export const run = () => [validate({ a: 'x', b: [1] }, S)[0] === undefined, validate({ a: 1, b: ['q'] }, S)[0].message]"],
  ['valibot', validators, "import * as v from 'valibot'; const S = v.object({ a: v.pipe(v.string(), v.minLength(3)), b: v.number() }); export const run = () => [v.safeParse(S, { a: 'abc', b: 1 }).success, v.safeParse(S, { a: 'a', b: 'x' }).issues.map(i => i.message)]"],
  ['date-fns', dates, "import { addMonths, format, differenceInBusinessDays, parseISO } from 'date-fns'; export const run = () => [addMonths(new Date(Date.UTC(2024, 0, 31)), 1), format(new Date(Date.UTC(2024, 1, 29)), \"yyyy-MM-dd'T'HH EEEE\"), differenceInBusinessDays(parseISO('2024-03-11'), parseISO('2024-03-01'))]"],
  ['dayjs', dates, "import dayjs from 'dayjs'; import utc from 'dayjs/plugin/utc'; dayjs.extend(utc); export const run = () => [dayjs.utc('2024-02-29').add(1, 'year').format('YYYY-MM-DD dddd'), dayjs.utc('2024-01-01').diff('2023-06-01', 'day')]"],
  ['ms', dates, "import ms from 'ms'; export const run = () => [ms('2 days'), ms(60000), ms('1.5h'), ms(7200000, { long: true })]"],
  ['bignumber.js', numbers, "import BigNumber from 'bignumber.js'; export const run = () => [new BigNumber('0.1').plus('0.2').toString(), new BigNumber(2).pow(200).toFixed(), new BigNumber(1).div(7).toFixed(30)]"],
  ['decimal.js', numbers, "import Decimal from 'decimal.js'; export const run = () => [Decimal.sqrt(2).toString(), new Decimal('1e-30').plus(1).toString(), Decimal.exp(1).toFixed(15), Decimal.sin(0.5).toString()]"],
  ['big.js', numbers, "import Big from 'big.js'; export const run = () => [Big('123.456').times('1e10').toString(), Big(2).sqrt().toFixed(18)]"],
  ['bn.js', numbers, "import BN from 'bn.js'; export const run = () => [new BN('ffffffffffffffffffffffff', 16).mul(new BN(12345)).toString(), new BN(2).pow(new BN(127)).mod(new BN(1000007)).toString(), new BN(-5).toTwos(16).toString(16)]"],
  ['mathjs', numbers, "import { evaluate, matrix, inv, derivative } from 'mathjs'; export const run = () => [evaluate('2 inch to cm').toString(), evaluate('sqrt(3^2 + 4^2)'), inv(matrix([[1, 2], [3, 4]])).toArray(), derivative('x^2 + 3x', 'x').toString()]"],
  ['uuid', cryptography, "import { v4, v5, validate, version } from 'uuid'; export const run = () => [validate(v4()), version(v4()), v5('example.org', v5.DNS)]"],
  ['nanoid', cryptography, "import { nanoid, customAlphabet } from 'nanoid'; export const run = () => [nanoid().length, /^[ab]{9}$/.test(customAlphabet('ab', 9)())]"],
  ['ulid', cryptography, "import { decodeTime, encodeTime } from 'ulid'; export const run = () => [encodeTime(1469918176385, 10), decodeTime('01ARYZ6S41TSV4RRFFQ69G5FAV')]"],
  ['@noble/hashes', cryptography, "import { sha256 } from '@noble/hashes/sha2.js'; import { keccak_256 } from '@noble/hashes/sha3.js'; import { bytesToHex, utf8ToBytes } from '@noble/hashes/utils.js'; export const run = () => [bytesToHex(sha256(utf8ToBytes('abc'))), bytesToHex(keccak_256(utf8ToBytes('é')))]"],
  ['@noble/curves', cryptography, "import { secp256k1 } from '@noble/curves/secp256k1.js'; export const run = () => { const key = new Uint8Array(32).fill(7), m = new Uint8Array(32).fill(1); const s = secp256k1.sign(m, key); return [Array.from(secp256k1.getPublicKey(key)), secp256k1.verify(s, m, secp256k1.getPublicKey(key))] }"],
  ['tweetnacl', cryptography, "import nacl from 'tweetnacl'; export const run = () => { const k = nacl.sign.keyPair.fromSeed(new Uint8Array(32).fill(3)); const m = new Uint8Array([1, 2, 3]); const s = nacl.sign.detached(m, k.secretKey); return [Array.from(k.publicKey), nacl.sign.detached.verify(m, s, k.publicKey), Array.from(nacl.hash(m)).slice(0, 8)] }"],
  ['cbor-x', serialisation, "import { encode, decode } from 'cbor-x'; export const run = () => [Array.from(encode({ a: [1, -2, 1.5, 'é', null] })), decode(encode({ k: new Uint8Array([1, 2]) })).k.length]"],
  ['@ipld/dag-cbor', serialisation, "import { encode, decode } from '@ipld/dag-cbor'; export const run = () => [Array.from(encode({ b: 1, a: ['x', 2 ** 40, 0.5] })), decode(encode({ x: [true, null] }))]"],
  ['msgpackr', serialisation, "import { pack, unpack } from 'msgpackr'; export const run = () => [Array.from(pack({ a: 1, b: 'text é', c: [1.25, -300] })), unpack(pack([{ q: [null, true] }]))]"],
  ['protobufjs', serialisation, "import protobuf from 'protobufjs/light'; export const run = () => { const T = new protobuf.Type('T').add(new protobuf.Field('a', 1, 'string')).add(new protobuf.Field('b', 2, 'int32', 'repeated')); new protobuf.Root().define('x').add(T); const b = T.encode(T.create({ a: 'é', b: [1, 300, -1] })).finish(); return [Array.from(b), T.toObject(T.decode(b))] }"],
  ['long', serialisation, "import Long from 'long'; export const run = () => [Long.fromString('9223372036854775807').add(1).toString(), Long.fromNumber(2 ** 40).toBytes()]"],
  ['multiformats', serialisation, "import { CID } from 'multiformats/cid'; import { base58btc } from 'multiformats/bases/base58'; export const run = () => [CID.parse('bafybeigdyrzt5sfp7udm7hu76uh7y26nf3efuylqabf3oclgtqy55fbzdi').toV1().toString(base58btc), base58btc.encode(new Uint8Array([1, 2, 3]))]"],
  ['base-x', serialisation, "import baseX from 'base-x'; const b58 = baseX('123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz'); export const run = () => [b58.encode(new Uint8Array([0, 0, 255, 17])), Array.from(b58.decode('11LQX'))]"],
  ['handlebars', templates, "import Handlebars from 'handlebars/dist/cjs/handlebars'; export const run = () => Handlebars.compile('{{#each items}}{{@index}}:{{name}}{{#unless @last}}, {{/unless}}{{/each}} {{{raw}}} {{raw}}')({ items: [{ name: 'a' }, { name: '<b>' }], raw: '<i>' })"],
  ['mustache', templates, "import Mustache from 'mustache'; export const run = () => Mustache.render('{{#a}}{{.}};{{/a}}{{^b}}none{{/b}} {{c.d}} {{{e}}}', { a: [1, 2], c: { d: '<' }, e: '<' })"],
  ['nunjucks', templates, "import nunjucks from 'nunjucks/browser/nunjucks'; export const run = () => nunjucks.renderString('{% for x in items %}{{ loop.index }}{{ x | upper }} {% endfor %}{{ \"a<b\" | escape }}', { items: ['p', 'q'] })"],
  ['lunr', search, "import lunr from 'lunr'; export const run = () => { const index = lunr(function () { this.ref('id'); this.field('text'); for (const d of [{ id: 1, text: 'the quick brown fox' }, { id: 2, text: 'lazy dogs sleeping' }]) this.add(d) }); return [index.search('dog').map(r => r.ref), index.search('quick fox')[0].score] }"],
  ['minisearch', search, "import MiniSearch from 'minisearch'; export const run = () => { const m = new MiniSearch({ fields: ['t'], storeFields: ['t'] }); m.addAll([{ id: 1, t: 'zen and art' }, { id: 2, t: 'art of war' }]); return [m.search('zen art'), m.autoSuggest('ar')] }"],
  ['fuse.js', search, "import Fuse from 'fuse.js'; export const run = () => new Fuse(['apple', 'banana', 'grape', 'pineapple'], { includeScore: true }).search('aple')"],
  ['flexsearch', search, "import FlexSearch from 'flexsearch'; export const run = () => { const i = new FlexSearch.Index({ tokenize: 'forward' }); i.add(1, 'hello world'); i.add(2, 'help wanted'); return [i.search('hel'), i.search('world')] }"],
  ['xstate', state, "import { createMachine, createActor, assign } from 'xstate'; export const run = () => { const m = createMachine({ id: 't', initial: 'off', context: { n: 0 }, states: { off: { on: { FLIP: 'on' } }, on: { entry: assign({ n: ({ context }) => context.n + 1 }), on: { FLIP: 'off' } } } }); const a = createActor(m).start(); const seen = []; for (let i = 0; i < 4; i++) { a.send({ type: 'FLIP' }); seen.push([a.getSnapshot().value, a.getSnapshot().context.n]) } return seen }"],
  ['immer', state, "import { produce, enablePatches, produceWithPatches } from 'immer'; enablePatches(); export const run = () => { const a = { x: [{ y: 1 }] }; const b = produce(a, d => { d.x[0].y++; d.x.push({ y: 9 }) }); return [a, b, produceWithPatches(a, d => { d.z = 1 })[1]] }"],
  ['immutable', state, "import { Map, List, fromJS } from 'immutable'; export const run = () => [Map({ a: 1, b: 2 }).merge({ b: 3 }).toJS(), List([3, 1, 2]).sort().toArray(), fromJS({ a: { b: [1] } }).updateIn(['a', 'b', 0], v => v + 1).toJS(), Map({ a: List([1]) }).hashCode()]"],
  ['slugify', text, "import slugify from 'slugify'; export const run = () => [slugify('Ünïcode & spaces! ok'), slugify('Straße 5', { lower: true })]"],
  ['he', text, "import he from 'he'; export const run = () => [he.encode('<é© 💩>'), he.decode('&lt;&eacute;&#x1F4A9;&amp;')]"],
  ['diff', text, "import { diffWords, createPatch } from 'diff'; export const run = () => [diffWords('a quick fox', 'a slow fox').map(p => [p.value, !!p.added, !!p.removed]), createPatch('f', 'a\\nb\\n', 'a\\nc\\n')]"],
  ['leven', text, "import leven from 'leven'; export const run = () => [leven('kitten', 'sitting'), leven('', 'abc')]"],
  ['qs', text, "import qs from 'qs'; export const run = () => [qs.parse('a[b][]=1&a[b][]=2&c=%C3%A9'), qs.stringify({ a: { b: [1, 2] }, c: 'é' })]"],
  ['semver', tools, "import semver from 'semver'; export const run = () => [semver.satisfies('1.2.3', '^1.2 || >=2'), semver.inc('1.2.3', 'minor'), semver.sort(['1.10.0', '1.2.0-beta.1', '1.2.0'])]"],
  ['lodash', tools, "import _ from 'lodash'; export const run = () => [_.groupBy([1.2, 1.8, 2.1], Math.floor), _.debounce.length, _.template('<% _.each(xs, x => { %><%- x %>;<% }) %>')({ xs: ['<', 2] }), _.cloneDeep({ a: [new Date(5)] }), _.camelCase('a b-c')]"],
  ['ramda', tools, "import * as R from 'ramda'; export const run = () => [R.pipe(R.map(R.multiply(2)), R.filter(R.gt(R.__, 3)), R.sum)([1, 2, 3]), R.path(['a', 0, 'b'], { a: [{ b: 7 }] }), R.transpose([[1, 2], [3, 4]])]"],
  ['jmespath', tools, "import jmespath from 'jmespath'; export const run = () => jmespath.search({ a: [{ b: 1, c: 'x' }, { b: 5, c: 'y' }] }, 'a[?b > `2`].{name: c, twice: b}')"],
  ['jsonpath-plus', tools, "import { JSONPath } from 'jsonpath-plus'; export const run = () => JSONPath({ path: '$..b', json: { a: [{ b: 1 }, { b: { b: 2 } }] } })"],
  ['expr-eval', tools, "import { Parser } from 'expr-eval'; export const run = () => [Parser.evaluate('2 * x ^ 3 + sin(0)', { x: 3 }), Parser.parse('a > 1 ? b : c').variables()]"],
  ['seedrandom', tools, "import seedrandom from 'seedrandom'; export const run = () => { const r = seedrandom('hello.'); return [r(), r.int32(), r.quick()] }"],
  ['fflate', compression, "import { gzipSync, gunzipSync, strToU8, strFromU8 } from 'fflate'; export const run = () => [strFromU8(gunzipSync(gzipSync(strToU8('abc'.repeat(100)), { mtime: 0 }))).length, gzipSync(strToU8('a'.repeat(1000)), { mtime: 0 }).length]"],
  ['pako', compression, "import * as pako from 'pako'; export const run = () => [Array.from(pako.deflate('hello hello hello')), pako.inflate(pako.deflate('é'), { to: 'string' })]"],
  ['lz-string', compression, "import LZString from 'lz-string'; export const run = () => [LZString.compressToBase64('hello hello hello'), LZString.decompressFromBase64(LZString.compressToBase64('é✓'))]"]
]
