//! URLs and forms, as the URL standard reads them (<https://url.spec.whatwg.org/>), by the crate `url`.

use url::{Url, form_urlencoded, quirks};

/// The number of a URL's parts.
const PARTS: usize = 11;

/// Parses a URL, against a base if there is one; `None` if either is invalid. Returns its parts in the order of the prelude: href,
/// origin, protocol, username, password, host, hostname, port, pathname, search, hash.
pub(super) fn parse(address: &str, base: Option<&str>) -> Option<Vec<String>> {
    let base = match base {
        Some(base) => Some(Url::parse(base).ok()?),
        None => None,
    };
    let url = Url::options().base_url(base.as_ref()).parse(address).ok()?;
    Some(parts(&url))
}

/// Sets a part of a URL; what cannot be set stays as it is. `None` if there is no such part, or no URL.
pub(super) fn changed(address: &str, part: usize, value: &str) -> Option<Vec<String>> {
    let mut url = Url::parse(address).ok()?;
    let _stays_as_it_is = match part {
        2 => quirks::set_protocol(&mut url, value),
        3 => quirks::set_username(&mut url, value),
        4 => quirks::set_password(&mut url, value),
        5 => quirks::set_host(&mut url, value),
        6 => quirks::set_hostname(&mut url, value),
        7 => quirks::set_port(&mut url, value),
        8 => {
            quirks::set_pathname(&mut url, value);
            Ok(())
        }
        9 => {
            quirks::set_search(&mut url, value);
            Ok(())
        }
        10 => {
            quirks::set_hash(&mut url, value);
            Ok(())
        }
        _ => return None,
    };
    Some(parts(&url))
}

fn parts(url: &Url) -> Vec<String> {
    let parts: [&str; PARTS] = [
        quirks::href(url),
        "",
        quirks::protocol(url),
        quirks::username(url),
        quirks::password(url),
        quirks::host(url),
        quirks::hostname(url),
        quirks::port(url),
        quirks::pathname(url),
        quirks::search(url),
        quirks::hash(url),
    ];
    let mut parts = parts.map(str::to_owned).to_vec();
    parts[1] = origin(url);
    parts
}

/// Returns the origin; that of a `blob:` is of what its path names, if that is of the web.
fn origin(url: &Url) -> String {
    let is_of_the_web = |inner: &Url| matches!(inner.scheme(), "http" | "https");
    match url.scheme() {
        "blob" if !Url::parse(url.path()).is_ok_and(|inner| is_of_the_web(&inner)) => "null".into(),
        _ => quirks::origin(url),
    }
}

/// Parses a query: a name, its value, the next name.
pub(super) fn form_parts(query: &str) -> Vec<String> {
    let pairs = form_urlencoded::parse(query.as_bytes());
    pairs.flat_map(|(name, value)| [name.into_owned(), value.into_owned()]).collect()
}

/// Escapes a name or a value for a query.
pub(super) fn form_text(text: &str) -> String {
    form_urlencoded::byte_serialize(text.as_bytes()).collect()
}
