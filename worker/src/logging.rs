//! Levels of logging that can be changed while the worker runs, by the names of Java's loggers.
//!
//! Log lines go to standard output. What a Java logger stands for here is in `environment.rs`.
//! Answers for `Loggers` (KIP-495).

mod lines;
pub mod log4j;

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

use tracing_subscriber::EnvFilter;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::reload;
use tracing_subscriber::util::SubscriberInitExt as _;

use crate::environment::{level, modules};
pub use lines::Lines;

/// The logger above all others.
pub const ROOT: &str = "root";
/// The level of a logger that logs nothing.
const OFF: &str = "OFF";

/// The levels of log4j.
const LEVELS: [&str; 8] = [
    "OFF", "FATAL", "ERROR", "WARN", "INFO", "DEBUG", "TRACE", "ALL",
];

/// The clock, as `last_modified` shows it.
pub fn now_ms() -> i64 {
    let now = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    i64::try_from(now.as_millis()).unwrap_or(i64::MAX)
}

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
    pub fn install(filter: &str, lines: Lines) -> Self {
        let (layer, handle) = reload::Layer::new(EnvFilter::new(filter));
        tracing_subscriber::registry()
            .with(layer)
            .with(lines::Contexts)
            .with(
                tracing_subscriber::fmt::layer()
                    .with_ansi(false)
                    .event_format(lines),
            )
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

    /// All loggers with a level of their own, by name, but for those that are off.
    pub fn all(&self) -> BTreeMap<String, LoggerLevel> {
        let levels = self.levels.lock().unwrap_or_else(PoisonError::into_inner);
        let on = levels.iter().filter(|(_, known)| known.level != OFF);
        on.map(|(name, known)| (name.clone(), known.clone()))
            .collect()
    }

    /// A logger's level; `None` for one that nobody has asked for or set.
    pub fn get(&self, logger: &str) -> Option<LoggerLevel> {
        let levels = self.levels.lock().unwrap_or_else(PoisonError::into_inner);
        levels.get(canonical(logger)).cloned()
    }

    /// Whether there is such a level.
    pub fn is_level(text: &str) -> bool {
        let text = text.trim().to_uppercase();
        LEVELS.iter().any(|level| *level == text)
    }

    /// Sets a logger's level, and that of the loggers below it; answers whose level changed. `None`
    /// where there is no such level. A logger that is new has the level of the one above it.
    pub fn set(&self, logger: &str, wanted: &str, now_ms: i64) -> Option<Vec<String>> {
        let wanted = wanted.trim().to_uppercase();
        Self::is_level(&wanted).then_some(())?;
        let logger = canonical(logger);
        let mut levels = self.levels.lock().unwrap_or_else(PoisonError::into_inner);
        if !levels.contains_key(logger) {
            let known = LoggerLevel {
                level: inherited(&levels, logger),
                last_modified: None,
            };
            levels.insert(logger.to_owned(), known);
        }
        let mut changed = Vec::new();
        for (name, known) in levels.iter_mut() {
            // As log4j does: by the beginning of the name, whether or not a dot follows.
            let below = logger == ROOT || name.starts_with(logger);
            // What is off counts as a logger without a level.
            if below && (known.level != wanted || wanted == OFF) {
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

/// The root logger has its name in any case.
fn canonical(logger: &str) -> &str {
    if logger.eq_ignore_ascii_case(ROOT) {
        ROOT
    } else {
        logger
    }
}

/// The level of the nearest known logger above.
fn inherited(levels: &BTreeMap<String, LoggerLevel>, logger: &str) -> String {
    let mut name = logger;
    loop {
        name = name.rsplit_once('.').map_or(ROOT, |(above, _)| above);
        match levels.get(name) {
            Some(known) => return known.level.clone(),
            None if name == ROOT => return "INFO".to_owned(),
            None => {}
        }
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
    fn what_is_off_is_not_listed_and_can_be_put_off_again() {
        let (loggers, _) = loggers();
        for at in [7, 8] {
            assert_eq!(loggers.set("a.b", "OFF", at), Some(vec!["a.b".to_owned()]));
        }
        assert!(!loggers.all().contains_key("a.b"));
        assert_eq!(
            loggers.get("a.b").map(|known| known.level).as_deref(),
            Some("OFF")
        );
        assert_eq!(loggers.set("a.b", "ınfo", 9), Some(vec!["a.b".to_owned()]));
        assert_eq!(loggers.set("a.b", "INFO", 9), Some(Vec::new()));
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
            loggers.set("Root", "trace", 4).map(|changed| changed.len()),
            Some(3)
        );
    }

    #[test]
    fn a_new_logger_has_the_level_above_it_and_so_may_not_change() {
        let (loggers, _) = loggers();
        assert_eq!(loggers.set("a.b", "info", 1), Some(Vec::new()));
        assert_eq!(loggers.get("a.b").expect("known").last_modified, None);
        loggers.set("a", "debug", 2);
        assert_eq!(loggers.set("a.c", "DEBUG", 3), Some(Vec::new()));
        assert_eq!(loggers.set("a.c", "OFF", 4), Some(vec!["a.c".to_owned()]));
        assert_eq!(loggers.get("x"), None);
        assert_eq!(loggers.get("ROOT").expect("known").level, "INFO");
    }

    #[test]
    fn a_level_that_is_none_changes_nothing() {
        let (loggers, applied) = loggers();
        assert_eq!(loggers.set("a", "loud", 1), None);
        assert_eq!(loggers.all().len(), 1);
        assert_eq!(applied.lock().expect("no test panics with it").as_str(), "");
    }
}
