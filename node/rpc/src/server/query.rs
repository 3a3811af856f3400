//! The query of a URL: how the server parses it, above all its parameter `user`.

/// Bytes of a user's name: the limit of an entry in the call log.
const USER_BYTES_MAX: usize = libvms_protocol::limits::USER_ID_BYTES_MAX;

/// Returns the first `user` parameter of a query. An empty name counts as none.
///
/// Only `%` escapes are decoded: a `+` is a `+`.
pub(super) fn user(query: Option<&str>) -> Result<Option<String>, UserError> {
    match parameter(query, "user")? {
        Some(name) if name.len() > USER_BYTES_MAX => Err(UserError::TooLong),
        name => Ok(name),
    }
}

/// Returns the first parameter `name` of a query. An empty value counts as none.
pub(super) fn parameter(query: Option<&str>, name: &str) -> Result<Option<String>, EscapeError> {
    let parameters = query.unwrap_or_default().split('&');
    let found =
        parameters.filter_map(|parameter| parameter.split_once('=')).find(|(found, _)| *found == name);
    found.filter(|(_, value)| !value.is_empty()).map(|(_, value)| decode(value)).transpose()
}

/// Returns whether a query has the parameter `name`, with or without a value.
pub(super) fn is_set(query: Option<&str>, name: &str) -> bool {
    let mut parameters = query.unwrap_or_default().split('&');
    parameters.any(|parameter| parameter.split('=').next() == Some(name))
}

/// Why the user in a URL cannot stand in an entry of the call log.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum UserError {
    #[error("the user {0}")]
    Escape(#[from] EscapeError),
    #[error("the user's name is longer than {USER_BYTES_MAX} bytes")]
    TooLong,
}

/// Why a part of a URL cannot be decoded to text.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum EscapeError {
    #[error("has an incomplete % escape")]
    Incomplete,
    #[error("is not UTF-8 text")]
    NotText,
}

/// Decodes a part of a URL to text: each `%` with two digits is a byte.
pub(super) fn decode(text: &str) -> Result<String, EscapeError> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&byte, after)) = rest.split_first() {
        rest = after;
        if byte != b'%' {
            bytes.push(byte);
            continue;
        }
        let (digits, after) = rest.split_first_chunk::<2>().ok_or(EscapeError::Incomplete)?;
        rest = after;
        bytes.push(digit(digits[0])? * 16 + digit(digits[1])?);
    }
    String::from_utf8(bytes).map_err(|_| EscapeError::NotText)
}

fn digit(byte: u8) -> Result<u8, EscapeError> {
    let digit = char::from(byte).to_digit(16).ok_or(EscapeError::Incomplete)?;
    Ok(u8::try_from(digit).expect("a hexadecimal digit is below 16"))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::escape::with_user;

    #[test]
    fn the_first_user_counts() {
        assert_eq!(user(None), Ok(None));
        assert_eq!(user(Some("user=")), Ok(None));
        assert_eq!(user(Some("a=1&user=bob&user=eve")), Ok(Some("bob".into())));
        assert_eq!(user(Some("user=a+b%20c%C3%A9")), Ok(Some("a+b cé".into())));
    }

    #[test]
    fn queries_without_a_valid_user_are_refused() {
        for incomplete in ["user=%", "user=%4", "user=%+1"] {
            assert_eq!(user(Some(incomplete)), Err(EscapeError::Incomplete.into()), "{incomplete}");
        }
        assert_eq!(user(Some("user=%ff")), Err(EscapeError::NotText.into()));
        assert_eq!(user(Some(&format!("user={}", "x".repeat(1024)))), Ok(Some("x".repeat(1024))));
        assert_eq!(user(Some(&format!("user={}", "x".repeat(1025)))), Err(UserError::TooLong));
    }

    proptest! {
        #[test]
        fn every_name_arrives(name in "\\PC{1,100}") {
            prop_assert_eq!(user(Some(&with_user(None, &name))), Ok(Some(name)));
        }
    }
}
