//! The name of a file in a URL. Each file has one spelling there, apart from redundant escapes.

use libvms_hypercore::drive::Folder;
use libvms_hypercore::limits::PATH_BYTES_MAX;

use crate::server::query::{EscapeError, decode};

/// The prefix of file names, between the path of a service and the names of its files.
pub(crate) const PLACE: &str = "/files";

/// Returns the part of a URL's path that names a file of the service at `mount` (without a `/` at its end); `None` when
/// the path is not below the service's files.
pub(crate) fn below<'a>(path: &'a str, mount: &str) -> Option<&'a str> {
    let name = path.strip_prefix(mount)?.strip_prefix(PLACE)?;
    (name.is_empty() || name.starts_with('/')).then_some(name)
}

/// A name in a drive.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Name {
    /// The path in the drive's form: begins with `/`, does not end with one; empty for the root.
    pub(super) path: String,
    /// Whether the name means only a folder: it ends with a `/` in the URL.
    pub(super) is_folder: bool,
}

/// Why a part of a URL names no file. An ambiguous name is never repaired: programs disagree on spellings of `..`.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum NameError {
    #[error("the name {0}")]
    Escape(#[from] EscapeError),
    #[error("the name has `//`: each part between two `/` must have at least one character")]
    EmptyPart,
    #[error("the name has a part `{0}`, which leads elsewhere")]
    Relative(&'static str),
    #[error("the name has {0}, which no name can have here")]
    Character(&'static str),
    #[error("the name is longer than {PATH_BYTES_MAX} bytes")]
    TooLong,
    #[error("the name is not the name of a file")]
    Other,
}

impl Name {
    /// Parses the text after the prefix of the files: nothing, or a `/` with escaped parts.
    pub(super) fn parse(escaped: &str) -> Result<Self, NameError> {
        let is_folder = escaped.is_empty() || escaped.ends_with('/');
        let parts = escaped.strip_suffix('/').unwrap_or(escaped);
        let mut path = String::new();
        for part in parts.split('/').skip(1) {
            path.push('/');
            path.push_str(&parse_part(part)?);
        }
        if path.len() > PATH_BYTES_MAX {
            return Err(NameError::TooLong);
        }
        // A name that a drive would normalise to another one is refused.
        match Folder::new(&path) {
            Ok(folder) if folder.as_str() == path => Ok(Self { path, is_folder }),
            _ => Err(NameError::Other),
        }
    }
}

/// Decodes the escapes of one part, once. An escaped `/` would no longer end a part.
fn parse_part(escaped: &str) -> Result<String, NameError> {
    let part = decode(escaped)?;
    match part.as_str() {
        "" => return Err(NameError::EmptyPart),
        "." => return Err(NameError::Relative(".")),
        ".." => return Err(NameError::Relative("..")),
        _ => (),
    }
    for (character, name) in [('/', "`%2F`"), ('\\', "`\\`"), ('\0', "`%00`")] {
        if part.contains(character) {
            return Err(NameError::Character(name));
        }
    }
    Ok(part)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::escape::escaped;

    fn parse(escaped: &str) -> Result<(String, bool), NameError> {
        Name::parse(escaped).map(|name| (name.path, name.is_folder))
    }

    #[test]
    fn files_are_below_the_path_of_their_service() {
        assert_eq!(below("/files/a/b", ""), Some("/a/b"));
        assert_eq!(below("/files", ""), Some(""));
        assert_eq!(below("/counter/files/", "/counter"), Some("/"));
        for other in ["/", "/filesystem", "/counter/files/a", "/file/a", "/FILES/a"] {
            assert_eq!(below(other, ""), None, "{other}");
        }
        assert_eq!(below("/counterfiles/a", "/counter"), None);
    }

    #[test]
    fn escapes_are_resolved_once() {
        for (escaped, path) in [
            ("/a", "/a"),
            ("/a%20b/%C3%A9", "/a b/é"),
            ("/%61", "/a"),
            ("/%252e%252e", "/%2e%2e"),
            ("/a+b", "/a+b"),
            ("/...", "/..."),
            ("/c%3A", "/c:"),
            ("/c:", "/c:"),
            ("/%0A", "/\n"),
        ] {
            assert_eq!(parse(escaped), Ok((path.into(), false)), "{escaped}");
        }
        for (escaped, path) in [("", ""), ("/", ""), ("/a/", "/a"), ("/a/b/", "/a/b")] {
            assert_eq!(parse(escaped), Ok((path.into(), true)), "{escaped}");
        }
    }

    #[test]
    fn ambiguous_names_are_refused() {
        for escaped in ["//", "/a//b", "//a", "/a//"] {
            assert_eq!(parse(escaped), Err(NameError::EmptyPart), "{escaped}");
        }
        for escaped in ["/.", "/a/./b", "/%2e", "/./"] {
            assert_eq!(parse(escaped), Err(NameError::Relative(".")), "{escaped}");
        }
        for escaped in ["/..", "/a/../b", "/%2e%2E", "/.%2e/a", "/../../etc/passwd"] {
            assert_eq!(parse(escaped), Err(NameError::Relative("..")), "{escaped}");
        }
        for escaped in ["/a%2Fb", "/a%2f..", "/%5C", "/a\\b", "/a%00", "/%00"] {
            assert!(matches!(parse(escaped), Err(NameError::Character(_))), "{escaped}");
        }
        for escaped in ["/%", "/%4", "/%zz", "/%+1", "/a%ff", "/%C3", "/%ed%a0%80"] {
            assert!(matches!(parse(escaped), Err(NameError::Escape(_))), "{escaped}");
        }
        assert_eq!(parse(&format!("/{}", "x".repeat(PATH_BYTES_MAX))), Err(NameError::TooLong));
    }

    proptest! {
        #[test]
        fn every_name_can_be_written(parts in prop::collection::vec("[^/\\\\\0]{1,9}", 1..5)) {
            prop_assume!(!parts.iter().any(|part| part == "." || part == ".."));
            let url: String = parts.iter().map(|part| format!("/{}", escaped(part))).collect();
            prop_assert_eq!(parse(&url), Ok((format!("/{}", parts.join("/")), false)));
        }

        #[test]
        fn no_text_leads_to_a_panic(text in "(/|%|\\.|2|e|f|0|5|c|C|\\\\|a|\u{e9}){0,20}") {
            if let Ok(name) = Name::parse(&text) {
                prop_assert!(Folder::new(&name.path).is_ok_and(|folder| folder.as_str() == name.path));
            }
        }
    }
}
