//! URLs of services, `ws://HOST:PORT/PATH` (RFC 3986; RFC 6455, section 3), parsed strictly. After a `#` may stand the key
//! of the log that the service must write: it is never sent.
//!
//! A browser repairs an invalid URL; a program that did so could connect to another machine than the one named.
//! So an invalid URL is refused with the reason, and never replaced by another one.

use std::fmt;
use std::str::FromStr;

use libvms_hypercore::identity::PublicKey;

use super::authority::{self, AuthorityError, Host, is_scheme};

/// Bytes of a URL. A longer one does not fit into the head of a request.
const URL_BYTES_MAX: usize = 16 << 10;

/// The port of a `ws://` URL that names none.
const PORT_DEFAULT: u16 = 80;

/// The URL of a service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServiceUrl {
    host: Host,
    port: u16,
    /// Begins with `/`. Escapes are kept as written.
    path: String,
    /// Without its `?`.
    query: Option<String>,
    log: Option<PublicKey>,
}

/// Why a text is not the URL of a service.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum UrlError {
    /// The text is too long.
    #[error("it has {0} bytes; the limit is {URL_BYTES_MAX}")]
    TooLong(usize),
    /// The text does not begin with a scheme.
    #[error("it must begin with ws://, as in ws://127.0.0.1:5555/")]
    NoScheme,
    /// A WebSocket over TLS.
    #[error(
        "wss:// is not spoken here; use ws:// to the service itself, or to a proxy on this machine that adds TLS"
    )]
    Tls,
    /// Another protocol.
    #[error("`{0}://` is not the scheme of a service: it must begin with ws://")]
    Scheme(String),
    /// A character that no URL may have.
    #[error("the character `{0}` must be written as an escape, as `{1}`")]
    Character(char, String),
    /// A `%` that is not followed by two hexadecimal digits.
    #[error("a `%` must be followed by two hexadecimal digits; `%` itself is written as `%25`")]
    Escape,
    /// A fragment that is not a key.
    #[error("after `#` stands the key of the service's log: 64 hexadecimal digits and nothing else")]
    Fragment,
    /// The authority does not name a host and a port.
    #[error(transparent)]
    Authority(#[from] AuthorityError),
}

impl ServiceUrl {
    /// Returns the host in the form that sockets take: a name or an address, without brackets.
    pub fn host(&self) -> String {
        match &self.host {
            Host::Name(name) => name.clone(),
            Host::V4(address) => address.to_string(),
            Host::V6(address) => address.to_string(),
        }
    }

    /// Returns the port; 80 when the URL names none.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Returns the query, without its `?`.
    pub fn query(&self) -> Option<&str> {
        self.query.as_deref()
    }

    /// Returns the URL of the same service with another query.
    #[must_use]
    pub fn with_query(self, query: Option<String>) -> Self {
        Self { query, ..self }
    }

    /// Returns the key after `#`: that of the log that the service must write.
    pub fn log(&self) -> Option<PublicKey> {
        self.log
    }

    /// Returns the one spelling under which a client remembers the service (WHATWG URL): without query and key, without the
    /// port that is the default, and with the path's segments `.` and `..` resolved.
    pub fn name(&self) -> String {
        let port = if self.port == PORT_DEFAULT { String::new() } else { format!(":{}", self.port) };
        format!("ws://{}{port}{}", self.host, resolved(&self.path))
    }
}

/// Resolves the segments `.` and `..` of a path, in each of their spellings (WHATWG URL, "path state").
fn resolved(path: &str) -> String {
    let mut segments: Vec<&str> = vec![];
    let mut ends_with_folder = false;
    for segment in path.split('/').skip(1) {
        let dots = segment.to_ascii_lowercase().replace("%2e", ".");
        ends_with_folder = dots == "." || dots == "..";
        match dots.as_str() {
            "." => (),
            ".." => drop(segments.pop()),
            _ => segments.push(segment),
        }
    }
    if ends_with_folder {
        segments.push("");
    }
    format!("/{}", segments.join("/"))
}

impl fmt::Display for ServiceUrl {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "ws://{}:{}{}", self.host, self.port, self.path)?;
        match &self.query {
            Some(query) => write!(formatter, "?{query}"),
            None => Ok(()),
        }
    }
}

impl FromStr for ServiceUrl {
    type Err = UrlError;

