//! The check of `Origin` and `Host`: which web pages may call (RFC 6454), and under which names the server answers.
//!
//! Start from [`Gate::admit`]. A browser lets any page open a WebSocket to, or send a POST to, any server that it can
//! reach, including one on its own machine, and names the page's origin in `Origin`. Programs send no `Origin`. So:
//!
//! - A request with an `Origin` is refused unless the origin is listed (`*` lists all), or is the server's own: the
//!   same host and port as in `Host`, and that host an address or `localhost`. A name does not count as our own:
//!   its owner can point it at this server after the page was loaded ("DNS rebinding"), and then `Origin` and `Host`
//!   agree.
//! - A server bound to a loopback address is meant for this machine, so `Host` must be `localhost`, a loopback
//!   address, or the host of a listed origin, for a reverse proxy that passes the name on. `*` turns this off.

mod allowed;

use std::collections::BTreeSet;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Mutex, PoisonError};

use hyper::Uri;
use hyper::header::{HOST, HeaderMap, HeaderValue, ORIGIN};
use hyper::http::uri::Authority;

pub use allowed::{AllowedOrigin, OriginError};

/// Refused origins reported to the operator. Strangers choose origins, so the number is bounded.
const TOLD_ORIGINS_MAX: usize = 32;
/// Bytes of an origin reported to the operator. No host has a longer name.
const TOLD_ORIGIN_BYTES_MAX: usize = 300;

/// The rule that tells admitted requests from those that a web page made in its visitor's name.
#[derive(Debug)]
pub(super) struct Gate {
    /// Origins as browsers write them: in lower case, without a `/` at the end.
    allowed: Vec<String>,
    allows_all: bool,
    is_loopback: bool,
    /// Refused origins already reported to the operator.
    told: Mutex<BTreeSet<String>>,
}

/// Why a request is refused before the rest of it is examined.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Refusal {
    #[error("a request needs one Host header that names a host")]
    NoHost,
    #[error(
        "this server is for this machine and does not answer under the name {host:?}; for a reverse proxy that passes the \
         name on, start it with --allow-origin https://{host} (allow_origin in a program), or let the proxy set Host to \
         localhost"
    )]
    ForeignHost { host: String },
    #[error(
        "web pages of {origin:?} may not call this server; to allow them, start it with --allow-origin {origin} \
         (allow_origin in a program)"
    )]
    ForeignOrigin { origin: String },
}

impl Gate {
    /// Returns a gate that admits pages of the listed origins.
    ///
    /// # Errors
    /// When no page can have one of the origins; with that origin.
    pub(super) fn new(allow_origin: &[String], bound_to: SocketAddr) -> Result<Self, (String, OriginError)> {
        let (mut allowed, mut allows_all) = (vec![], false);
        for listed in allow_origin {
            match listed.parse().map_err(|error| (listed.clone(), error))? {
                AllowedOrigin::All => allows_all = true,
                AllowedOrigin::One(origin) => allowed.push(origin),
            }
        }
        Ok(Self { allowed, allows_all, is_loopback: bound_to.ip().is_loopback(), told: Mutex::default() })
    }

    /// Checks a request; returns the origin of the page that it comes from, `None` when it does not come from a page.
    pub(super) fn admit(&self, headers: &HeaderMap) -> Result<Option<HeaderValue>, Refusal> {
        let host = only(headers.get_all(HOST).iter()).ok_or(Refusal::NoHost)?;
        let host: Authority = host.parse().map_err(|_| Refusal::NoHost)?;
        if self.is_loopback && !self.answers_to(host.host()) {
            return Err(Refusal::ForeignHost { host: shown(host.host()) });
        }
        if !headers.contains_key(ORIGIN) {
            return Ok(None);
        }
        let unreadable = || Refusal::ForeignOrigin { origin: "?".into() };
        let origin = only(headers.get_all(ORIGIN).iter()).ok_or_else(unreadable)?;
        if self.is_listed(origin) || is_own(origin, &host) {
            return Ok(headers.get(ORIGIN).cloned());
        }
        self.tell(origin);
        Err(Refusal::ForeignOrigin { origin: shown(origin) })
    }

