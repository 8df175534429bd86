//! The web UI as files to be served: what `make ui` built when this crate was compiled, and
//! nothing of how it is served. Without a built UI there are no files.

/// A file of the UI.
#[derive(Debug)]
pub struct UiFile {
    /// Where it lies, from the root of the UI: `assets/index-4f2a.js`.
    pub path: &'static str,
    /// For `Content-Type`.
    pub media_type: &'static str,
    /// For `ETag`, quotes included: another one when the bytes are others.
    pub etag: &'static str,
    /// As it is.
    pub plain: &'static [u8],
    /// In gzip, where that is worth it.
    pub gzip: Option<&'static [u8]>,
    /// In Brotli, where that is worth it.
    pub brotli: Option<&'static [u8]>,
}

static FILES: &[UiFile] = include!(concat!(env!("OUT_DIR"), "/files.rs"));

/// The page that all addresses of the UI show; none: no UI was built in.
pub fn index() -> Option<&'static UiFile> {
    file("index.html")
}

/// The file of this path.
pub fn file(path: &str) -> Option<&'static UiFile> {
    FILES.iter().find(|file| file.path == path)
}

/// All files.
pub fn files() -> &'static [UiFile] {
    FILES
}

/// Names of the pages, each a path of one segment. The UI itself reads the same list.
pub fn pages() -> impl Iterator<Item = &'static str> {
    include_str!("../pages.txt").lines()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ui_that_is_built_in_is_whole_and_names_no_other_host() {
        let Some(index) = index() else {
            return assert!(files().is_empty(), "files without a page that shows them");
        };
        let text = std::str::from_utf8(index.plain).unwrap();
        let named: Vec<&UiFile> = files().iter().filter(|file| text.contains(file.path)).collect();
        assert!(named.iter().any(|file| file.path.ends_with(".js")), "{text}");
        assert!(named.iter().any(|file| file.path.ends_with(".css")), "{text}");
        for file in files().iter().filter(|file| !file.path.ends_with(".txt")) {
            let text = std::str::from_utf8(file.plain).unwrap();
            for (at, _) in text.match_indices("://") {
                // Names of namespaces of XML are no addresses.
                assert!(text[at..].starts_with("://www.w3.org/"), "{}", file.path);
            }
        }
    }

    #[test]
    fn pages_are_one_segment_deep() {
        assert!(pages().count() > 1);
        for page in pages() {
            assert!(page.bytes().all(|byte| byte.is_ascii_lowercase()), "{page}");
        }
    }
}
