//! The caller's address behind a reverse proxy: `X-Forwarded-For`, or `Forwarded` (RFC 7239).
//!
//! Start from [`client`]. Each proxy appends the address that it was called from, so the last address that is not a
//! trusted proxy's own is the caller's. The addresses before it came with the request and are not trusted.

use std::net::{IpAddr, SocketAddr};

use hyper::header::{FORWARDED, HeaderMap, HeaderName};

const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");

/// A proxy's headers do not name the caller clearly.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum ForwardedError {
    #[error("the proxy's header {header} holds {} where an address must stand", shown(element))]
    Malformed { header: HeaderName, element: String },
    #[error(
        "X-Forwarded-For names {one} and Forwarded {other}: the proxy must set one of them and remove the other"
    )]
    Contradiction { one: IpAddr, other: IpAddr },
}

fn shown(element: &str) -> String {
    let start: String = element.chars().take(60).collect();
    format!("{start:?}")
}

/// Returns the caller's address; `None` when the proxy names none: then the request is the proxy's own, such as a
/// health check.
///
/// # Errors
/// When a header is malformed, or two headers contradict each other: then one of them came from the caller.
pub(super) fn client(headers: &HeaderMap, proxies: &[IpAddr]) -> Result<Option<IpAddr>, ForwardedError> {
    let one = last(headers, X_FORWARDED_FOR, proxies, |element| Some(element.to_owned()))?;
    let other = last(headers, FORWARDED, proxies, node)?;
    match (one, other) {
        (Some(one), Some(other)) if one != other => Err(ForwardedError::Contradiction { one, other }),
        (one, other) => Ok(one.or(other)),
    }
}

/// Returns the last address in all headers of a name that is not a trusted proxy's.
fn last(
    headers: &HeaderMap,
    name: HeaderName,
    proxies: &[IpAddr],
    node: impl Fn(&str) -> Option<String>,
) -> Result<Option<IpAddr>, ForwardedError> {
    let mut found = None;
    for value in headers.get_all(&name).iter().rev() {
        let malformed =
            |element: &str| ForwardedError::Malformed { header: name.clone(), element: element.into() };
        let value = value.to_str().map_err(|_| malformed("bytes that are no text"))?;
        for element in elements(value).into_iter().rev() {
            let node = node(element).ok_or_else(|| malformed(element))?;
            if is_hidden(&node) {
                return Ok(found);
            }
            let address = address(&node).ok_or_else(|| malformed(element))?;
            found = Some(address);
            if !proxies.contains(&address) {
                return Ok(found);
            }
        }
    }
    Ok(found)
}

/// Splits a header's value at the commas outside of quotes.
fn elements(value: &str) -> Vec<&str> {
    let mut is_quoted = false;
    value
        .split(|letter| {
            is_quoted ^= letter == '"';
            letter == ',' && !is_quoted
        })
        .map(str::trim)
        .collect()
}

/// Returns the value of `for` in an element of `Forwarded`.
fn node(element: &str) -> Option<String> {
    let pairs = element.split(';').filter_map(|pair| pair.split_once('='));
    let mut nodes =
        pairs.filter(|(name, _)| name.trim().eq_ignore_ascii_case("for")).map(|(_, value)| value.trim());
    let node = nodes.next()?;
    if nodes.next().is_some() {
        return None;
    }
    match node.strip_prefix('"') {
        Some(quoted) => quoted.strip_suffix('"').map(str::to_owned),
        None => Some(node.to_owned()),
    }
}

/// Returns whether a node is obfuscated or `unknown` (RFC 7239, section 6): a proxy may hide an address.
fn is_hidden(node: &str) -> bool {
    node.eq_ignore_ascii_case("unknown") || node.starts_with('_')
}

