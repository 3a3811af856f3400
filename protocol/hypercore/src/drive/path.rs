//! Names in a drive: the [`Path`] of a file, and the [`Folder`] of the paths below it.
//!
//! A drive has no entries for folders. A folder is a range of keys: `files\0` and its name, then from `/` on and before
//! `0`, the byte that follows `/`.

use std::fmt;

use thiserror::Error;

use crate::limits::PATH_BYTES_MAX;

/// The prefix of all keys of a drive's entries.
const PREFIX: &[u8] = b"files\0";

/// The name of a file, normalised: it begins with `/`, has no empty part, no `.` and no `..`, and does not end with `/`.
///
/// ```
/// use libvms_hypercore::drive::Path;
/// assert_eq!(Path::new("dir//./a")?.as_str(), "/dir/a");
/// assert!(Path::new("/a/..").is_err());
/// # Ok::<(), libvms_hypercore::drive::PathError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Path(String);

/// The name of a folder: like that of a file, or empty for the root.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Folder(String);

/// The text does not name a file or folder of a drive.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum PathError {
    /// The text names the root, which is not a file.
    #[error("the root of a drive is not a file")]
    Root,
    /// The text leads out of the drive.
    #[error("a path has more `..` than parts before them")]
    AboveRoot,
    /// The path is too long.
    #[error("a path of {bytes} bytes is longer than {PATH_BYTES_MAX}")]
    TooLong {
        /// Bytes of the normalised path.
        bytes: usize,
    },
}

impl Path {
    /// Normalises a name as npm unix-path-resolve does: `/` and `\` separate its parts, and a leading drive letter, or
    /// the scheme and host of a URL, is dropped.
    ///
    /// # Errors
    /// If the name is that of the root, leads above it, or is longer than [`PATH_BYTES_MAX`].
    pub fn new(name: &str) -> Result<Self, PathError> {
        Folder::new(name)?.path().ok_or(PathError::Root)
    }

    /// Returns the name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Returns the key of the entry in the Hyperbee.
    pub fn key(&self) -> Vec<u8> {
        [PREFIX, self.0.as_bytes()].concat()
    }

    /// Returns the name of a key. `None` unless it is the key of a normalised name.
    pub fn from_key(key: &[u8]) -> Option<Self> {
        let name = std::str::from_utf8(key.strip_prefix(PREFIX)?).ok()?;
        Self::new(name).ok().filter(|path| path.0 == name)
    }

    /// Returns the folder that contains the file.
    pub fn parent(&self) -> Folder {
        Folder(self.0.rsplit_once('/').map(|(parent, _)| parent.to_owned()).unwrap_or_default())
    }

    /// Returns the folder with the same name as the file; both may exist.
    pub fn folder(&self) -> Folder {
        Folder(self.0.clone())
    }

    /// Returns the last part of the name.
    pub fn name(&self) -> &str {
        self.0.rsplit('/').next().unwrap_or_default()
    }

    /// Returns the path that a symbolic link at this path leads to. As in JavaScript, a relative target starts from the
    /// link's own path as if that were a folder: `x` in `/dir/link` is `/dir/link/x`, and its neighbour is `../x`.
    ///
    /// # Errors
    /// As [`Path::new`].
    pub fn resolve(&self, target: &str) -> Result<Self, PathError> {
        resolve(&self.0, target)?.path().ok_or(PathError::Root)
    }
}

impl Folder {
    /// The root folder.
    pub const ROOT: Self = Self(String::new());

    /// Normalises a name, which may be that of the root.
    ///
    /// # Errors
    /// If the name leads above the root, or is longer than [`PATH_BYTES_MAX`].
    pub fn new(name: &str) -> Result<Self, PathError> {
        resolve("", name)
    }

    /// Returns the name as text; empty for the root, without a `/` at its end.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Returns whether this is the root.
    pub fn is_root(&self) -> bool {
        self.0.is_empty()
    }

    /// Returns the file with the same name; `None` for the root.
    pub fn path(&self) -> Option<Path> {
        (!self.is_root()).then(|| Path(self.0.clone()))
    }

    /// Returns the range of keys of all entries strictly inside: from the first on and before the second.
    pub fn range(&self) -> (Vec<u8>, Vec<u8>) {
        let below = |end: u8| [PREFIX, self.0.as_bytes(), &[end]].concat();
        let mut from = below(b'/');
        // `/` alone after the name would be an empty part, which no path has.
        from.push(0);
        (from, below(b'0'))
    }

