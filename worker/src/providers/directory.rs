//! Folders of secrets, one file each: `${directory:/path:file}` (`DirectoryConfigProvider`), and
//! the `allowed.paths` that it shares with the file provider.

use std::path::{Component, Path, PathBuf};

use connect_api::provider::{ConfigData, ConfigProvider};
use connect_api::{Error, Props, Result};

/// Gives the whole content of regular files directly inside a folder, a trailing newline included.
#[derive(Default)]
pub(super) struct DirectoryConfigProvider {
    allowed: AllowedPaths,
}

impl ConfigProvider for DirectoryConfigProvider {
    fn configure(&mut self, props: &Props) -> Result<()> {
        self.allowed = AllowedPaths::configure(props)?;
        Ok(())
    }

    fn get(&self, path: &str, keys: &[&str]) -> Result<ConfigData> {
        if path.is_empty() || !self.allowed.allow(path) {
            return Ok(ConfigData::default());
        }
        let folder = Path::new(path);
        if !folder.is_dir() {
            tracing::warn!(path, "the path of a directory reference is not a folder");
            return Ok(ConfigData::default());
        }
        let mut found = ConfigData::default();
        for key in keys {
            let file = folder.join(key);
            if key.contains(['/', '\\']) || !file.is_file() {
                continue;
            }
            let content = std::fs::read_to_string(&file).map_err(|error| {
                Error::config(format!(
                    "Could not read file {} for property {key}",
                    file.display()
                ))
                .with_source(error)
            })?;
            found.data.insert((*key).to_owned(), content);
        }
        Ok(found)
    }
}

/// Which paths a provider may read; all where nothing is said.
#[derive(Default)]
pub(super) struct AllowedPaths(Option<Vec<PathBuf>>);

impl AllowedPaths {
    /// Reads `allowed.paths`.
    pub(super) fn configure(props: &Props) -> Result<Self> {
        let Some(text) = props.get("allowed.paths").filter(|text| !text.is_empty()) else {
            return Ok(Self(None));
        };
        text.split(',')
            .map(|item| {
                let path = Path::new(item);
                match (path.is_absolute(), path.exists()) {
                    (false, _) => Err(Error::config(format!("Path {item} is not absolute"))),
                    (true, false) => Err(Error::config(format!("Path {item} does not exist"))),
                    (true, true) => Ok(normal(path)),
                }
            })
            .collect::<Result<Vec<_>>>()
            .map(|paths| Self(Some(paths)))
    }

    /// Whether `path` lies below one of them; says so in the log if not.
    pub(super) fn allow(&self, path: &str) -> bool {
        let Some(allowed) = &self.0 else { return true };
        let normal = normal(Path::new(path));
        let inside = allowed.iter().any(|root| normal.starts_with(root));
        if !inside {
            tracing::warn!("The path {path} is not allowed to be accessed");
        }
        inside
    }
}

/// The path without `.` and `..`, symbolic links left alone (`Path.normalize`).
fn normal(path: &Path) -> PathBuf {
    let mut out = PathBuf::new();
    for part in path.components() {
        match part {
            Component::CurDir => {}
            Component::ParentDir => {
                out.pop();
            }
            other => out.push(other),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_above_the_allowed_ones_is_refused() {
        let props = [("allowed.paths".to_owned(), "/proc/self,/tmp".to_owned())]
            .into_iter()
            .collect();
        let allowed = AllowedPaths::configure(&props).expect("valid");
        assert!(allowed.allow("/tmp/x"));
        assert!(!allowed.allow("/tmp/../etc/passwd"));
        assert!(!allowed.allow("/tmpfoo"));
    }

    #[test]
    fn allowed_paths_must_be_absolute_and_exist() {
        let check = |paths: &str, message: &str| {
            let props = [("allowed.paths".to_owned(), paths.to_owned())]
                .into_iter()
                .collect();
            let Err(error) = AllowedPaths::configure(&props) else {
                panic!("{paths} is refused")
            };
            assert_eq!(error.message(), message);
        };
        check("relative", "Path relative is not absolute");
        check("/surely/not/here", "Path /surely/not/here does not exist");
    }

    #[test]
    fn a_file_of_a_folder_is_read_whole() {
        let folder =
            std::env::temp_dir().join(format!("directory-provider-{}", std::process::id()));
        std::fs::create_dir_all(&folder).expect("a folder for the test");
        std::fs::write(folder.join("password"), "pw\n").expect("a file for the test");
        let found = DirectoryConfigProvider::default()
            .get(
                &folder.to_string_lossy(),
                &["password", "../password", "none"],
            )
            .expect("reads");
        assert_eq!(found.data.len(), 1);
        assert_eq!(found.data["password"], "pw\n");
        std::fs::remove_dir_all(&folder).expect("the test's own folder");
    }
}