/// Parses an address, with or without brackets and a port.
fn address(node: &str) -> Option<IpAddr> {
    let bare = || node.parse::<IpAddr>().ok();
    let bracketed =
        || node.strip_prefix('[')?.strip_suffix(']')?.parse::<std::net::Ipv6Addr>().ok().map(IpAddr::V6);
    let with_port = || node.parse::<SocketAddr>().ok().map(|address| address.ip());
    bare().or_else(bracketed).or_else(with_port).map(|address| address.to_canonical())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn client_of(headers: &[(&'static str, &str)]) -> Result<Option<String>, ForwardedError> {
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.append(*name, value.parse().expect("a header"));
        }
        let proxies = ["127.0.0.1", "10.0.0.1", "fd00::1"].map(|proxy| proxy.parse().expect("an address"));
        Ok(client(&map, &proxies)?.map(|address| address.to_string()))
    }

    #[test]
    fn the_last_address_that_is_no_proxy_counts() {
        for (value, expected) in [
            ("1.2.3.4", "1.2.3.4"),
            ("6.6.6.6, 1.2.3.4", "1.2.3.4"),
            ("garbage, 1.2.3.4", "1.2.3.4"),
            ("6.6.6.6,1.2.3.4 , 10.0.0.1", "1.2.3.4"),
            ("1.2.3.4:567", "1.2.3.4"),
            ("2001:db8::1", "2001:db8::1"),
            ("[2001:db8::1]", "2001:db8::1"),
            ("[2001:db8::1]:80", "2001:db8::1"),
            ("::ffff:1.2.3.4", "1.2.3.4"),
            ("10.0.0.1", "10.0.0.1"),
        ] {
            assert_eq!(client_of(&[("x-forwarded-for", value)]), Ok(Some(expected.into())), "{value}");
        }
        let lines = [("x-forwarded-for", "6.6.6.6"), ("x-forwarded-for", "1.2.3.4")];
        assert_eq!(client_of(&lines), Ok(Some("1.2.3.4".into())));
    }

    #[test]
    fn the_standard_form_is_read_too() {
        for (value, expected) in [
            ("for=1.2.3.4", "1.2.3.4"),
            ("For=\"[2001:db8::1]:80\";proto=https;by=10.0.0.1", "2001:db8::1"),
            ("for=6.6.6.6, for=1.2.3.4;host=\"a,b\"", "1.2.3.4"),
            ("for=1.2.3.4, for=10.0.0.1", "1.2.3.4"),
        ] {
            assert_eq!(client_of(&[("forwarded", value)]), Ok(Some(expected.into())), "{value}");
        }
        assert_eq!(client_of(&[("forwarded", "for=unknown")]), Ok(None));
        assert_eq!(client_of(&[("forwarded", "for=_hidden")]), Ok(None));
        assert_eq!(client_of(&[]), Ok(None));
    }

    #[test]
    fn unclear_headers_are_refused() {
        for value in
            ["", "1.2.3", "example.com", "1.2.3.4,", "1.2.3.4 5.6.7.8", "[1.2.3.4]", "1.2.3.4:99999", "-"]
        {
            let found = client_of(&[("x-forwarded-for", value)]);
            assert!(matches!(found, Err(ForwardedError::Malformed { .. })), "{value}: {found:?}");
        }
        for value in ["proto=https", "for=", "for=\"1.2.3.4", "for=1.2.3.4;for=6.6.6.6", "for=[::1"] {
            let found = client_of(&[("forwarded", value)]);
            assert!(matches!(found, Err(ForwardedError::Malformed { .. })), "{value}: {found:?}");
        }
    }

    #[test]
    fn a_second_header_that_says_otherwise_is_refused() {
        let both = |one, other| client_of(&[("x-forwarded-for", one), ("forwarded", other)]);
        assert_eq!(both("1.2.3.4", "for=1.2.3.4"), Ok(Some("1.2.3.4".into())));
        assert!(matches!(both("1.2.3.4", "for=6.6.6.6"), Err(ForwardedError::Contradiction { .. })));
    }
}
