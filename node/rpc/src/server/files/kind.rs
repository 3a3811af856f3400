//! The media type of a file by its extension. With `nosniff` a browser believes the type; an unknown extension means
//! plain bytes.

/// Returns the value of `Content-Type` for a path. Texts are declared as UTF-8, because `writeFile` encodes strings so.
pub(super) fn of(path: &str) -> &'static str {
    let name = path.rsplit('/').next().unwrap_or_default();
    let extension = match name.rsplit_once('.') {
        // `.html` is the name of a hidden file, not an extension.
        Some((stem, extension)) if !stem.is_empty() => extension.to_ascii_lowercase(),
        _ => return BYTES,
    };
    let found = KINDS.iter().find(|(extensions, _)| extensions.split(' ').any(|known| known == extension));
    found.map_or(BYTES, |(_, kind)| kind)
}

const BYTES: &str = "application/octet-stream";

/// Extensions and their media types.
const KINDS: &[(&str, &str)] = &[
    ("txt text log", "text/plain; charset=utf-8"),
    ("md markdown", "text/markdown; charset=utf-8"),
    ("csv", "text/csv; charset=utf-8"),
    ("tsv", "text/tab-separated-values; charset=utf-8"),
    ("ics", "text/calendar; charset=utf-8"),
    ("vcf", "text/vcard; charset=utf-8"),
    ("html htm", "text/html; charset=utf-8"),
    ("css", "text/css; charset=utf-8"),
    ("js mjs", "text/javascript; charset=utf-8"),
    ("json map", "application/json"),
    ("jsonl ndjson", "application/x-ndjson"),
    ("webmanifest", "application/manifest+json"),
    ("xml", "application/xml"),
    ("atom", "application/atom+xml"),
    ("rss", "application/rss+xml"),
    ("yaml yml", "application/yaml"),
    ("toml", "application/toml"),
    ("wasm", "application/wasm"),
    ("pdf", "application/pdf"),
    ("zip", "application/zip"),
    ("gz tgz", "application/gzip"),
    ("zst", "application/zstd"),
    ("tar", "application/x-tar"),
    ("cbor", "application/cbor"),
    ("png", "image/png"),
    ("jpg jpeg", "image/jpeg"),
    ("gif", "image/gif"),
    ("webp", "image/webp"),
    ("avif", "image/avif"),
    ("svg", "image/svg+xml"),
    ("ico", "image/vnd.microsoft.icon"),
    ("mp3", "audio/mpeg"),
    ("ogg oga", "audio/ogg"),
    ("opus", "audio/opus"),
    ("flac", "audio/flac"),
    ("wav", "audio/wav"),
    ("mp4", "video/mp4"),
    ("webm", "video/webm"),
    ("ttf", "font/ttf"),
    ("woff", "font/woff"),
    ("woff2", "font/woff2"),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_end_of_a_name_tells_its_type() {
        assert_eq!(of("/a/b.txt"), "text/plain; charset=utf-8");
        assert_eq!(of("/A.JPEG"), "image/jpeg");
        assert_eq!(of("/a.tar.gz"), "application/gzip");
        for unknown in ["/html", "/.html", "/a.html/b", "/a.", "/a.exe", "/a.txt ", "", "/a.txt oga"] {
            assert_eq!(of(unknown), BYTES, "{unknown}");
        }
    }
}
