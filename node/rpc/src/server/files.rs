//! Reading files without a call: `GET /PATH/files/NAME`.
//!
//! Start from [`Files`], which a service provides, or from `answer`, which answers a request. A call that reads a file
//! writes its content into the log, for ever; a GET leaves no trace. The files served are as answered calls have written
//! them, never later. Names and contents come from strangers: headers make a browser download a file, believe its type,
//! and run nothing in it.

mod body;
mod kind;
mod name;
mod range;

use std::fmt::Write;
use std::io;
use std::sync::Arc;

use hyper::body::Bytes;
use hyper::header::{self, HeaderMap, HeaderName, HeaderValue};
use hyper::http::request::Parts;
use hyper::{Method, Response, StatusCode};
use libvms_hypercore::blocks::Length;
use serde_json::{Value, json};

pub(super) use body::Body;
use name::Name;
pub(super) use name::{PLACE, below};
use range::Wanted;

use super::query;
use crate::escape::escaped;

/// A snapshot of the files of a service. Reading may wait for a disk.
pub trait Files: Send + Sync + 'static {
    /// Returns the version of all files together.
    fn version(&self) -> Length;

    /// Returns the file at a normalised path; `None` when there is none.
    ///
    /// # Errors
    /// When the file cannot be read.
    fn file(&self, path: &str) -> io::Result<Option<Arc<dyn File>>>;

    /// Returns the names in a folder (normalised, empty for the root) that come after `after`, within `limit`;
    /// `None` when the folder is empty, unless it is the root.
    ///
    /// # Errors
    /// When the names cannot be read.
    fn list(&self, folder: &str, after: &str, limit: ListLimit) -> io::Result<Option<Listing>>;
}

/// A snapshot of a file.
pub trait File: Send + Sync + 'static {
    /// Returns the version that wrote the file.
    fn version(&self) -> Length;

    /// Returns the bytes of the file's content.
    fn size(&self) -> u64;

    /// Reads some bytes from `at` on, at least one and at most some tens of kilobytes. `at` is below the size.
    ///
    /// # Errors
    /// When the bytes cannot be read.
    fn read(&self, at: u64) -> io::Result<Vec<u8>>;
}

/// The bounds of one listing of a folder.
#[derive(Clone, Copy, Debug)]
pub struct ListLimit {
    /// The most names.
    pub names_max: usize,
    /// Bytes of all names together; one name may exceed it.
    pub bytes_max: usize,
}

/// The content of a folder.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Listing {
    /// The entries found, in the order of their names.
    pub entries: Vec<Listed>,
    /// Whether there are further names.
    pub is_longer: bool,
}

/// A name in a folder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listed {
    /// The name, without the folder.
    pub name: String,
    /// Size and version, when the name is that of a file.
    pub file: Option<(u64, Length)>,
    /// Whether a folder of this name exists, which is never empty.
    pub is_folder: bool,
}

/// The bounds of a listing: at most a few hundred kilobytes of JSON, for any names.
const LIST_LIMIT: ListLimit = ListLimit { names_max: 1_000, bytes_max: 64 << 10 };

/// The methods that requests for files may use.
const METHODS: &str = "GET, HEAD, OPTIONS";

type Answer = Response<Body>;

/// Answers a request whose path is `escaped_name` below the prefix of a service's files.
pub(super) async fn answer(files: Arc<dyn Files>, escaped_name: &str, request: &Parts) -> Answer {
    match request.method {
        Method::GET | Method::HEAD => (),
        Method::OPTIONS => return preflight(),
        _ => {
            let refusal = text(StatusCode::METHOD_NOT_ALLOWED, "files are read with GET and HEAD");
            return with_header(refusal, header::ALLOW, METHODS);
        }
    }
    let name = match Name::parse(escaped_name) {
        Ok(name) => name,
        Err(error) => return text(StatusCode::BAD_REQUEST, &error.to_string()),
    };
    let after = match query::parameter(request.uri.query(), "after") {
        Ok(after) => after.unwrap_or_default(),
        Err(error) => {
            return text(StatusCode::BAD_REQUEST, &format!("the parameter `after` of the URL {error}"));
        }
    };
    let reading = tokio::task::spawn_blocking(move || find(&*files, &name, &after));
    let found = match reading.await.map_err(io::Error::other).flatten() {
        Ok(found) => found,
        Err(error) => {
            tracing::error!(%error, "a file cannot be read");
            return text(StatusCode::INTERNAL_SERVER_ERROR, "the file cannot be read");
        }
    };
    let answer = match found {
        Found::File(path, file) => content(&path, file, &request.headers, &request.method),
        Found::Folder(version, listing) => whole(version, "application/json", listing, &request.headers),
        Found::Nothing(path) => text(StatusCode::NOT_FOUND, &format!("there is no file {}", quoted(&path))),
    };
    if request.method == Method::HEAD { without_body(answer) } else { answer }
}