    /// Returns the folder `name` in this one. The name must be a part of a path.
    pub(super) fn child(&self, name: &str) -> Self {
        Self(format!("{}/{name}", self.0))
    }

    /// Returns whether `path` is strictly inside.
    pub fn contains(&self, path: &Path) -> bool {
        path.0.strip_prefix(&self.0).is_some_and(|rest| rest.starts_with('/'))
    }
}

impl fmt::Display for Path {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Display for Folder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.is_root() { "/" } else { &self.0 })
    }
}

/// Resolves `name`, which may be relative, against the normalised name `base` (empty: the root).
fn resolve(base: &str, name: &str) -> Result<Folder, PathError> {
    let is_separator = |character| matches!(character, '/' | '\\');
    let (is_absolute, dropped) = match name.split_once(is_separator) {
        Some((first, _)) if first.ends_with(':') => (true, parts_before_the_path(first)),
        Some(("", _)) => (true, 0),
        _ => (false, 0),
    };
    let mut resolved = if is_absolute { String::new() } else { base.to_owned() };
    for part in name.split(is_separator).skip(dropped) {
        match part {
            "" | "." => {}
            ".." => resolved.truncate(resolved.rfind('/').ok_or(PathError::AboveRoot)?),
            part => {
                resolved.push('/');
                resolved.push_str(part);
            }
        }
    }
    match resolved.len() {
        bytes if bytes > PATH_BYTES_MAX => Err(PathError::TooLong { bytes }),
        _ => Ok(Folder(resolved)),
    }
}

/// Returns how many parts belong to `first`, which ends with a colon: a drive letter and `file:` are one part, any
/// other scheme is followed by an empty part and a host.
fn parts_before_the_path(first: &str) -> usize {
    // JavaScript counts UTF-16 units.
    if first == "file:" || first.encode_utf16().count() == 2 { 1 } else { 3 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_holds_the_paths_strictly_below_it() {
        let (from, to) = Folder::new("/dir").expect("a name").range();
        let holds = |name: &str| {
            let path = Path::new(name).expect("a name");
            let is_in_range = (from.as_slice()..to.as_slice()).contains(&path.key().as_slice());
            assert_eq!(Folder::new("dir").expect("a name").contains(&path), is_in_range, "{name}");
            is_in_range
        };
        assert!(["/dir/a", "/dir/\u{1}", "/dir/ü/x"].into_iter().all(holds));
        assert!(!["/dir", "/dir0", "/dir-", "/di", "/dirx/a"].into_iter().any(holds));
    }

    #[test]
    fn the_longest_path_is_the_longest() {
        let longest = format!("/{}", "x".repeat(PATH_BYTES_MAX - 1));
        assert_eq!(Path::new(&longest).expect("just short enough").as_str(), longest);
        assert_eq!(Path::new(&format!("{longest}x")), Err(PathError::TooLong { bytes: PATH_BYTES_MAX + 1 }));
        assert_eq!(Path::new(&format!("{longest}x/../y")).expect("short").as_str(), "/y");
    }

    #[test]
    fn a_link_leads_from_its_own_path() {
        let link = Path::new("/dir/link").expect("a name");
        let target = |target| link.resolve(target).map(|path| path.as_str().to_owned());
        assert_eq!(target("x"), Ok("/dir/link/x".into()));
        assert_eq!(target("../x"), Ok("/dir/x".into()));
        assert_eq!(target("/x/"), Ok("/x".into()));
        assert_eq!(target("\\x"), Ok("/x".into()));
        assert_eq!(target("C:/x"), Ok("/x".into()));
        assert_eq!(target("../.."), Err(PathError::Root));
        assert_eq!(target("../../.."), Err(PathError::AboveRoot));
    }

    #[test]
    fn only_keys_of_normalised_names_are_paths() {
        let path = Path::new("/a/ü").expect("a name");
        assert_eq!(Path::from_key(&path.key()), Some(path));
        for key in [
            &b"files\0"[..],
            b"files\0/",
            b"files\0a",
            b"files\0/a/",
            b"files\0/a//b",
            b"files\0/\xff",
            b"/a",
        ] {
            assert_eq!(Path::from_key(key), None, "{key:?}");
        }
    }

    #[test]
    fn parts_of_a_path() {
        let path = Path::new("/a/b").expect("a name");
        assert_eq!((path.parent().as_str(), path.name(), path.folder().as_str()), ("/a", "b", "/a/b"));
        assert!(path.parent().path().expect("not the root").parent().is_root());
        assert_eq!((Folder::ROOT.to_string(), Folder::ROOT.path()), ("/".into(), None));
    }
}
