//! The authority of a URL, its host and port (RFC 3986, section 3.2), parsed strictly: a parser that repairs an
//! authority replaces it by another one.

use std::fmt;
use std::net::{Ipv4Addr, Ipv6Addr};

/// Bytes of a name, and of one label (RFC 1035).
const NAME_BYTES_MAX: usize = 253;
const LABEL_BYTES_MAX: usize = 63;

/// A host, in a canonical form.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Host {
    /// In lower case.
    Name(String),
    V4(Ipv4Addr),
    V6(Ipv6Addr),
}

/// Why a text names no host and port.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum AuthorityError {
    /// A name or a password before the host.
    #[error("it names a user before the host")]
    User,
    /// Nothing before the port or the path.
    #[error("it names no host")]
    NoHost,
    /// Neither the name nor the address of a host.
    #[error("`{0}` is not the name or the address of a host (names of other scripts are written as xn--...)")]
    Host(String),
    /// Not a port number.
    #[error("`{0}` is not a port: a port is a number from 1 to 65535")]
    Port(String),
}

/// Returns whether `text` has the syntax of a URL's scheme.
pub(super) fn is_scheme(text: &str) -> bool {
    text.starts_with(|first: char| first.is_ascii_alphabetic())
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte))
}

/// Parses `HOST`, `HOST:PORT`, and both with an IPv6 address in brackets.
pub(super) fn parse(authority: &str) -> Result<(Host, Option<u16>), AuthorityError> {
    let wrong = || AuthorityError::Host(authority.into());
    if authority.contains('@') {
        return Err(AuthorityError::User);
    }
    if let Some(rest) = authority.strip_prefix('[') {
        let (address, rest) = rest.split_once(']').ok_or_else(wrong)?;
        let address = address.parse().map_err(|_| wrong())?;
        return match rest.strip_prefix(':') {
            Some(port) => Ok((Host::V6(address), Some(parse_port(port)?))),
            None if rest.is_empty() => Ok((Host::V6(address), None)),
            None => Err(wrong()),
        };
    }
    let (host, port) = authority.split_once(':').map_or((authority, None), |(host, port)| (host, Some(port)));
    // An IPv6 address stands in brackets: without them it is ambiguous where its port begins.
    if port.is_some_and(|port| port.contains(':')) {
        return Err(wrong());
    }
    Ok((parse_host(host)?, port.map(parse_port).transpose()?))
}

fn parse_host(host: &str) -> Result<Host, AuthorityError> {
    if host.is_empty() {
        return Err(AuthorityError::NoHost);
    }
    if let Ok(address) = host.parse() {
        return Ok(Host::V4(address));
    }
    let mut labels = host.strip_suffix('.').unwrap_or(host).split('.');
    // A host whose last label is a number is an address, here an invalid one: systems read `1.2`, `0x7f.1` and the
    // like as other addresses.
    let ends_with_number = labels.clone().next_back().is_some_and(is_number);
    if host.len() > NAME_BYTES_MAX || ends_with_number || !labels.all(is_label) {
        return Err(AuthorityError::Host(host.into()));
    }
    Ok(Host::Name(host.to_ascii_lowercase()))
}

fn is_label(label: &str) -> bool {
    (1..=LABEL_BYTES_MAX).contains(&label.len())
        && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte))
}

fn is_number(label: &str) -> bool {
    let hexadecimal = label.get(..2).is_some_and(|start| start.eq_ignore_ascii_case("0x"));
    hexadecimal || (!label.is_empty() && label.bytes().all(|byte| byte.is_ascii_digit()))
}

fn parse_port(port: &str) -> Result<u16, AuthorityError> {
    let is_number = !port.is_empty() && port.bytes().all(|byte| byte.is_ascii_digit());
    let number = is_number.then(|| port.parse().ok()).flatten().filter(|port| *port > 0);
    number.ok_or_else(|| AuthorityError::Port(port.into()))
}

/// Writes the host as browsers do: without an IPv4 part in an IPv6 address.
impl fmt::Display for Host {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Name(name) => formatter.write_str(name),
            Self::V4(address) => address.fmt(formatter),
            Self::V6(address) => match (address.to_ipv4_mapped(), address.segments()) {
                (Some(_), [.., high, low]) => write!(formatter, "[::ffff:{high:x}:{low:x}]"),
                _ => write!(formatter, "[{address}]"),
            },
        }
    }
}