/// A file or a folder, found at a name.
enum Found {
    File(String, Arc<dyn File>),
    /// The version of all files, and the folder's content as JSON.
    Folder(Length, String),
    Nothing(String),
}

fn find(files: &dyn Files, name: &Name, after: &str) -> io::Result<Found> {
    // A file and a folder may share a name. With a `/` at its end the name means the folder.
    if !name.is_folder
        && let Some(file) = files.file(&name.path)?
    {
        return Ok(Found::File(name.path.clone(), file));
    }
    Ok(match files.list(&name.path, after, LIST_LIMIT)? {
        Some(listing) => Found::Folder(files.version(), listing_json(files.version(), &name.path, &listing)),
        None => Found::Nothing(name.path.clone()),
    })
}

fn listing_json(version: Length, folder: &str, listing: &Listing) -> String {
    let entry = |Listed { name, file, is_folder }: &Listed| {
        let mut entry = json!({ "path": format!("{folder}/{name}") });
        if let Some((size, version)) = file {
            entry["size"] = json!(size);
            entry["version"] = json!(version);
        }
        if *is_folder {
            entry["folder"] = json!(true);
        }
        entry
    };
    let entries: Vec<Value> = listing.entries.iter().map(entry).collect();
    let path = if folder.is_empty() { "/" } else { folder };
    let mut object = json!({ "path": path, "version": version, "entries": entries });
    if let Some(last) = listing.entries.last().filter(|_| listing.is_longer) {
        object["next"] = json!(format!("?after={}", escaped(&last.name)));
    }
    format!("{object}\n")
}

/// Answers with a file, or with the requested part of it.
fn content(path: &str, file: Arc<dyn File>, headers: &HeaderMap, method: &Method) -> Answer {
    let (version, size) = (file.version(), file.size());
    if range::is_known(headers, version) {
        return described(Response::new(Body::default()), StatusCode::NOT_MODIFIED, version);
    }
    let wanted = if *method == Method::GET { range::wanted(headers, version, size) } else { Wanted::All };
    let (status, part) = match wanted {
        Wanted::All => (StatusCode::OK, 0..size),
        Wanted::Part(part) => (StatusCode::PARTIAL_CONTENT, part),
        Wanted::Nothing => {
            let why = format!("the range lies beyond the end of the file, which has {size} bytes");
            let refusal = text(StatusCode::RANGE_NOT_SATISFIABLE, &why);
            return with_value(refusal, header::CONTENT_RANGE, &format!("bytes */{size}"));
        }
    };
    let range = format!("bytes {}-{}/{size}", part.start, part.end.saturating_sub(1));
    let answer = described(Response::new(Body::of(file, part)), status, version);
    let answer = with_header(answer, header::CONTENT_TYPE, kind::of(path));
    let answer = with_value(answer, header::CONTENT_DISPOSITION, &disposition(path));
    match status {
        StatusCode::PARTIAL_CONTENT => with_value(answer, header::CONTENT_RANGE, &range),
        _ => answer,
    }
}

/// Answers with a content that is in memory as a whole.
fn whole(version: Length, kind: &'static str, content: String, headers: &HeaderMap) -> Answer {
    if range::is_known(headers, version) {
        return described(Response::new(Body::default()), StatusCode::NOT_MODIFIED, version);
    }
    let answer = described(Response::new(Body::from(content)), StatusCode::OK, version);
    with_header(answer, header::CONTENT_TYPE, kind)
}

