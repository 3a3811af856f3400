//! Tests of the costs of programs: high enough for hostile ones, low for those that people write.

use std::fmt::Write;

use proptest::prelude::*;

use super::*;

fn steps(program: &str) -> u64 {
    cost(program.as_bytes()).steps
}

/// Returns `v0`, `v1` and so on, with a text before and after each.
fn names(count: usize, before: &str, after: &str) -> String {
    (0..count).fold(String::new(), |mut text, number| {
        write!(text, "{before}v{number}{after}").expect("memory");
        text
    })
}

/// Compares with the engine's measured times for these, on a quiet core and in steps of 30 ns.
#[test]
fn hostile_programs_cost_as_much_as_the_engine_takes() {
    let many = names(10_000, "", ",") + "v";
    let few = names(3_000, "", ",") + "v";
    let some = names(8_000, "", ";");
    let cases: [(&str, String, u64); 14] = [
        ("constants", format!("(() => {{ let {many} }})()"), 9_000_000),
        ("constants that are used", format!("(() => {{ let {many}; return () => [{many}] }})()"), 14_000_000),
        ("functions in a block", format!("{{{}}}", names(10_000, "function ", "(){};")), 12_000_000),
        (
            "cases",
            format!("(x => {{ switch (x) {{ {} }} }})", names(8_000, "case 1: let ", "=1;")),
            6_500_000,
        ),
        ("parameters with defaults", format!("({}) => 1", names(8_000, "", "=b,")), 7_000_000),
        ("names of a pattern", format!("let {{{}}} = {{}}", names(8_000, "k:", ",")), 1_900_000),
        ("names from outside", format!("{}{few}{}", "(() => ".repeat(100), ")".repeat(100)), 1_000_000),
        ("private names", format!("class A {{ {} }}", names(3_000, "#", ";")), 830_000),
        ("brackets in brackets", "[".repeat(250) + &"]".repeat(250), 27_000),
        ("functions in functions", "(()=>{".repeat(200) + &"})".repeat(200), 44_000),
        (
            "returns out of much",
            "try{".repeat(150) + &"return;".repeat(3_000) + &"}finally{}".repeat(150),
            260_000,
        ),
        ("a great integer", "9".repeat(100_000) + "n", 1_000_000),
        (
            "blocks on lines of their own",
            format!("x\n{{{}}};{some}", names(8_000, "\nf()\n{let ", "}")),
            700_000,
        ),
        (
            "names that shadow none",
            format!("(function () {{ {} {some} }})", names(8_000, "{let ", "}")),
            1_300_000,
        ),
    ];
    for (what, program, taken) in cases {
        assert!(steps(&program) * 10 >= taken * 7, "{what}: {} of {taken}", steps(&program));
    }
}

#[test]
fn no_construct_hides_the_cost_of_a_program() {
    let program =
        format!("(() => {{ let {}v; return () => [{}v] }})", names(500, "", ","), names(500, "", ","));
    let least = steps(&program);
    let disguises = [
        "let a = '}})'; ",
        "let a = \"{\\\"\"; ",
        "let a = `}${'{'}}`; ",
        "/* ( */ ",
        "// }\n ",
        "<!-- }\n ",
        "let a = /[}/]/; ",
        "let a = 1 / 2; let b = /}\\//g; ",
        "x\n--> }\n ",
        "if (a) /}/.test(b); ",
        "let a = b++ / 2; ",
        "let a = { if: 1 }.if / 2; ",
        "label: { ",
        "let a = x => x, b = y => y; ",
        "let \\u{61} = 1; ",
        "a\u{2028}let b; ",
    ];
    for before in disguises {
        let disguised = format!("(function () {{ {before}{program} }})");
        assert!(steps(&disguised) >= least, "{before}");
    }
}

#[test]
fn the_rest_of_an_ambiguous_text_is_expensive() {
    let names = names(300, "", ";");
    let (known, unknown) = (format!("(function () {{}}); {names}"), format!("yield /1; {names}"));
    assert!(steps(&unknown) > steps(&known), "{} and {}", steps(&unknown), steps(&known));
}

#[test]
fn programs_that_people_write_cost_little() {
    let functions = (0..500).fold(String::new(), |mut text, number| {
        write!(
            text,
            "function f{number} (list, done) {{
                const sum = list.map(item => item.count * 2).filter(count => count > {number}).reduce((a, b) => a + b, 0)
                if (/^a+$/.test(done.name)) return {{ sum, name: `${{done.name}}-{number}`, rest: {{ list, at: Date.now() }} }}
                for (let at = 0; at < list.length; at++) {{ try {{ done(list[at] / sum) }} catch (error) {{ console.log(error) }} }}
                return null
            }}
            exports.m{number} = (user, list = []) => f{number}(list, () => user)\n"
        )
        .expect("memory");
        text
    });
    // 270 kB, a large service.
    assert!(steps(&functions) < 800_000, "{}", steps(&functions));
}

#[test]
fn a_word_is_where_the_engine_sees_one() {
    let words = |text: &str| cost(text.as_bytes()).words;
    assert_eq!(words("a b.c d?.e ...f"), 4);
    assert_eq!(words("'a' \"b\" `c`; /d/g // e\n/* f */"), 0);
    assert_eq!(words("`a${b}c${`${d}`}`"), 2);
    assert_eq!(words("({ a: b, 'c': d, e, f () {} })"), 4);
    assert_eq!(words("a\u{a0}b\u{3000}c\u{feff}d"), 4);
    assert_eq!(words("1.5e3 0xff 10n .5 a?.5:b"), 2);
    assert_eq!(words("a = b / c / d"), 4);
    assert_eq!(words("a = (b) / c / d"), 4);
    assert_eq!(words("a = [] / c / d"), 3);
    assert_eq!(words("return /c[/] d/"), 0);
    assert_eq!(words("\\u{61}b"), 1);
}

proptest! {
    #[test]
    fn any_text_has_a_cost(text in proptest::collection::vec(any::<u8>(), 0..400)) {
        cost(&text);
    }

    /// Built from pieces of programs.
    #[test]
    fn any_program_has_a_cost(parts in proptest::collection::vec(proptest::sample::select(PARTS), 0..200)) {
        cost(parts.concat().as_bytes());
    }
}

const PARTS: &[&str] = &[
    "(",
    ")",
    "[",
    "]",
    "{",
    "}",
    "=>",
    "`",
    "${",
    "'",
    "\"",
    "/",
    "*",
    "\\",
    "\n",
    ";",
    ",",
    ":",
    ".",
    "?.",
    "...",
    "=",
    "a",
    "b ",
    "let ",
    "var ",
    "const ",
    "function ",
    "class ",
    "extends ",
    "if",
    "for",
    "catch",
    "return ",
    "static",
    "async ",
    "yield ",
    "of ",
    "case ",
    "do",
    "else ",
    "new ",
    "#p",
    "1",
    "0.5n",
    "<!--",
    "-->",
    "//",
    "/*",
    "*/",
    "\u{2028}",
    "\u{a0}",
    "\\u{",
    "++",
    "in ",
];
