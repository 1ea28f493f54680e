//! The embedded files of the page.

use std::sync::OnceLock;

use axum::http::HeaderValue;

/// One file of `assets/`.
pub(super) struct File {
    /// Its path under `assets/`.
    pub(super) path: &'static str,
    pub(super) bytes: &'static [u8],
}

impl File {
    pub(super) fn content_type(&self) -> &'static str {
        content_type(self.path)
    }
}

macro_rules! embed {
    ($($path:literal),* $(,)?) => {
        &[$(File { path: $path, bytes: include_bytes!(concat!("assets/", $path)) }),*]
    };
}

/// The shell, with places for the assets' address and the token.
pub(super) const SHELL: &str = include_str!("assets/index.html");

/// Everything that the shell and the scripts ask for.
const FILES: &[File] = embed![
    "app.js",
    "data/api.js",
    "data/colours.js",
    "data/format.js",
    "data/stream.js",
    "icon.svg",
    "llm/conversation.js",
    "llm/details.js",
    "llm/evaluations.js",
    "llm/experiment.js",
    "llm/experiments.js",
    "llm/parts.js",
    "llm/prompts.js",
    "llm/session.js",
    "llm/sessions.js",
    "llm/trace.js",
    "llm/traces.js",
    "map/layers.js",
    "page/canvas.js",
    "page/dom.js",
    "page/frame.js",
    "page/icons.js",
    "page/keyboard.js",
    "page/keys.js",
    "page/route.js",
    "pages/compare.js",
    "pages/live.js",
    "pages/llm.js",
    "pages/map.js",
    "pages/problems.js",
    "pages/request.js",
    "pages/requests.js",
    "pages/settings.js",
    "pages/streams.js",
    "pages/tests.js",
    "pages/trace.js",
    "pages/traces.js",
    "parts/badges.js",
    "parts/empty.js",
    "parts/grid.js",
    "parts/groups.js",
    "parts/pause.js",
    "parts/problems.js",
    "parts/range.js",
    "parts/search.js",
    "parts/splitter.js",
    "parts/suggestions.js",
    "parts/table.js",
    "parts/tabs.js",
    "parts/timeline.js",
    "parts/values.js",
    "settings/form.js",
    "styles/frame.css",
    "styles/llm.css",
    "styles/pages.css",
    "styles/parts.css",
    "streams/picture.js",
    "streams/side.js",
    "streams/tables.js",
    "styles/settings.css",
    "styles/streams.css",
    "styles/tests.css",
    "styles/tokens.css",
    "styles/trace.css",
    "styles/traces.css",
    "tests/coverage.js",
    "tests/parts.js",
    "theme.js",
    "trace/compare.js",
    "trace/detail.js",
    "trace/flame.js",
    "trace/minimap.js",
    "trace/model.js",
    "trace/rows.js",
    "trace/stack.js",
    "trace/table.js",
    "trace/ticks.js",
    "trace/waterfall.js",
];

pub(super) fn find(path: &str) -> Option<&'static File> {
    FILES.iter().find(|file| file.path == path)
}

/// A hash over all files (FNV-1a, 64 bits), in hex: it stands in their addresses.
pub(super) fn version() -> &'static str {
    static VERSION: OnceLock<String> = OnceLock::new();
    VERSION.get_or_init(|| {
        let all = FILES
            .iter()
            .flat_map(|file| file.path.bytes().chain(file.bytes.iter().copied()));
        let hash = all.fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
        });
        format!("{hash:016x}")
    })
}

/// The entity tag that all files share: any change is a new version of all of them.
pub(super) fn tag() -> HeaderValue {
    HeaderValue::from_str(&format!("\"{}\"", version())).unwrap_or(HeaderValue::from_static("\"\""))
}

