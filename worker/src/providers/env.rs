//! Environment variables: `${env:NAME}` (`EnvVarConfigProvider`, KIP-887).

use connect_api::java::Regex;
use connect_api::provider::{ConfigData, ConfigProvider};
use connect_api::{Error, Props, Result};

/// Gives environment variables whose names match `allowlist.pattern` as a whole.
#[derive(Default)]
pub(super) struct EnvVarConfigProvider {
    allowed: Option<Regex>,
}

impl ConfigProvider for EnvVarConfigProvider {
    fn configure(&mut self, props: &Props) -> Result<()> {
        if let Some(pattern) = props.get("allowlist.pattern") {
            let regex = Regex::new(pattern).map_err(|error| {
                Error::config(format!("Pattern compilation error: {pattern}")).with_source(error)
            })?;
            self.allowed = Some(regex);
        }
        Ok(())
    }

    fn get(&self, path: &str, keys: &[&str]) -> Result<ConfigData> {
        if !path.is_empty() {
            return Err(Error::config(format!(
                "Path is not supported for EnvVarConfigProvider, invalid value '{path}'"
            )));
        }
        let data = keys
            .iter()
            .filter(|key| {
                self.allowed
                    .as_ref()
                    .is_none_or(|allowed| allowed.matches(key))
            })
            .filter_map(|key| Some(((*key).to_owned(), std::env::var(key).ok()?)))
            .collect();
        Ok(ConfigData { data, ttl: None })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_refused() {
        let error = EnvVarConfigProvider::default()
            .get("/p", &["k"])
            .expect_err("refused");
        assert_eq!(
            error.message(),
            "Path is not supported for EnvVarConfigProvider, invalid value '/p'"
        );
    }

    #[test]
    fn names_outside_the_pattern_are_not_found() {
        let mut provider = EnvVarConfigProvider::default();
        let props = [("allowlist.pattern".to_owned(), "NO_.*".to_owned())]
            .into_iter()
            .collect();
        provider.configure(&props).expect("valid");
        assert_eq!(provider.get("", &["PATH"]).expect("reads").data.len(), 0);
        let open = EnvVarConfigProvider::default();
        assert_eq!(open.get("", &["PATH"]).expect("reads").data.len(), 1);
    }
}