    /// Tells the operator, once for each origin, which option would admit the page.
    fn tell(&self, origin: &str) {
        // An origin that cannot be listed cannot be admitted either.
        let Ok(AllowedOrigin::One(listed)) = origin.parse() else { return };
        if listed.len() > TOLD_ORIGIN_BYTES_MAX {
            return;
        }
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        if told.len() >= TOLD_ORIGINS_MAX || told.contains(&listed) {
            return;
        }
        tracing::warn!("a page of {listed} was refused; --allow-origin {listed} lets its pages call");
        told.insert(listed);
        if told.len() == TOLD_ORIGINS_MAX {
            tracing::warn!(
                "pages of more than {TOLD_ORIGINS_MAX} origins were refused; others are not named any more"
            );
        }
    }

    fn answers_to(&self, host: &str) -> bool {
        let is_listed =
            || self.allowed.iter().filter_map(|origin| host_of(origin)).any(|listed| listed == host);
        self.allows_all || is_loopback_name(host) || is_listed()
    }

    fn is_listed(&self, origin: &str) -> bool {
        self.allows_all || self.allowed.iter().any(|allowed| allowed.eq_ignore_ascii_case(origin))
    }
}

fn shown(text: &str) -> String {
    text.chars().take(100).collect()
}

fn only<'a>(mut values: impl Iterator<Item = &'a HeaderValue>) -> Option<&'a str> {
    let first = values.next()?.to_str().ok()?;
    values.next().is_none().then_some(first)
}

fn host_of(origin: &str) -> Option<String> {
    origin.parse::<Uri>().ok()?.host().map(str::to_owned)
}

fn is_loopback_name(host: &str) -> bool {
    host.eq_ignore_ascii_case("localhost") || address(host).is_some_and(|address| address.is_loopback())
}

fn address(host: &str) -> Option<IpAddr> {
    host.trim_start_matches('[').trim_end_matches(']').parse().ok()
}

fn is_own(origin: &str, host: &Authority) -> bool {
    let Ok(origin) = origin.parse::<Uri>() else { return false };
    let default_port = match origin.scheme_str() {
        Some("http") => 80,
        Some("https") => 443,
        _ => return false,
    };
    let same_host = origin.host().is_some_and(|name| name.eq_ignore_ascii_case(host.host()));
    let same_port = origin.port_u16().unwrap_or(default_port) == host.port_u16().unwrap_or(default_port);
    let can_not_be_rebound = is_loopback_name(host.host()) || address(host.host()).is_some();
    same_host && same_port && can_not_be_rebound
}

#[cfg(test)]
mod tests {
    use super::*;

    const LOOPBACK: &str = "127.0.0.1:5555";
    const EVERYWHERE: &str = "0.0.0.0:5555";

