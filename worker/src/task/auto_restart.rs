//! Failed tasks that start again by themselves (`errors.restart.policy`), off unless asked for.
//!
//! [`decide`] is a pure function of policy, cause and what was tried before; [`Restarts`] keeps the
//! history that `GET /connectors/C/restarts` shows. The status stays FAILED meanwhile, as the JVM
//! shows it. What Kafka Connect has not, operators build around it.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use connect_api::{Error, ErrorKind, Props, Result};

use crate::herder::request::TaskId;

/// How many restarts of a connector are remembered.
const HISTORY: usize = 100;

/// Why a task failed, as far as a restart is concerned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cause {
    /// The world was not ready.
    Retriable,
    /// The configuration is wrong: the same start fails the same way.
    Config,
    /// A record is bad: it would be read again.
    Data,
    /// Anything else.
    Other,
}

impl Cause {
    /// The cause of an error: that of the innermost error which says.
    pub fn of(error: &Error) -> Self {
        let mut kind = error.kind();
        let mut next = std::error::Error::source(error);
        while let Some(source) = next {
            if let Some(error) = source.downcast_ref::<Error>()
                && (error.kind() != ErrorKind::Fatal)
            {
                kind = error.kind();
            }
            next = source.source();
        }
        match kind {
            ErrorKind::Retriable | ErrorKind::Rebalancing | ErrorKind::Conflict => Self::Retriable,
            ErrorKind::Config | ErrorKind::NotFound => Self::Config,
            ErrorKind::Data => Self::Data,
            ErrorKind::Fatal => Self::Other,
        }
    }
    /// `retriable`, `config`, `data`, `other`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Retriable => "retriable",
            Self::Config => "config",
            Self::Data => "data",
            Self::Other => "other",
        }
    }
}

/// Which failures are followed by a restart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mode {
    None,
    OnRetriable,
    OnFailure,
}

/// A connector's `errors.restart.*`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Policy {
    mode: Mode,
    backoff: Duration,
    backoff_max: Duration,
    budget: usize,
    window: Duration,
}

impl Policy {
    /// The connector's settings, the worker's where it has none.
    ///
    /// # Errors
    /// A value cannot be read.
    pub fn of(connector: &Props, worker: &Props) -> Result<Self> {
        let text = |name: &str| {
            let key = format!("errors.restart.{name}");
            let value = connector.get(&key).or_else(|| worker.get(&key));
            value.map(|value| (key, value.trim().to_owned()))
        };
        let number = |name: &str, default: u64| match text(name) {
            None => Ok(default),
            Some((key, value)) => value.parse().map_err(|_not_a_number| {
                Error::config(format!(
                    "Invalid value {value} for configuration {key}: Not a number of type LONG"
                ))
            }),
        };
        let mode = match text("policy") {
            None => Mode::None,
            Some((key, value)) => match value.to_ascii_lowercase().as_str() {
                "none" | "" => Mode::None,
                "on-retriable" => Mode::OnRetriable,
                "on-failure" => Mode::OnFailure,
                _ => {
                    return Err(Error::config(format!(
                        "Invalid value {value} for configuration {key}: String must be one of: \
                         none, on-retriable, on-failure"
                    )));
                }
            },
        };
        Ok(Self {
            mode,
            backoff: Duration::from_millis(number("backoff.ms", 1_000)?),
            backoff_max: Duration::from_millis(number("backoff.max.ms", 60_000)?),
            budget: usize::try_from(number("max.attempts", 10)?).unwrap_or(usize::MAX),
            window: Duration::from_millis(number("window.ms", 3_600_000)?),
        })
    }
}

/// What becomes of a failed task.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decision {
    /// It stays FAILED: the policy does not cover the cause.
    Stay,
    /// It stays FAILED: it was restarted too often of late.
    Exhausted,
    /// It starts again after this pause.
    Restart(Duration),
}

/// Decides by the restarts within the window and a number from 0 to 1 that keeps tasks from moving
/// in step: the pause lies between half of its length and the whole.
pub fn decide(policy: &Policy, cause: Cause, restarts: usize, jitter: f64) -> Decision {
    let covered = match policy.mode {
        Mode::None => false,
        Mode::OnRetriable => cause == Cause::Retriable,
        // A wrong configuration does not get better by trying.
        Mode::OnFailure => cause != Cause::Config,
    };
    if !covered {
        return Decision::Stay;
    }
    if restarts >= policy.budget {
        return Decision::Exhausted;
    }
    let doubled = 2u32.saturating_pow(u32::try_from(restarts).unwrap_or(u32::MAX));
    let whole = policy
        .backoff
        .saturating_mul(doubled)
        .min(policy.backoff_max);
    Decision::Restart(whole.mul_f64(0.5 + jitter.clamp(0.0, 1.0) / 2.0))
}

/// A failure that the policy had to do with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Restart {
    /// The task.
    pub task: u32,
    /// When it failed, in milliseconds since the epoch.
    pub failed_at: i64,
    /// Why.
    pub cause: &'static str,
    /// The failure's first line.
    pub message: String,
    /// The restart's number within the window; 0 where there is none.
    pub attempt: usize,
    /// The pause before it, in milliseconds.
    pub pause_ms: u64,
    /// `scheduled`, `restarted`, `superseded`, `exhausted`.
    pub outcome: &'static str,
}

#[derive(Debug, Default)]
struct History {
    restarts: HashMap<String, Vec<Restart>>,
    /// When each task was restarted, as far back as its window goes.
    recent: HashMap<TaskId, Vec<Instant>>,
}

/// All connectors' histories, of this worker.
#[derive(Debug, Default)]
pub struct Restarts(Mutex<History>);

