//! The folders below `examples/`: connector JSON as people have it.

use crate::{Outcome, parts};
use serde_json::Value;
use std::path::PathBuf;

/// One folder below `examples/`.
#[derive(Debug)]
pub struct Example {
    folder: PathBuf,
}

impl Example {
    /// The example in `examples/<name>`.
    pub fn new(name: &str) -> Self {
        Self {
            folder: parts::repository().join("examples").join(name),
        }
    }

    /// A file of it, byte for byte.
    pub fn read(&self, file: &str) -> Outcome<String> {
        let path = self.folder.join(file);
        Ok(std::fs::read_to_string(&path).map_err(|e| format!("{}: {e}", path.display()))?)
    }

    /// A connector's JSON with what `overrides` says for it laid on top:
    /// `{"connector name": {"key": "value"}}`.
    pub fn overridden(&self, file: &str, overrides: &str) -> Outcome<String> {
        let mut connector: Value = serde_json::from_str(&self.read(file)?)?;
        let overrides: Value = serde_json::from_str(&self.read(overrides)?)?;
        let name = connector["name"].as_str().unwrap_or_default().to_owned();
        for (key, value) in overrides[&name].as_object().into_iter().flatten() {
            connector["config"][key] = value.clone();
        }
        Ok(connector.to_string())
    }
}