    fn from_str(text: &str) -> Result<Self, UrlError> {
        if text.len() > URL_BYTES_MAX {
            return Err(UrlError::TooLong(text.len()));
        }
        let (scheme, rest) = text.split_once("://").ok_or(UrlError::NoScheme)?;
        match scheme.to_ascii_lowercase().as_str() {
            "ws" => (),
            "wss" => return Err(UrlError::Tls),
            _ if is_scheme(scheme) => return Err(UrlError::Scheme(scheme.into())),
            _ => return Err(UrlError::NoScheme),
        }
        let (rest, log) = match rest.split_once('#') {
            Some((rest, fragment)) => (rest, Some(read_log(fragment)?)),
            None => (rest, None),
        };
        let end = rest.find(['/', '?']).unwrap_or(rest.len());
        let (authority, rest) = rest.split_at(end);
        let (path, query) = rest.split_once('?').map_or((rest, None), |(path, query)| (path, Some(query)));
        check(path)?;
        check(query.unwrap_or_default())?;
        let (host, port) = authority::parse(authority)?;
        let port = port.unwrap_or(PORT_DEFAULT);
        let path = if path.is_empty() { "/" } else { path };
        Ok(Self { host, port, path: path.into(), query: query.map(str::to_owned), log })
    }
}

/// Reads the key after `#`, in its one length: whatever else a key can be read from may also be a part of a page.
fn read_log(fragment: &str) -> Result<PublicKey, UrlError> {
    let is_hexadecimal = fragment.len() == 64 && fragment.bytes().all(|byte| byte.is_ascii_hexdigit());
    fragment.parse().ok().filter(|_| is_hexadecimal).ok_or(UrlError::Fragment)
}