    fn admit(bound_to: &str, allow: &[&str], host: &str, origin: Option<&str>) -> Result<bool, &'static str> {
        let allow: Vec<_> = allow.iter().map(|&origin| origin.to_owned()).collect();
        let gate = Gate::new(&allow, bound_to.parse().expect("an address")).expect("origins");
        let mut headers = HeaderMap::new();
        headers.insert(HOST, host.parse().expect("a header"));
        if let Some(origin) = origin {
            headers.insert(ORIGIN, origin.parse().expect("a header"));
        }
        gate.admit(&headers).map(|origin| origin.is_some()).map_err(|refusal| match refusal {
            Refusal::NoHost => "no host",
            Refusal::ForeignHost { .. } => "host",
            Refusal::ForeignOrigin { .. } => "origin",
        })
    }

    #[test]
    fn programs_are_welcome_under_loopback_names() {
        for host in ["localhost:5555", "LocalHost", "127.0.0.1:5555", "127.1.2.3", "[::1]:5555"] {
            assert_eq!(admit(LOOPBACK, &[], host, None), Ok(false), "{host}");
        }
        assert_eq!(admit(EVERYWHERE, &[], "example.com", None), Ok(false));
    }

    #[test]
    fn a_rebound_name_is_refused() {
        let page = Some("http://evil.example:5555");
        assert_eq!(admit(LOOPBACK, &[], "evil.example:5555", None), Err("host"));
        assert_eq!(admit(LOOPBACK, &[], "evil.example:5555", page), Err("host"));
        assert_eq!(admit(LOOPBACK, &[], "127.0.0.1.evil.example", None), Err("host"));
        assert_eq!(admit(EVERYWHERE, &[], "evil.example:5555", page), Err("origin"));
    }

    #[test]
    fn a_refusal_names_the_option() {
        let gate = Gate::new(&[], LOOPBACK.parse().expect("an address")).expect("origins");
        let mut headers = HeaderMap::new();
        headers.insert(HOST, "example.com".parse().expect("a header"));
        let refusal = gate.admit(&headers).expect_err("a foreign host").to_string();
        assert!(refusal.contains("--allow-origin https://example.com "), "{refusal}");
        headers.insert(HOST, "localhost".parse().expect("a header"));
        headers.insert(ORIGIN, "https://a.example".parse().expect("a header"));
        let refusal = gate.admit(&headers).expect_err("a foreign origin").to_string();
        assert!(refusal.contains("--allow-origin https://a.example "), "{refusal}");
    }

    #[test]
    fn only_listed_and_own_pages_may_call() {
        let host = "127.0.0.1:5555";
        assert_eq!(admit(LOOPBACK, &[], host, Some("http://127.0.0.1:5555")), Ok(true));
        for origin in
            ["http://127.0.0.1:80", "http://localhost:5555", "https://example.com", "null", "", "file://"]
        {
            assert_eq!(admit(LOOPBACK, &[], host, Some(origin)), Err("origin"), "{origin}");
        }
        assert_eq!(admit(LOOPBACK, &["https://Example.com/"], host, Some("https://example.com")), Ok(true));
        assert_eq!(admit(LOOPBACK, &["*"], "example.com", Some("null")), Ok(true));
    }

    #[test]
    fn a_refused_origin_is_told_once_and_not_without_end() {
        let gate = Gate::new(&[], LOOPBACK.parse().expect("an address")).expect("origins");
        let mut headers = HeaderMap::new();
        headers.insert(HOST, LOOPBACK.parse().expect("a header"));
        let mut refuse = |origin: String| {
            headers.insert(ORIGIN, origin.parse().expect("a header"));
            assert!(matches!(gate.admit(&headers), Err(Refusal::ForeignOrigin { .. })));
            gate.told.lock().expect("no panic").len()
        };
        for _ in 0..3 {
            assert_eq!(refuse("https://example.com".into()), 1);
        }
        for hidden in ["https://", "nonsense", "https://a b", "https://example.com/path"] {
            assert_eq!(refuse(hidden.into()), 1, "{hidden}");
        }
        assert_eq!(refuse(format!("https://{}.example", "x".repeat(400))), 1);
        for number in 0..1_000 {
            assert!(refuse(format!("https://{number}.example")) <= TOLD_ORIGINS_MAX);
        }
        assert_eq!(refuse("https://one-more.example".into()), TOLD_ORIGINS_MAX);
    }

    #[test]
    fn a_listed_page_may_come_through_a_proxy() {
        let (allow, page) = (["https://example.com"], Some("https://example.com"));
        assert_eq!(admit(LOOPBACK, &allow, "example.com", page), Ok(true));
        assert_eq!(admit(LOOPBACK, &allow, "example.com", None), Ok(false));
        assert_eq!(admit(LOOPBACK, &allow, "other.example.com", None), Err("host"));
    }
}
