//! Lone surrogates in JSON texts of the engine: no other text may have them.

/// Returns the same JSON text with U+FFFD in place of escapes of lone surrogates. The engine writes only lone surrogates as
/// escapes; whole letters stay as they are.
pub(super) fn without_lone_surrogates(json: &str) -> String {
    let mut text = String::with_capacity(json.len());
    let mut rest = json;
    while let Some(at) = rest.find('\\') {
        let escape = &rest[at..];
        let is_half = escape.starts_with("\\ud");
        let length = if escape.starts_with("\\u") { 6 } else { 2 };
        text.push_str(&rest[..at]);
        text.push_str(if is_half { "\u{fffd}" } else { &escape[..length] });
        rest = &escape[length..];
    }
    text.push_str(rest);
    text
}
