//! Percent-encoding (RFC 3986, section 2.1) of texts in URLs, for the client and the server.

use std::fmt::Write;

/// Returns `text` as a part of a URL: with `%` escapes for all characters but RFC 3986's unreserved ones.
pub fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            escaped.push(char::from(byte));
        } else {
            write!(escaped, "%{byte:02X}").expect("a String takes everything");
        }
    }
    escaped
}

/// Returns `query` with the parameter `user` before all others: the server reads the first one.
#[cfg(any(feature = "client", test))]
pub(super) fn with_user(query: Option<&str>, user: &str) -> String {
    let user = format!("user={}", escaped(user));
    query.map_or_else(|| user.clone(), |query| format!("{user}&{query}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rest_of_the_query_stays() {
        assert_eq!(with_user(Some("a=1"), "b&c"), "user=b%26c&a=1");
    }
}
