//! Levels of logging that can be changed while the worker runs, by the names of Java's loggers.
//!
//! Log lines go to standard output. What a Java logger stands for here is in `environment.rs`.
//! Answers for `Loggers` (KIP-495).

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use tracing_subscriber::EnvFilter;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::reload;
use tracing_subscriber::util::SubscriberInitExt as _;

use crate::environment::{level, modules};

/// The logger above all others.
pub const ROOT: &str = "root";

/// The levels of log4j.
const LEVELS: [&str; 8] = [
    "OFF", "FATAL", "ERROR", "WARN", "INFO", "DEBUG", "TRACE", "ALL",
];

/// A logger's level, and since when it is so (`LoggerLevel`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LoggerLevel {
    /// `INFO`, …
    pub level: String,
    /// Milliseconds since 1970; `None` as it was at the start.
    pub last_modified: Option<i64>,
}

/// The loggers whose levels are known, and the filter that follows them.
pub struct Loggers {
    /// The filter at the start.
    start: String,
    levels: Mutex<BTreeMap<String, LoggerLevel>>,
    apply: Box<dyn Fn(&str) + Send + Sync>,
}

impl std::fmt::Debug for Loggers {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Loggers")
            .field("levels", &self.levels)
            .finish_non_exhaustive()
    }
}

impl Loggers {
    /// Sends log lines to standard output from now on, those that `filter` lets pass.
    pub fn install(filter: &str) -> Self {
        let (layer, handle) = reload::Layer::new(EnvFilter::new(filter));
        tracing_subscriber::registry()
            .with(layer)
            .with(tracing_subscriber::fmt::layer().with_ansi(false))
            .init();
        Self::new(filter, move |filter| {
            if let Err(error) = handle.reload(EnvFilter::new(filter)) {
                tracing::error!(%error, "changing levels of logging");
            }
        })
    }

    /// Loggers that begin with `filter` and tell `apply` of every new one.
    pub fn new(filter: &str, apply: impl Fn(&str) + Send + Sync + 'static) -> Self {
        let root = filter
            .split(',')
            .find(|part| !part.contains('='))
            .unwrap_or("info");
        let root = LoggerLevel {
            level: root.to_uppercase(),
            last_modified: None,
        };
        let levels = Mutex::new(BTreeMap::from([(ROOT.to_owned(), root)]));
        Self {
            start: filter.to_owned(),
            levels,
            apply: Box::new(apply),
        }
    }

    /// All loggers with a level of their own, by name.
    pub fn all(&self) -> BTreeMap<String, LoggerLevel> {
        self.levels
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// Sets a logger's level, and that of the loggers below it; answers whose level changed. `None`
    /// where there is no such level.
    pub fn set(&self, logger: &str, wanted: &str, now_ms: i64) -> Option<Vec<String>> {
        let wanted = wanted.to_uppercase();
        LEVELS.contains(&wanted.as_str()).then_some(())?;
        let mut levels = self.levels.lock().unwrap_or_else(PoisonError::into_inner);
        levels
            .entry(logger.to_owned())
            .or_insert_with(|| LoggerLevel {
                level: String::new(),
                last_modified: None,
            });
        let mut changed = Vec::new();
        for (name, known) in levels.iter_mut() {
            let below = logger == ROOT
                || name
                    .strip_prefix(logger)
                    .is_some_and(|rest| rest.is_empty() || rest.starts_with('.'));
            if below && known.level != wanted {
                *known = LoggerLevel {
                    level: wanted.clone(),
                    last_modified: Some(now_ms),
                };
                changed.push(name.clone());
            }
        }
        (self.apply)(&self.filter(&levels));
        Some(changed)
    }

    fn filter(&self, levels: &BTreeMap<String, LoggerLevel>) -> String {
        let mut filter = self.start.clone();
        for (name, known) in levels
            .iter()
            .filter(|(_, known)| known.last_modified.is_some())
        {
            let wanted = level(&known.level);
            match name.as_str() {
                // The last directive for a target counts, also for the one without a target.
                ROOT => filter.push_str(&format!(",{wanted}")),
                name => {
                    let ours = modules(name);
                    let directives = ours.iter().map(|module| format!(",{module}={wanted}"));
                    filter.extend(directives);
                    if ours.is_empty() && !name.contains('.') {
                        filter.push_str(&format!(",{name}={wanted}"));
                    }
                }
            }
        }
        filter
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;

    fn loggers() -> (Loggers, Arc<Mutex<String>>) {
        let applied = Arc::new(Mutex::new(String::new()));
        let seen = Arc::clone(&applied);
        let apply =
            move |filter: &str| *seen.lock().expect("no test panics with it") = filter.to_owned();
        (Loggers::new("info,postgres_source=warn", apply), applied)
    }

    #[test]
    fn a_level_reaches_the_modules_that_answer_for_the_logger() {
        let (loggers, applied) = loggers();
        assert_eq!(
            loggers.set("io.debezium", "debug", 7),
            Some(vec!["io.debezium".to_owned()])
        );
        let applied = applied.lock().expect("no test panics with it");
        assert_eq!(
            applied.as_str(),
            "info,postgres_source=warn,postgres_source=debug"
        );
        assert_eq!(
            loggers.all().get("io.debezium"),
            Some(&LoggerLevel {
                level: "DEBUG".to_owned(),
                last_modified: Some(7)
            })
        );
    }

    #[test]
    fn loggers_below_follow_and_unchanged_ones_are_not_named() {
        let (loggers, _) = loggers();
        loggers.set("org.apache.kafka.clients", "ERROR", 1);
        loggers.set("org.apache.kafka", "WARN", 2);
        assert_eq!(loggers.all()["org.apache.kafka.clients"].level, "WARN");
        assert_eq!(loggers.set("org.apache.kafka", "warn", 3), Some(Vec::new()));
        assert_eq!(
            loggers.set(ROOT, "trace", 4).map(|changed| changed.len()),
            Some(3)
        );
    }

    #[test]
    fn a_level_that_is_none_changes_nothing() {
        let (loggers, applied) = loggers();
        assert_eq!(loggers.set("a", "loud", 1), None);
        assert_eq!(loggers.all().len(), 1);
        assert_eq!(applied.lock().expect("no test panics with it").as_str(), "");
    }
}
