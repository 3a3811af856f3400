"""Odd arguments of calls: `ODD`, those that no client may sign (`REFUSED`), and any number of others by chance (`by_chance`)."""
import json, random


def nested(levels, inner=""): return "[" * levels + inner + "]" * levels
def wide(count): return "{" + ",".join(f'"k{number}":{number}' for number in range(count)) + "}"


ODD = [
    "[]", "[null]", "[true,false]", "[[],{},\"\"]", " [ 1 ,\t2\r\n] ", "[{\"\":{\"\":[]}}]",
    # Integral, whatever the notation.
    "[0,-0,0.0,-0.0,0e5,-0e-5]", "[1.0,1e0,10e-1,0.1e1,1E3,1e+3,1000]", "[-1.0,-1e0,-100e-2]", "[23,24,255,256,65535,65536]",
    "[4294967295,4294967296,-24,-25,-256,-257,-65536,-65537,-4294967296,-4294967297]",
    # At 2^53 and beyond it.
    "[9007199254740991,9007199254740992,9007199254740993,9007199254740994,9007199254740995]",
    "[-9007199254740991,-9007199254740992,-9007199254740993,-9007199254740994]", "[9007199254740992.0,9007199254740993.0,9.007199254740994e15]",
    "[9223372036854775807,9223372036854775808,-9223372036854775808,18446744073709551615,18446744073709551616]",
    "[340282366920938463463374607431768211456,123456789012345678901234567890]", "[1e21,1e22,123456789012345680000,1e308]",
    # Fractions, the smallest and the greatest.
    "[0.1,0.5,1.5,-2.5,0.30000000000000004,3.141592653589793]", "[5e-324,-5e-324,4.9406564584124654e-324,2.2250738585072014e-308]",
    "[2.225073858507201e-308,1.7976931348623157e308,-1.7976931348623157e308]", "[3e-324,2e-324,-1e-400,1e-5000]", "[1.7976931348623158e308]",
    "[0.1000000000000000055511151231257827,2.4703282292062328e-324,9007199254740992.5,4503599627370496.5]",
    # Text: escapes, each plane, what looks alike.
    '["","a","\\u0061","\\"\\\\\\/\\b\\f\\n\\r\\t\\u0000\\u001f\\u007f\\u0080"]', '["ü","\\u00fc","u\\u0308","ß","ſ","İ"]', '["\\ud83d\\ude00","😀","\\uD83D\\uDE00"]',
    '["\\uffff","\\ufffe","\\ufeff","\\u2028\\u2029","\\udbff\\udfff","\\ud800\\udc00"]', '["日本語","עברית","𝔘𝔫𝔦𝔠𝔬𝔡𝔢","👩‍👩‍👧‍👦","🏴󠁧󠁢󠁥󠁮󠁧󠁿"]', '["\\u202e right to left","\\u0007\\u001b[2J"]',
    # Keys by their length in UTF-8, then by bytes: not as JavaScript sorts them.
    '[{"b":1,"aa":2,"a":3,"":4}]', '[{"\\uffff":1,"😀":2,"ü":3,"zz":4,"z":5}]', '[{"\\ud800\\udc00":1,"\\ue000":2,"\\uffff":3,"aaaa":4}]', '[{"10":1,"9":2,"-1":3,"01":4}]',
    '[{"ab":1,"é":2,"\\u0000":3,"\\u007f":4}]', '[{"__proto__":1,"constructor":2,"toString":3,"hasOwnProperty":4}]', '[{"length":0,"then":1,"toJSON":2}]',
    # The last of repeated members counts.
    '[{"a":1,"a":2}]', '[{"a":{"b":1},"\\u0061":{"c":2}}]',
    # Deep, and large.
    nested(100), nested(99, '{"a":1}'), "[" + '{"a":' * 99 + "1" + "}" * 99 + "]", f"[{wide(300)}]", json.dumps(["x" * 100_000]), json.dumps(["ü😀" * 20_000]),
    json.dumps(list(range(2_000))), "[" + ",".join(["{}"] * 256) + "]", "[" + ",".join(["0.5"] * 24) + "]",
]

# Not JSON data: a client throws before it signs, and a host takes none of them either.
REFUSED = [
    "[1e400]", "[-1e400]", "[1e309]", "[1.7976931348623159e308]", '["\\ud800"]', '["\\udc00\\ud800"]', '[{"\\ud83d":1}]', '["a\\udfffb"]', nested(101), nested(50_000), "[NaN]",
    "[Infinity]", "[-Infinity]", "[01]", "[.5]", "[5.]", "[+1]", "[0x10]", "[1,]", "[undefined]", "['a']", "[1n]",
]


def by_chance(count, seed):
    """Texts of lists of arguments in every notation."""
    chance = random.Random(seed)
    return ["[" + gap(chance) + ",".join(value(chance, 4) for _ in range(chance.randrange(5))) + "]" for _ in range(count)]


def gap(chance): return chance.choice(["", "", "", " ", "\n\t"])


def value(chance, levels):
    kind = chance.randrange(8 if levels else 6)
    if kind == 0: text = chance.choice(["null", "true", "false"])
    elif kind <= 3: text = number(chance)
    elif kind <= 5: text = word(chance)
    elif kind == 6: text = "[" + ",".join(value(chance, levels - 1) for _ in range(chance.randrange(4))) + "]"
    else: text = "{" + ",".join(word(chance) + gap(chance) + ":" + value(chance, levels - 1) for _ in range(chance.randrange(5))) + "}"
    return gap(chance) + text + gap(chance)


def number(chance):
    sign, kind = chance.choice(["", "-"]), chance.randrange(5)
    if kind == 0: return sign + str(chance.choice([0, 1, 23, 24, 255, 256, 2**32, 2**53 - 1, 2**53, 2**53 + 1, 2**64, 10**30]) + chance.randrange(3))
    if kind == 1: return f"{sign}{chance.randrange(100)}.{chance.randrange(10**chance.randrange(1, 20))}"
    if kind == 2: return f"{sign}{chance.randrange(1000)}{chance.choice('eE')}{chance.choice(['', '+', '-'])}{chance.randrange(12)}"
    if kind == 3: return f"{sign}{chance.randrange(1, 18)}.{chance.randrange(10**17)}e{chance.randrange(-330, 300)}"
    return repr(chance.uniform(-1, 1) * 2.0 ** chance.randrange(-1074, 1000))


def word(chance):
    """A string with each character raw or escaped."""
    planes = [(0, 0x20), (0x20, 0x7f), (0x20, 0x7f), (0x7f, 0x800), (0x800, 0xd800), (0xe000, 0x10000), (0x10000, 0x110000)]
    text = ""
    for _ in range(chance.randrange(5)):
        character = chr(chance.randrange(*chance.choice(planes)))
        raw = json.dumps(character, ensure_ascii=chance.random() < 0.5)
        text += raw[1:-1]
    return f'"{text}"'
