//! The folders below `examples/`: connector JSON as people have it.

use crate::{Outcome, parts};
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
}
