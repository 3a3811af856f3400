// a power with a million digits
(7n ** 1000000n) > 0n

// powers of two that are possible
for (;;) 2n ** 1000000n

// powers of three that are possible
for (;;) 3n ** 300000n

// products of great integers
const a = (1n << 8000000n) - 1n; a * a

// products of possible integers
const a = (1n << 500000n) - 1n; for (let i = 0; i < 1e4; i++) a * a

// quotients of possible integers
const a = (1n << 1000000n) - 1n, b = (1n << 500000n) - 1n; for (let i = 0; i < 1e4; i++) a / b

// remainders of possible integers
const a = (1n << 1000000n) - 1n, b = (1n << 500000n) - 1n; for (let i = 0; i < 1e4; i++) a % b

// sums of possible integers
const a = (1n << 1000000n) - 1n; for (;;) a + a

// shifts of possible integers
const a = 1n; for (;;) { a << 1000000n; (a << 1000000n) >> 999999n }

// bits of possible integers
const a = (1n << 1000000n) - 1n, b = -a; for (;;) { a & b; a | b; a ^ b; ~a }

// decimal digits of an integer that is too large
((1n << 2000000n) - 1n).toString()

// decimal digits of a possible integer
const a = (1n << 1000000n) - 1n; for (;;) a.toString()

// decimal digits of a possible integer in a template
const a = (1n << 1000000n) - 1n; for (let i = 0; i < 1e4; i++) `${a}`

// decimal digits of a possible integer by plus
const a = (1n << 1000000n) - 1n; for (let i = 0; i < 1e4; i++) a + ''

// decimal digits of a possible integer as a name
const a = (1n << 1000000n) - 1n, o = {}; for (let i = 0; i < 1e4; i++) o[a]

// digits in a radix that is no power of two
const a = (1n << 300000n) - 1n; for (;;) a.toString(7)

// digits in hexadecimal
const a = (1n << 1000000n) - 1n; for (;;) a.toString(16)

// BigInt of many digits
BigInt('9'.repeat(300000))

// BigInt of many digits, again and again
const s = '9'.repeat(100000); for (;;) BigInt(s)

// BigInt of hexadecimal digits
const s = '0x' + 'f'.repeat(200000); for (;;) BigInt(s)

// an integer compared with a text of many digits
const s = '9'.repeat(300000); for (let i = 0; i < 1e4; i++) 1n < s

// an integer equal to a text of many digits
const s = '9'.repeat(300000); for (let i = 0; i < 1e4; i++) 1n == s

// a literal of many digits
const source = '9'.repeat(250000) + 'n'; for (let i = 0; i < 1e4; i++) (0, eval)(source)

// great integers compared
const a = 1n << 1000000n, b = (1n << 1000000n) + 1n; for (let i = 0; i < 1e5; i++) a < b

// products of integers of 1,980 bits
// stays: what they make is too short for an allocation of its own, so nothing sees it: a product takes 4 us
const a = (1n << 1980n) - 1n; for (;;) a * a

// quotients of an integer of 3,900 bits
// stays: what they make is too short for an allocation of its own, so nothing sees it: a quotient takes 5 us
const a = (1n << 3900n) - 1n, b = (1n << 1950n) - 3n; for (;;) a / b

// powers that end with 3,900 bits
// stays: what they make is too short for an allocation of its own, so nothing sees it: a power takes 5 us
const a = (1n << 31n) - 1n; for (;;) a ** 125n

// decimal digits of an integer of 3,900 bits in a template
// stays: its copy is too short for an allocation of its own, so nothing sees it: a print takes 40 us
const a = (1n << 3900n) - 1n; for (;;) `${a}`

// an integer of 3,900 bits compared with its text
// stays: what is read is too short for an allocation of its own, so nothing sees it: a comparison takes 11 us
const a = (1n << 3900n) - 1n, s = String(a); for (;;) a < s

// asIntN and asUintN
const a = (1n << 1000000n) - 1n; for (;;) { BigInt.asIntN(2 ** 53 - 1, a); BigInt.asUintN(999999, a); BigInt.asIntN(2 ** 53 - 1, -a) }

// Number of a great integer
const a = (1n << 1000000n) - 1n; for (;;) Number(a)

// a factorial
let a = 1n; for (let i = 1n; ; i++) a *= i

// a tower of squares
let a = 3n; for (;;) a = a ** 2n

// Fibonacci
let a = 1n, b = 1n; for (;;) [a, b] = [b, a + b]

// toFixed of great and small numbers
for (;;) { (1e21 + 0.1).toString(); (0.1).toFixed(100); (1e20).toFixed(100) }

// toPrecision and toExponential
for (;;) { Number.MIN_VALUE.toPrecision(100); Number.MAX_VALUE.toExponential(100) }

// toString in odd radices
for (;;) { Number.MAX_VALUE.toString(3); Number.MIN_VALUE.toString(35); Math.PI.toString(2) }

// Math with as many arguments as a call takes
const a = Array(6e4).fill(3); for (;;) { Math.max(...a); Math.hypot.apply(null, a); Math.min(...a) }

// Math of odd numbers
for (;;) { Math.sin(1e308); Math.tan(Number.MAX_VALUE); Math.pow(1.0000001, 1e300); Math.cbrt(5e-324); 2 ** 1e308; Math.atan2(1e308, 5e-324) }

// sumPrecise of many numbers
const a = Array.from({ length: 1e5 }, (_, i) => 10 ** (i % 600 - 300)); for (;;) Math.sumPrecise(a)

// remainders of far numbers
for (let i = 0; ; i++) 1.7e308 % 5e-324

// Date of far days
const d = new Date(8.64e15); for (;;) { d.setFullYear(275760); d.setMonth(2 ** 53); d.setDate(-(2 ** 53)); new Date(8.64e15).toString(); Date.UTC(1e300, 1e300, 1e300) }

// dates printed
const d = new Date(8.64e15); for (;;) { d.toISOString(); d.toLocaleString(); d.toUTCString(); String(d) }