impl Restarts {
    fn lock(&self) -> MutexGuard<'_, History> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A connector's history, oldest first.
    pub fn of(&self, connector: &str) -> Vec<Restart> {
        self.lock()
            .restarts
            .get(connector)
            .cloned()
            .unwrap_or_default()
    }

    /// Decides about a task that failed now and notes it; answers the pause before its restart.
    pub fn failed(
        &self,
        id: &TaskId,
        policy: &Policy,
        error: &Error,
        failed_at: i64,
    ) -> Option<Duration> {
        let now = Instant::now();
        let mut history = self.lock();
        let recent = history.recent.entry(id.clone()).or_default();
        recent.retain(|at| now.saturating_duration_since(*at) < policy.window);
        let cause = Cause::of(error);
        let jitter = f64::from(u32::try_from(failed_at.rem_euclid(1000)).unwrap_or(0)) / 999.0;
        let (attempt, pause, outcome) = match decide(policy, cause, recent.len(), jitter) {
            Decision::Stay => return None,
            Decision::Exhausted => (0, None, "exhausted"),
            Decision::Restart(pause) => {
                recent.push(now);
                (recent.len(), Some(pause), "scheduled")
            }
        };
        let entries = history
            .restarts
            .entry(id.connector.to_string())
            .or_default();
        if entries.len() >= HISTORY {
            entries.remove(0);
        }
        entries.push(Restart {
            task: id.task,
            failed_at,
            cause: cause.name(),
            message: error.trace().lines().next().unwrap_or_default().to_owned(),
            attempt,
            pause_ms: pause.map_or(0, |pause| {
                u64::try_from(pause.as_millis()).unwrap_or(u64::MAX)
            }),
            outcome,
        });
        pause
    }

    /// What became of the restart that was scheduled last.
    pub fn ended(&self, id: &TaskId, outcome: &'static str) {
        let mut history = self.lock();
        let last = history
            .restarts
            .get_mut(&*id.connector)
            .and_then(|entries| {
                entries
                    .iter_mut()
                    .rev()
                    .find(|entry| entry.task == id.task && entry.outcome == "scheduled")
            });
        if let Some(last) = last {
            last.outcome = outcome;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn policy(entries: &[(&str, &str)]) -> Result<Policy> {
        let props = entries
            .iter()
            .map(|&(key, value)| (format!("errors.restart.{key}"), value.to_owned()))
            .collect();
        Policy::of(&props, &Props::new())
    }

    #[test]
    fn nothing_restarts_unless_it_is_asked_for() {
        let off = policy(&[]).expect("valid");
        assert_eq!(decide(&off, Cause::Retriable, 0, 0.0), Decision::Stay);
        assert!(policy(&[("policy", "always")]).is_err());
        assert!(policy(&[("backoff.ms", "soon")]).is_err());
        let worker: Props = [("errors.restart.policy".to_owned(), "on-failure".to_owned())].into();
        let of_worker = Policy::of(&Props::new(), &worker).expect("valid");
        assert_eq!(of_worker.mode, Mode::OnFailure);
    }

    #[test]
    fn each_policy_covers_its_causes() {
        let restarts = |mode: &str, cause| {
            let policy = policy(&[("policy", mode)]).expect("valid");
            matches!(decide(&policy, cause, 0, 0.0), Decision::Restart(_))
        };
        assert!(restarts("on-retriable", Cause::Retriable));
        assert!(!restarts("on-retriable", Cause::Other));
        assert!(restarts("on-failure", Cause::Other) && restarts("on-failure", Cause::Data));
        assert!(!restarts("on-failure", Cause::Config));
    }

    #[test]
    fn pauses_double_up_to_the_longest_and_the_budget_ends_them() {
        let policy = policy(&[
            ("policy", "on-failure"),
            ("backoff.ms", "100"),
            ("backoff.max.ms", "300"),
            ("max.attempts", "3"),
        ])
        .expect("valid");
        let pause = |restarts, jitter| decide(&policy, Cause::Other, restarts, jitter);
        let ms = |ms| Decision::Restart(Duration::from_millis(ms));
        assert_eq!(pause(0, 1.0), ms(100));
        assert_eq!(pause(0, 0.0), ms(50));
        assert_eq!(pause(1, 1.0), ms(200));
        assert_eq!(pause(2, 1.0), ms(300));
        assert_eq!(pause(3, 1.0), Decision::Exhausted);
    }

    #[test]
    fn the_innermost_error_that_says_is_the_cause() {
        let of = |inner: Error| Cause::of(&Error::fatal("outer").with_source(inner));
        assert_eq!(of(Error::retriable("later")), Cause::Retriable);
        assert_eq!(of(Error::data("bad")), Cause::Data);
        assert_eq!(of(Error::fatal("no")), Cause::Other);
        assert_eq!(Cause::of(&Error::config("wrong")), Cause::Config);
    }

    #[test]
    fn the_history_tells_what_was_done() {
        let restarts = Restarts::default();
        let policy = policy(&[("policy", "on-failure"), ("max.attempts", "1")]).expect("valid");
        let id = TaskId {
            connector: "c".into(),
            task: 0,
        };
        let error = Error::fatal("broken");
        assert!(restarts.failed(&id, &policy, &error, 5).is_some());
        restarts.ended(&id, "restarted");
        assert!(restarts.failed(&id, &policy, &error, 6).is_none());
        let outcomes: Vec<_> = restarts
            .of("c")
            .iter()
            .map(|entry| (entry.attempt, entry.outcome))
            .collect();
        assert_eq!(outcomes, [(1, "restarted"), (0, "exhausted")]);
        assert!(restarts.of("d").is_empty());
    }
}
