//! Documents from one folder and nothing else.

use std::{
    io,
    path::{Component, Path, PathBuf},
};

use percent_encoding::percent_decode_str;

/// A folder whose files are served.
#[derive(Debug)]
pub(super) struct Folder {
    root: PathBuf,
}

/// Largest document served.
const MAX_FILE: u64 = 16 << 20;

impl Folder {
    /// Fails when there is no such folder.
    pub(super) fn open(root: &Path) -> io::Result<Self> {
        let root = root.canonicalize()?;
        if !root.is_dir() {
            return Err(io::Error::new(
                io::ErrorKind::NotADirectory,
                format!("{} is not a folder", root.display()),
            ));
        }
        Ok(Self { root })
    }

    /// The file that a URL's path names, and its content type.
    pub(super) fn read(&self, path: &str) -> Option<(&'static str, Vec<u8>)> {
        let path = self.locate(path)?;
        let length = path.metadata().ok().filter(std::fs::Metadata::is_file)?.len();
        if length > MAX_FILE {
            return None;
        }
        Some((content_type(&path), std::fs::read(path).ok()?))
    }

    /// Every part of the path must be a plain name, and links must not lead out.
    fn locate(&self, path: &str) -> Option<PathBuf> {
        let decoded = percent_decode_str(path).decode_utf8().ok()?;
        let relative = Path::new(decoded.trim_start_matches('/'));
        let is_plain = relative.components().all(|part| matches!(part, Component::Normal(_)));
        if !is_plain || decoded.contains(['\0', '\\']) {
            return None;
        }
        let found = self.root.join(relative).canonicalize().ok()?;
        found.starts_with(&self.root).then_some(found)
    }
}

fn content_type(path: &Path) -> &'static str {
    match path.extension().and_then(|extension| extension.to_str()) {
        Some("xml") => "text/xml",
        Some("wav") => "audio/wav",
        Some("mp3") => "audio/mpeg",
        Some("txt") => "text/plain; charset=utf-8",
        Some("json") => "application/json",
        Some("html") => "text/html; charset=utf-8",
        _ => "application/octet-stream",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_outside_the_folder_is_served() {
        let outer = tempfile::tempdir().expect("a folder");
        let inner = outer.path().join("documents");
        std::fs::create_dir_all(inner.join("sub")).expect("a folder");
        std::fs::write(outer.path().join("secret.xml"), "secret").expect("a file");
        std::fs::write(inner.join("a b.xml"), "<Response/>").expect("a file");
        std::fs::write(inner.join("sub/c.wav"), "RIFF").expect("a file");
        std::os::unix::fs::symlink(outer.path().join("secret.xml"), inner.join("link.xml"))
            .expect("a link");
        let folder = Folder::open(&inner).expect("a folder");
        assert_eq!(folder.read("/a%20b.xml"), Some(("text/xml", b"<Response/>".to_vec())));
        assert_eq!(folder.read("/sub/c.wav").map(|found| found.0), Some("audio/wav"));
        for path in [
            "/../secret.xml",
            "/%2e%2e/secret.xml",
            "/..%2fsecret.xml",
            "/sub/../../secret.xml",
            "//etc/passwd",
            "/link.xml",
            "/sub",
            "/",
            "/a%20b.xml%00",
            "/..\\secret.xml",
            "/%ff",
        ] {
            assert_eq!(folder.read(path), None, "{path}");
        }
    }
}