pub(super) fn content_type(path: &str) -> &'static str {
    match path.rsplit_once('.').map(|(_, extension)| extension) {
        Some("js") => "text/javascript; charset=utf-8",
        Some("css") => "text/css; charset=utf-8",
        Some("svg") => "image/svg+xml",
        Some("html") => "text/html; charset=utf-8",
        _ => "application/octet-stream",
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::path::{Path, PathBuf};

    use super::*;

    fn on_disk() -> BTreeSet<String> {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/viewer/assets");
        let mut folders: Vec<PathBuf> = vec![root.clone()];
        let mut found = BTreeSet::new();
        while let Some(folder) = folders.pop() {
            for entry in std::fs::read_dir(folder).unwrap() {
                let path = entry.unwrap().path();
                if path.is_dir() {
                    folders.push(path);
                } else {
                    found.insert(
                        path.strip_prefix(&root)
                            .unwrap()
                            .to_str()
                            .unwrap()
                            .replace('\\', "/"),
                    );
                }
            }
        }
        found.remove("index.html");
        found
    }

    #[test]
    fn every_file_of_the_folder_is_embedded() {
        let embedded: BTreeSet<String> = FILES.iter().map(|file| file.path.to_owned()).collect();
        assert_eq!(embedded, on_disk());
        assert_eq!(embedded.len(), FILES.len(), "one is listed twice");
    }

    #[test]
    fn nothing_is_inline_and_nothing_comes_from_elsewhere() {
        let texts = FILES
            .iter()
            .map(|file| (file.path, std::str::from_utf8(file.bytes).unwrap()));
        for (path, text) in texts.chain([("index.html", SHELL)]) {
            // The names of XML are no addresses.
            let text = text
                .replace("http://www.w3.org/2000/svg", "")
                .replace("location.origin", "");
            for forbidden in [
                "http://",
                "https://",
                "innerHTML",
                "outerHTML",
                "insertAdjacentHTML",
                "document.write",
                "eval(",
                "new Function",
            ] {
                assert!(!text.contains(forbidden), "{path} holds {forbidden}");
            }
        }
        assert!(!SHELL.contains("style="));
        assert!(!SHELL.contains("onload"));
    }

    /// The bytes of a page's scripts: the modules that it imports, and theirs, beside those that every page needs.
    fn scripts(page: &str) -> usize {
        let mut wanted = vec!["app.js".to_owned(), page.to_owned()];
        let mut seen = BTreeSet::new();
        let mut bytes = find("theme.js").unwrap().bytes.len();
        while let Some(path) = wanted.pop() {
            if !seen.insert(path.clone()) {
                continue;
            }
            let file =
                find(&path).unwrap_or_else(|| panic!("{path} is imported and does not exist"));
            bytes += file.bytes.len();
            let folder = path.rsplit_once('/').map_or("", |(folder, _)| folder);
            for line in std::str::from_utf8(file.bytes).unwrap().lines() {
                let Some((_, rest)) = line.split_once(" from \"") else {
                    continue;
                };
                let import = rest.split('"').next().unwrap();
                wanted.push(match import.strip_prefix("../") {
                    Some(path) => path.to_owned(),
                    None if folder.is_empty() => import.trim_start_matches("./").to_owned(),
                    None => format!("{folder}/{}", import.trim_start_matches("./")),
                });
            }
        }
        bytes
    }

    /// The first view is the list of traces. Each page is loaded when it is first opened, so that pages may be added
    /// without any of them becoming slower: what counts is what one of them loads.
    #[test]
    fn each_page_stays_small() {
        for file in FILES.iter().filter(|file| file.path.starts_with("pages/")) {
            let limit = match file.path {
                "pages/traces.js" => 60_000,
                "pages/trace.js" => 125_000,
                _ => 75_000,
            };
            let bytes = scripts(file.path);
            println!("{}: {bytes}", file.path);
            assert!(bytes <= limit, "{}: {bytes} bytes of script", file.path);
        }
        let styles = FILES.iter().filter(|file| file.path.ends_with(".css"));
        let bytes = styles.map(|file| file.bytes.len()).sum::<usize>() + SHELL.len();
        println!("styles: {bytes}");
        assert!(bytes <= 60_000, "{bytes} bytes of styles");
    }
}