/// Checks that a path or a query has only permitted characters and complete escapes.
fn check(part: &str) -> Result<(), UrlError> {
    for character in part.chars() {
        let is_allowed = character.is_ascii_graphic() && !"\"<>\\^`{|}".contains(character);
        if !is_allowed {
            let mut bytes = [0; 4];
            let bytes = character.encode_utf8(&mut bytes).bytes();
            return Err(UrlError::Character(character, bytes.map(|byte| format!("%{byte:02X}")).collect()));
        }
    }
    let is_escape = |after: &str| {
        let digits = after.as_bytes().get(..2);
        digits.is_some_and(|digits| digits.iter().all(u8::is_ascii_hexdigit))
    };
    if part.split('%').skip(1).all(is_escape) { Ok(()) } else { Err(UrlError::Escape) }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn read(text: &str) -> Result<String, UrlError> {
        text.parse::<ServiceUrl>().map(|url| url.to_string())
    }

    #[test]
    fn urls_of_services_are_parsed() {
        for (text, expected) in [
            ("ws://127.0.0.1:5555/", "ws://127.0.0.1:5555/"),
            ("ws://localhost", "ws://localhost:80/"),
            ("WS://Example.COM:8080/a/b", "ws://example.com:8080/a/b"),
            ("ws://[::1]:5555/", "ws://[::1]:5555/"),
            ("ws://[2001:DB8::0:1]/x", "ws://[2001:db8::1]:80/x"),
            ("ws://h?user=bob", "ws://h:80/?user=bob"),
            ("ws://h:1/a%20b?x=%C3%A9&y='(*)'", "ws://h:1/a%20b?x=%C3%A9&y='(*)'"),
            ("ws://my_host.lan.:65535/", "ws://my_host.lan.:65535/"),
            ("ws://a1.2b.c3:00080/", "ws://a1.2b.c3:80/"),
            ("ws://xn--bcher-kva.example/", "ws://xn--bcher-kva.example:80/"),
        ] {
            assert_eq!(read(text).as_deref(), Ok(expected), "{text}");
        }
    }

    #[test]
    fn a_port_is_never_replaced() {
        for port in [
            "99999",
            "65536",
            "abc",
            "",
            "0",
            "-1",
            "+80",
            "80x",
            " 80",
            "0x50",
            "8 0",
            "99999999999999999999",
        ] {
            assert_eq!(read(&format!("ws://h:{port}/")), Err(AuthorityError::Port(port.into()).into()));
            assert_eq!(read(&format!("ws://[::1]:{port}")), Err(AuthorityError::Port(port.into()).into()));
        }
    }

    #[test]
    fn invalid_hosts_are_refused() {
        for host in [
            "a b",
            "a%20b",
            "127.0.0.256",
            "1.2.3",
            "127.1",
            "0x7f.1",
            "a..b",
            ".a",
            "*",
            "é.example",
            "h:1:2",
            "::1",
            "a,b",
            "2130706433",
            "a\\b",
        ] {
            assert!(
                matches!(read(&format!("ws://{host}/")), Err(UrlError::Authority(AuthorityError::Host(_)))),
                "{host}"
            );
        }
        for host in ["[::1", "[::g]", "[]", "[::1]x", "[127.0.0.1]", "[::1]5"] {
            assert!(
                matches!(read(&format!("ws://{host}/")), Err(UrlError::Authority(AuthorityError::Host(_)))),
                "{host}"
            );
        }
        for text in ["ws://", "ws:///x", "ws://:80/", "ws://?x"] {
            assert_eq!(read(text), Err(AuthorityError::NoHost.into()), "{text}");
        }
        for text in ["ws://bob@h/", "ws://bob:secret@h:80/", "ws://@h/"] {
            assert_eq!(read(text), Err(AuthorityError::User.into()), "{text}");
        }
    }

    #[test]
    fn other_schemes_are_named() {
        for text in ["", "h", "127.0.0.1:5555", "ws:h", "ws:/h/", "//h/", "://h", " ws://h/", "w s://h/"] {
            assert_eq!(read(text), Err(UrlError::NoScheme), "{text}");
        }
        assert_eq!(read("wss://h/"), Err(UrlError::Tls));
        for scheme in ["http", "https", "hyper", "file", "WSX"] {
            assert_eq!(read(&format!("{scheme}://h/")), Err(UrlError::Scheme(scheme.into())));
        }
    }

    #[test]
    fn paths_and_queries_are_escaped() {
        for (text, character) in [
            ("a b", ' '),
            ("é", 'é'),
            ("a?b c", ' '),
            ("\t", '\t'),
            ("a\u{0}", '\0'),
            ("a?\"", '"'),
            ("<", '<'),
            ("a\\b", '\\'),
        ] {
            let found = read(&format!("ws://h/{text}"));
            assert!(
                matches!(&found, Err(UrlError::Character(found, _)) if *found == character),
                "{text}: {found:?}"
            );
        }
        assert_eq!(read("ws://h/é"), Err(UrlError::Character('é', "%C3%A9".into())));
        for text in ["%", "%4", "a%zz", "?user=%", "?a=%2", "%%41"] {
            assert_eq!(read(&format!("ws://h/{text}")), Err(UrlError::Escape), "{text}");
        }
        let key = "8a936455602e02758c8c7c30ccb60a02345166c3a57a4512e11d59f652d67b99";
        let others = [format!("ws://h/#hyper://{key}"), format!("ws://h/#{key}#"), format!("ws://h/#{key}/")];
        for text in
            ["ws://h/#x", "ws://h#x", "ws://h/?a#"].into_iter().chain(others.iter().map(String::as_str))
        {
            assert_eq!(read(text), Err(UrlError::Fragment), "{text}");
        }
        let url: ServiceUrl = format!("ws://h/?a#{}", key.to_uppercase()).parse().expect("a key");
        assert_eq!(
            (url.log().map(|log| log.to_string()), url.to_string()),
            (Some(key.into()), "ws://h:80/?a".into())
        );
        let long = format!("ws://h/{}", "x".repeat(URL_BYTES_MAX));
        assert_eq!(read(&long), Err(UrlError::TooLong(long.len())));
    }

    #[test]
    fn a_service_has_one_name() {
        for (text, expected) in [
            ("WS://Example.com:80?user=bob", "ws://example.com/"),
            ("ws://h:81/a/./b/../c", "ws://h:81/a/c"),
            ("ws://h/a/..", "ws://h/"),
            ("ws://h/a/b/%2E%2e", "ws://h/a/"),
            ("ws://h/a/.", "ws://h/a/"),
            ("ws://h/../../a//b/", "ws://h/a//b/"),
            ("ws://h/%61", "ws://h/%61"),
            ("ws://[0:0::1]/", "ws://[::1]/"),
        ] {
            assert_eq!(text.parse::<ServiceUrl>().expect("a URL").name(), expected, "{text}");
        }
    }

    proptest! {
        #[test]
        fn parsing_a_written_url_gives_it_back(text in "ws://[a-z0-9.:@\\[\\]%]{0,20}[/?][a-z%0-9?é ]{0,10}") {
            if let Ok(url) = text.parse::<ServiceUrl>() {
                prop_assert_eq!(url.to_string().parse(), Ok(url));
            }
        }
    }
}
