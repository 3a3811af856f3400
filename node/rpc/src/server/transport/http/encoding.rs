//! Checks that the body of a POST can be JSON text without decoding. A compressed body, or one in another charset, is
//! answered with that reason (415), not with a syntax error.

use hyper::header::{CONTENT_ENCODING, CONTENT_TYPE, HeaderMap};

/// The first bytes of compressed bodies.
const PACKED: [(&[u8], &str); 3] =
    [(&[0x1f, 0x8b], "gzip"), (&[0x28, 0xb5, 0x2f, 0xfd], "zstd"), (&[0xfd, b'7', b'z', b'X', b'Z'], "xz")];

/// Why a body is not read.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum EncodingError {
    #[error("a request's body is compressed with {coding:?}; send it uncompressed")]
    Packed { coding: String },
    #[error("a request's body must be UTF-8 text, not {charset:?}")]
    Charset { charset: String },
    #[error("a request's body must be JSON text, not {media:?}")]
    Media { media: String },
}

/// Checks the headers that describe the body. Every media type that can hold JSON is accepted, and no type at all:
/// programs send defaults (`curl -d` declares a form).
pub(super) fn check(headers: &HeaderMap) -> Result<(), EncodingError> {
    let codings = headers.get_all(CONTENT_ENCODING).iter();
    let codings = codings.flat_map(|value| value.to_str().unwrap_or("?").split(',')).map(str::trim);
    let mut packed = codings.filter(|coding| !coding.is_empty() && !coding.eq_ignore_ascii_case("identity"));
    if let Some(coding) = packed.next() {
        return Err(EncodingError::Packed { coding: shown(coding) });
    }
    let Some(kind) = headers.get(CONTENT_TYPE) else { return Ok(()) };
    let kind = kind.to_str().unwrap_or("?").to_ascii_lowercase();
    let (media, parameters) = kind.split_once(';').unwrap_or((&kind, ""));
    let media = media.trim();
    let is_other = ["multipart/", "image/", "audio/", "video/", "font/", "model/"]
        .iter()
        .any(|kind| media.starts_with(kind));
    if is_other || PACKED.iter().any(|(_, name)| media == format!("application/{name}")) {
        return Err(EncodingError::Media { media: shown(media) });
    }
    let mut parameters = parameters.split(';').filter_map(|parameter| parameter.split_once('='));
    let charset = parameters
        .find(|(name, _)| name.trim() == "charset")
        .map(|(_, value)| value.trim().trim_matches('"'));
    match charset {
        None | Some("utf-8" | "utf8" | "us-ascii" | "ascii") => Ok(()),
        Some(charset) => Err(EncodingError::Charset { charset: shown(charset) }),
    }
}

/// Checks that the body is not compressed without a header that declares it.
pub(super) fn check_body(body: &[u8]) -> Result<(), EncodingError> {
    match PACKED.iter().find(|(start, _)| body.starts_with(start)) {
        Some((_, coding)) => Err(EncodingError::Packed { coding: (*coding).into() }),
        None => Ok(()),
    }
}

fn shown(text: &str) -> String {
    text.chars().take(60).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn checked(headers: &[(&'static str, &str)]) -> Result<(), EncodingError> {
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.append(*name, value.parse().expect("a header"));
        }
        check(&map)
    }

    #[test]
    fn media_types_that_may_hold_json_are_accepted() {
        for kind in [
            "application/json",
            "application/json; charset=utf-8",
            "Application/JSON;Charset=\"UTF-8\"",
            "application/json-rpc",
            "application/vnd.api+json",
            "text/plain;charset=UTF-8",
            "application/x-www-form-urlencoded",
            "application/octet-stream",
            "",
        ] {
            assert_eq!(checked(&[("content-type", kind)]), Ok(()), "{kind}");
        }
        assert_eq!(checked(&[]), Ok(()));
        assert_eq!(checked(&[("content-encoding", "identity")]), Ok(()));
        assert_eq!(checked(&[("content-encoding", "")]), Ok(()));
    }

    #[test]
    fn compressed_and_other_bodies_are_refused_by_name() {
        for coding in ["gzip", "br", "deflate", "zstd", "x-gzip", "GZIP", "identity, gzip", "nonsense"] {
            let found = checked(&[("content-encoding", coding)]);
            assert!(matches!(found, Err(EncodingError::Packed { .. })), "{coding}: {found:?}");
        }
        for kind in ["multipart/form-data; boundary=x", "image/png", "application/gzip"] {
            assert!(matches!(checked(&[("content-type", kind)]), Err(EncodingError::Media { .. })), "{kind}");
        }
        for kind in ["application/json; charset=utf-16", "text/plain;charset=iso-8859-1"] {
            assert!(
                matches!(checked(&[("content-type", kind)]), Err(EncodingError::Charset { .. })),
                "{kind}"
            );
        }
        assert!(check_body(b"\x1f\x8b\x08").is_err());
        assert_eq!(check_body(b"[]"), Ok(()));
    }
}
