//! An origin that an operator lists: parsed strictly, and written as browsers do.
//!
//! A browser sends `scheme://host`, in lower case, with a port only where it is not the scheme's own, and nothing else.
//! A listed value with the same meaning in another spelling is normalised to that form. A value that no browser would
//! ever send is refused with the reason, because its page would be refused without one.

use std::fmt;
use std::str::FromStr;

use crate::authority::{self, AuthorityError, is_scheme};

/// An entry of the operator's list of allowed origins.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AllowedOrigin {
    /// `*`: every page.
    All,
    /// The pages of one origin, as browsers write it.
    One(String),
}

/// Why no page can have an origin.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum OriginError {
    /// There is no scheme.
    #[error("an origin begins with its scheme, as in https://{0}")]
    NoScheme(String),
    /// The scheme is one whose pages have another origin.
    #[error("{0}")]
    Scheme(&'static str),
    /// A `*` that does not stand alone.
    #[error("`*` stands for all pages, and only alone: list each origin")]
    Wildcard,
    /// Several origins in one value.
    #[error("it has a space or a comma: repeat the option for each origin")]
    Several,
    /// A path, a query or a fragment.
    #[error("an origin is only scheme, host and port: leave out `{0}`")]
    Path(String),
    /// The authority does not name a host and a port.
    #[error(transparent)]
    Authority(#[from] AuthorityError),
}

impl FromStr for AllowedOrigin {
    type Err = OriginError;

    fn from_str(text: &str) -> Result<Self, OriginError> {
        match text {
            "*" => return Ok(Self::All),
            // The opaque origin: of pages from files, and of sandboxed frames.
            "null" => return Ok(Self::One(text.into())),
            _ if text.contains('*') => return Err(OriginError::Wildcard),
            _ if text.contains([' ', ',', ';', '\t', '\n']) => return Err(OriginError::Several),
            _ => (),
        }
        let (scheme, rest) = text.split_once("://").ok_or_else(|| OriginError::NoScheme(text.into()))?;
        if !is_scheme(scheme) {
            return Err(OriginError::NoScheme(rest.into()));
        }
        let scheme = scheme.to_ascii_lowercase();
        check_scheme(&scheme)?;
        let end = rest.find(['/', '?', '#', '\\']).unwrap_or(rest.len());
        let (authority, path) = rest.split_at(end);
        if !matches!(path, "" | "/") {
            return Err(OriginError::Path(path.into()));
        }
        let (host, port) = authority::parse(authority)?;
        let default_port = match scheme.as_str() {
            "http" => Some(80),
            "https" => Some(443),
            _ => None,
        };
        let port = port.filter(|port| Some(*port) != default_port).map(|port| format!(":{port}"));
        Ok(Self::One(format!("{scheme}://{host}{}", port.unwrap_or_default())))
    }
}

impl fmt::Display for AllowedOrigin {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::All => "*",
            Self::One(origin) => origin,
        })
    }
}

fn check_scheme(scheme: &str) -> Result<(), OriginError> {
    Err(OriginError::Scheme(match scheme {
        "ws" | "wss" => "a page that opens a WebSocket still has an origin with http:// or https://",
        "file" => "pages of files have the origin `null`, which pages that anybody locks up have, too",
        "data" | "about" | "javascript" => "such pages have the origin `null`, which anybody can have",
        "hyper" | "dat" => "that is the key of a log or an archive, not the origin of a page",
        _ => return Ok(()),
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<String, OriginError> {
        text.parse::<AllowedOrigin>().map(|origin| origin.to_string())
    }

    #[test]
    fn origins_are_written_as_browsers_do() {
        for (text, expected) in [
            ("https://example.com", "https://example.com"),
            ("https://Example.COM/", "https://example.com"),
            ("HTTPS://example.com:443", "https://example.com"),
            ("http://example.com:80/", "http://example.com"),
            ("https://example.com:80", "https://example.com:80"),
            ("http://localhost:03000", "http://localhost:3000"),
            ("http://[0:0::1]:5555", "http://[::1]:5555"),
            ("http://[::ffff:127.0.0.1]", "http://[::ffff:7f00:1]"),
            ("chrome-extension://abcdefgh", "chrome-extension://abcdefgh"),
            ("tauri://localhost", "tauri://localhost"),
            ("null", "null"),
            ("*", "*"),
        ] {
            assert_eq!(read(text).as_deref(), Ok(expected), "{text}");
        }
    }

    #[test]
    fn an_origin_that_no_page_can_have_is_refused_with_the_reason() {
        for text in [
            "",
            "example.com",
            "localhost:3000",
            "//example.com",
            "example.com/",
            "NULL",
            "https:example.com",
        ] {
            assert!(matches!(read(text), Err(OriginError::NoScheme(_))), "{text}");
        }
        for (text, path) in [
            ("https://example.com/app", "/app"),
            ("https://example.com//", "//"),
            ("https://example.com?x", "?x"),
            ("https://example.com/#x", "/#x"),
        ] {
            assert_eq!(read(text), Err(OriginError::Path(path.into())), "{text}");
        }
        for text in ["https://*.example.com", "**", "http://*", "http://localhost:*"] {
            assert_eq!(read(text), Err(OriginError::Wildcard), "{text}");
        }
        for text in [
            "https://a.example,https://b.example",
            "https://a.example https://b.example",
            " https://a.example",
        ] {
            assert_eq!(read(text), Err(OriginError::Several), "{text}");
        }
        for port in ["", "0", "65536", "x", "-1"] {
            assert_eq!(
                read(&format!("https://example.com:{port}")),
                Err(AuthorityError::Port(port.into()).into())
            );
        }
        assert_eq!(read("https://"), Err(AuthorityError::NoHost.into()));
        for host in
            ["bücher.example", "a..b", "1.2.3", "256.1.1.1", "[::1", "[::g]", "%61.example", ".", "0x7f.1"]
        {
            assert!(
                matches!(
                    read(&format!("https://{host}")),
                    Err(OriginError::Authority(AuthorityError::Host(_)))
                ),
                "{host}"
            );
        }
        assert_eq!(read("https://bob@example.com"), Err(AuthorityError::User.into()));
        for text in ["ws://example.com", "wss://example.com", "file:///tmp/x", "file://", "hyper://abc"] {
            assert!(matches!(read(text), Err(OriginError::Scheme(_))), "{text}");
        }
    }
}
