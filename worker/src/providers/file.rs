//! Properties files: `${file:/path:key}` (`FileConfigProvider`).

use connect_api::java::parse_properties;
use connect_api::provider::{ConfigData, ConfigProvider};
use connect_api::{Error, Props, Result};

use super::directory::AllowedPaths;

/// Gives the entries of Java properties files below `allowed.paths`.
#[derive(Default)]
pub(super) struct FileConfigProvider {
    allowed: AllowedPaths,
}

impl ConfigProvider for FileConfigProvider {
    fn configure(&mut self, props: &Props) -> Result<()> {
        self.allowed = AllowedPaths::configure(props)?;
        Ok(())
    }

    fn get(&self, path: &str, keys: &[&str]) -> Result<ConfigData> {
        if path.is_empty() || !self.allowed.allow(path) {
            return Ok(ConfigData::default());
        }
        let failed = || format!("Could not read properties from file {path}");
        let text = std::fs::read_to_string(path)
            .map_err(|error| Error::config(failed()).with_source(error))?;
        let properties =
            parse_properties(&text).map_err(|error| Error::config(failed()).with_source(error))?;
        let data = keys
            .iter()
            .filter_map(|key| Some(((*key).to_owned(), properties.get(*key)?.clone())))
            .collect();
        Ok(ConfigData { data, ttl: None })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_read_from_the_file_and_missing_ones_left_out() {
        let folder = std::env::temp_dir().join(format!("file-provider-{}", std::process::id()));
        std::fs::create_dir_all(&folder).expect("a folder for the test");
        let file = folder.join("secrets.properties");
        std::fs::write(&file, "user=me\npassword = a\\:b\n").expect("a file for the test");
        let provider = FileConfigProvider::default();
        let found = provider
            .get(&file.to_string_lossy(), &["password", "nope"])
            .expect("reads");
        assert_eq!(found.data.len(), 1);
        assert_eq!(found.data["password"], "a:b");
        let mut limited = FileConfigProvider::default();
        let props = [("allowed.paths".to_owned(), "/proc".to_owned())]
            .into_iter()
            .collect();
        limited.configure(&props).expect("valid");
        assert!(
            limited
                .get(&file.to_string_lossy(), &["user"])
                .expect("reads")
                .data
                .is_empty()
        );
        std::fs::remove_dir_all(&folder).expect("the test's own folder");
    }
}
