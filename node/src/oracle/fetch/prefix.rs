//! What an operator lets scripts fetch: [`UrlPrefix`].

use std::fmt;
use std::str::FromStr;

use url::Url;

/// A scheme, a host with its port, and a path: all URLs below it. `https://a.example/v1/` covers `https://a.example/v1/x?q=1`;
/// without its last slash it covers `https://a.example/v1` as well, and not `https://a.example/v10`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UrlPrefix(Url);

impl UrlPrefix {
    /// Returns whether a URL is below the prefix.
    pub(super) fn covers(&self, url: &Url) -> bool {
        let has_user = !url.username().is_empty() || url.password().is_some();
        !has_user && self.0.origin() == url.origin() && self.covers_path(url.path())
    }

    fn covers_path(&self, path: &str) -> bool {
        let prefix = self.0.path();
        match path.strip_prefix(prefix) {
            Some(rest) => prefix.ends_with('/') || rest.is_empty() || rest.starts_with('/'),
            None => false,
        }
    }

    pub(super) fn is_secure(&self) -> bool {
        self.0.scheme() == "https"
    }
}

impl FromStr for UrlPrefix {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let url = Url::parse(text).map_err(|_| "a prefix is a URL such as https://api.example.com/v1/")?;
        if !["http", "https"].contains(&url.scheme()) {
            return Err("only http and https are fetched");
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err("a prefix has no user and no password");
        }
        if url.query().is_some() || url.fragment().is_some() {
            return Err("a prefix ends with its path: it has no ? and no #");
        }
        Ok(Self(url))
    }
}

impl fmt::Display for UrlPrefix {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.0.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_prefix_covers_what_is_below_it_and_nothing_else() {
        let covers = |prefix: &str, url: &str| {
            let prefix: UrlPrefix = prefix.parse().expect("a prefix");
            prefix.covers(&Url::parse(url).expect("a URL"))
        };
        let below = [
            ("https://a.example", "https://a.example/x?q=1"),
            ("https://a.example/v1/", "https://a.example/v1/x"),
            ("https://a.example/v1/", "https://A.EXAMPLE:443/v1/"),
            ("https://a.example/v1", "https://a.example/v1"),
            ("https://a.example/v1", "https://a.example/v1/x"),
            ("http://[::1]:8080/", "http://[0:0::1]:8080/x"),
        ];
        for (prefix, url) in below {
            assert!(covers(prefix, url), "{prefix} {url}");
        }
        let elsewhere = [
            ("https://a.example/v1/", "http://a.example/v1/x"),
            ("https://a.example/v1/", "https://a.example:444/v1/x"),
            ("https://a.example/v1/", "https://b.example/v1/x"),
            ("https://a.example/v1/", "https://a.example.evil.example/v1/x"),
            ("https://a.example/v1/", "https://a.example@evil.example/v1/x"),
            ("https://a.example/v1/", "https://user@a.example/v1/x"),
            ("https://a.example/v1/", "https://a.example/v1/../v2/x"),
            ("https://a.example/v1/", "https://a.example/v1/%2e%2e/v2/x"),
            ("https://a.example/v1/", "https://a.example/v1\\..\\v2"),
            ("https://a.example/v1", "https://a.example/v10"),
            ("https://a.example/v1/", "https://a.example/v1"),
            ("http://a.example/", "file:///etc/passwd"),
        ];
        for (prefix, url) in elsewhere {
            assert!(!covers(prefix, url), "{prefix} {url}");
        }
    }

    #[test]
    fn a_prefix_is_a_plain_url() {
        for text in ["a.example", "ftp://a/", "https://u@a/", "https://a/?q", "https://a/#f", "https://", ""]
        {
            assert!(text.parse::<UrlPrefix>().is_err(), "{text}");
        }
        assert_eq!(
            "https://A.example".parse::<UrlPrefix>().expect("a URL").to_string(),
            "https://a.example/"
        );
    }
}