/// Adds the status, the version and the headers for contents that strangers have written.
fn described(mut answer: Answer, status: StatusCode, version: Length) -> Answer {
    *answer.status_mut() = status;
    let answer = with_value(answer, header::ETAG, &format!("\"{version}\""));
    let answer = with_header(answer, header::ACCEPT_RANGES, "bytes");
    // A browser may cache the content, but must revalidate its tag: a call may have changed the file.
    let answer = with_header(answer, header::CACHE_CONTROL, "no-cache");
    let answer = with_header(answer, header::X_CONTENT_TYPE_OPTIONS, "nosniff");
    let answer = with_header(answer, header::CONTENT_SECURITY_POLICY, "default-src 'none'; sandbox");
    // A page of another origin sends no `Origin` for an image or a script: with this header the browser refuses those.
    let policy = HeaderName::from_static("cross-origin-resource-policy");
    let answer = with_header(answer, policy, "same-origin");
    let exposed = "ETag, Accept-Ranges, Content-Range, Content-Disposition";
    with_header(answer, header::ACCESS_CONTROL_EXPOSE_HEADERS, exposed)
}

/// Returns `Content-Disposition` with the name for a download. The name may have any characters; RFC 8187 escapes them.
fn disposition(path: &str) -> String {
    let name = path.rsplit('/').next().unwrap_or_default();
    format!("attachment; filename*=UTF-8''{}", escaped(name))
}

/// Answers a browser's preflight request for files. The page's origin was checked before.
fn preflight() -> Answer {
    let mut answer = Response::new(Body::default());
    *answer.status_mut() = StatusCode::NO_CONTENT;
    let answer = with_header(answer, header::ALLOW, METHODS);
    let answer = with_header(answer, header::ACCESS_CONTROL_ALLOW_METHODS, METHODS);
    let headers = "range, if-range, if-none-match";
    let answer = with_header(answer, header::ACCESS_CONTROL_ALLOW_HEADERS, headers);
    let private = HeaderName::from_static("access-control-allow-private-network");
    let answer = with_header(answer, private, "true");
    with_header(answer, header::ACCESS_CONTROL_MAX_AGE, "600")
}

/// Returns the answer without its body, but with the body's length in the head.
fn without_body(answer: Answer) -> Answer {
    let length = hyper::body::Body::size_hint(answer.body()).exact();
    let is_bare = answer.status() == StatusCode::NOT_MODIFIED;
    let (parts, _) = answer.into_parts();
    let answer = Response::from_parts(parts, Body::default());
    match length.filter(|_| !is_bare) {
        Some(length) => with_value(answer, header::CONTENT_LENGTH, &length.to_string()),
        None => answer,
    }
}

/// Returns a path for use in a message, with escapes for all characters that a terminal acts on.
fn quoted(path: &str) -> String {
    let mut quoted = String::from("`");
    let shown = crate::printable::Printable(if path.is_empty() { "/" } else { path });
    write!(quoted, "{shown}`").expect("a String takes everything");
    quoted
}

fn text(status: StatusCode, text: &str) -> Answer {
    let mut answer = Response::new(Body::from(format!("{text}\n")));
    *answer.status_mut() = status;
    let answer = with_header(answer, header::X_CONTENT_TYPE_OPTIONS, "nosniff");
    with_header(answer, header::CONTENT_TYPE, "text/plain; charset=utf-8")
}

fn with_header(mut answer: Answer, name: HeaderName, value: &'static str) -> Answer {
    answer.headers_mut().insert(name, HeaderValue::from_static(value));
    answer
}

/// Adds a header whose value is ASCII text of our own.
fn with_value(mut answer: Answer, name: HeaderName, value: &str) -> Answer {
    let value = HeaderValue::from_str(value).expect("printable ASCII");
    answer.headers_mut().insert(name, value);
    answer
}

impl From<String> for Body {
    fn from(text: String) -> Self {
        Self::whole(Bytes::from(text))
    }
}
