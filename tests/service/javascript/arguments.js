// Prints lists of arguments as they go to a host, and what a caller signs: `{ params, signed }` a line, from a seed.

import { hex, unhex } from '../node_modules/libvms-client/src/bytes.js'
import { callBytes } from '../node_modules/libvms-client/src/call.js'
import { argumentsOf } from '../node_modules/libvms-client/src/data.js'

import { Dice } from './chance.js'

const [count, log, nonce] = [Number(process.argv[2]), unhex(process.argv[3], 32), Number(process.argv[4])]
const dice = new Dice(1)

const NUMBERS = [0, -0, 1, -1, 0.5, -1.5, 2 ** 53, -(2 ** 53), 2 ** 53 - 1, 2 ** 53 + 2, -(2 ** 53 + 2), 2 ** 63, 2 ** 64, 1e21, 1e-7, 5e-324, 1.7976931348623157e308,
  Number.EPSILON, 4294967295, 4294967296, 65535, 65536, 255, 256, 23, 24, -24, -25, -256, -257, 1e100, 123456789.125, 0.1 + 0.2]
const TEXTS = ['', 'a', 'é', '\u0000', '\ufeff', '\u2028', '\\"/', '\ud83d\ude00', 'e\u0301', '__proto__', 'constructor', 'toJSON', '/', 'bytes', 'length', '0', '\uffff', '\u{10ffff}']

function value (levels) {
  const kind = dice.below(levels > 0 ? 8 : 5)
  if (kind === 0) return dice.pick([null, true, false])
  if (kind <= 2) return dice.oneIn(2) ? dice.pick(NUMBERS) : float()
  if (kind <= 4) return text()
  if (kind <= 5) return Array.from({ length: dice.below(5) }, () => value(levels - 1))
  return Object.fromEntries(Array.from({ length: dice.below(5) }, () => [text(), value(levels - 1)]))
}

function float () {
  for (;;) {
    const number = dice.oneIn(2) ? dice.float() : Math.trunc(dice.float()) % 2 ** (1 + dice.below(60))
    if (Number.isFinite(number)) return number
  }
}

const text = () => dice.oneIn(2) ? dice.pick(TEXTS) : Array.from({ length: dice.below(6) }, character).join('')

function character () {
  for (;;) {
    const code = dice.oneIn(2) ? dice.below(0x300) : dice.below(0x110000)
    if (code < 0xd800 || code > 0xdfff) return String.fromCodePoint(code)
  }
}

/** Every code point of Unicode that is a character, as the text and as the key of something. */
function * unicode () {
  for (let first = 0; first < 0x110000; first += 0x400) {
    const codes = Array.from({ length: 0x400 }, (_, at) => first + at).filter((code) => code < 0xd800 || code > 0xdfff)
    if (codes.length === 0) continue
    const characters = codes.map((code) => String.fromCodePoint(code))
    yield [characters.join(''), Object.fromEntries(characters.slice(0, 40).reverse().map((character) => [character, 1]))]
  }
}

function tell (args) {
  const data = argumentsOf(args)
  const signed = callBytes({ log, methodName: 'f', args: data, nonce })
  lines.push(JSON.stringify({ params: JSON.stringify(data), signed: hex(signed) }))
}

const lines = []
for (let left = count; left > 0; left--) tell(Array.from({ length: dice.below(5) }, () => value(4)))
for (const args of unicode()) tell(args)
process.stdout.write(`${lines.join('\n')}\n`)
