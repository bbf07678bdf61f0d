//! `errors.*`: what becomes of a record that a converter or transformation cannot handle.
//!
//! Retriable errors are tried again for a while, all others at once decided: the task fails, or the
//! record is reported and dropped. Answers for `RetryWithToleranceOperator`, `ToleranceType`,
//! `LogReporter`.

use std::time::{Duration, Instant};

use connect_api::context::StopSignal;
use connect_api::error::Chain;
use connect_api::{Error, Props, Result};

/// Where a record was when it failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// In a transformation or predicate.
    Transformation,
    /// In the converter of keys.
    KeyConverter,
    /// In the converter of values.
    ValueConverter,
    /// In the converter of headers.
    HeaderConverter,
    /// In the sink task, which reported it.
    TaskPut,
}

impl Stage {
    /// `VALUE_CONVERTER`, …
    pub fn name(self) -> &'static str {
        match self {
            Self::Transformation => "TRANSFORMATION",
            Self::KeyConverter => "KEY_CONVERTER",
            Self::ValueConverter => "VALUE_CONVERTER",
            Self::HeaderConverter => "HEADER_CONVERTER",
            Self::TaskPut => "TASK_PUT",
        }
    }
}

/// A record that failed.
#[derive(Debug)]
pub struct Failure {
    /// Where.
    pub stage: Stage,
    /// The Java class of the plugin that it failed in.
    pub class: &'static str,
    /// Why.
    pub error: Error,
}

/// A connector's `errors.*` options.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tolerance {
    /// How long retriable errors are tried again; `None` is forever.
    retry_limit: Option<Duration>,
    retry_delay_max: Duration,
    /// Whether bad records are dropped.
    all: bool,
    log: bool,
    log_messages: bool,
}

/// The first pause between two attempts; it doubles.
const FIRST_PAUSE: Duration = Duration::from_millis(300);

impl Tolerance {
    /// The options of a connector.
    ///
    /// # Errors
    /// One has a value that cannot be read.
    pub fn new(props: &Props) -> Result<Self> {
        let number = |key: &str, default: i64| match props.get(key) {
            None => Ok(default),
            Some(text) => text.trim().parse::<i64>().map_err(|_not_a_number| {
                Error::config(format!(
                    "Invalid value {text} for configuration {key}: Not a number of type LONG"
                ))
            }),
        };
        let flag = |key: &str| {
            props
                .get(key)
                .is_some_and(|text| text.trim().eq_ignore_ascii_case("true"))
        };
        let retry = number("errors.retry.timeout", 0)?;
        let delay = number("errors.retry.delay.max.ms", 60_000)?;
        Ok(Self {
            retry_limit: u64::try_from(retry).ok().map(Duration::from_millis),
            retry_delay_max: Duration::from_millis(u64::try_from(delay).unwrap_or(0)),
            all: props
                .get("errors.tolerance")
                .is_some_and(|text| text.trim() == "all"),
            log: flag("errors.log.enable"),
            log_messages: flag("errors.log.include.messages"),
        })
    }

    /// Whether bad records are dropped.
    pub fn drops(&self) -> bool {
        self.all
    }
    /// Whether bad records are logged.
    pub fn logs(&self) -> bool {
        self.log
    }
    /// Whether a failed attempt may be followed by another, so that what it takes must be kept.
    pub fn retries(&self) -> bool {
        self.retry_limit != Some(Duration::ZERO)
    }

    /// Tries again while the error is retriable and time is left.
    ///
    /// # Errors
    /// The last attempt's.
    pub fn attempt<T>(&self, stop: &StopSignal, mut work: impl FnMut() -> Result<T>) -> Result<T> {
        let mut result = work();
        if !self.retries() {
            return result;
        }
        let begin = Instant::now();
        let mut pause = FIRST_PAUSE;
        while let Err(error) = &result {
            let left = match self.retry_limit {
                None => Duration::MAX,
                Some(limit) => limit.saturating_sub(begin.elapsed()),
            };
            if !error.is_retriable() || left.is_zero() {
                break;
            }
            let share = f64::from(begin.elapsed().subsec_nanos() % 997) / 997.0;
            if stop.wait(self.wait(pause, share).min(left)) {
                break;
            }
            pause = pause.saturating_mul(2);
            result = work();
        }
        result
    }

    /// How long to wait where `pause` is due. Above the maximum it is a share of that, between 0 and 1,
    /// so that tasks do not move in step.
    fn wait(&self, pause: Duration, share: f64) -> Duration {
        match pause > self.retry_delay_max {
            true => self.retry_delay_max.mul_f64(share),
            false => pause,
        }
    }

    /// What becomes of a record that failed, once it was reported: it is dropped, or the task fails.
    ///
    /// # Errors
    /// Bad records are not tolerated.
    pub fn decide(&self, failure: Failure) -> Result<()> {
        if self.all {
            return Ok(());
        }
        Err(Error::fatal("Tolerance exceeded in error handler").with_source(failure.error))
    }

    /// Logs a failure where that is asked for; `place` says which record it was.
    pub fn log_failure(&self, task: &str, failure: &Failure, place: impl FnOnce() -> String) {
        if !self.log {
            return;
        }
        let (stage, class) = (failure.stage.name(), failure.class);
        let place = if self.log_messages {
            format!(", {}", place())
        } else {
            String::new()
        };
        tracing::error!(
            error = %Chain(&failure.error),
            "Error encountered in task {task}. Executing stage '{stage}' with class '{class}'{place}."
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tolerance(entries: &[(&str, &str)]) -> Tolerance {
        let props = entries
            .iter()
            .map(|&(k, v)| (k.to_owned(), v.to_owned()))
            .collect();
        Tolerance::new(&props).expect("valid")
    }

    #[test]
    fn by_default_nothing_is_tried_again_or_tolerated() {
        let tolerance = tolerance(&[]);
        let mut attempts = 0;
        let result = tolerance.attempt(&StopSignal::new(), || {
            attempts += 1;
            Err::<(), _>(Error::retriable("later"))
        });
        assert_eq!(attempts, 1);
        let error = result.expect_err("failed");
        let failure = Failure {
            stage: Stage::Transformation,
            class: "X",
            error,
        };
        assert_eq!(
            tolerance
                .decide(failure)
                .expect_err("not tolerated")
                .trace(),
            "org.apache.kafka.connect.errors.ConnectException: Tolerance exceeded in error handler\n\
             Caused by: org.apache.kafka.connect.errors.RetriableException: later\n"
        );
    }

    #[test]
    fn no_pause_is_above_its_maximum() {
        let tolerance = tolerance(&[("errors.retry.delay.max.ms", "500")]);
        let wait = |pause| {
            tolerance
                .wait(Duration::from_millis(pause), 0.5)
                .as_millis()
        };
        assert_eq!([wait(300), wait(500), wait(600)], [300, 500, 250]);
    }

    #[test]
    fn only_retriable_errors_are_tried_again() {
        let tolerance = tolerance(&[
            ("errors.retry.timeout", "-1"),
            ("errors.retry.delay.max.ms", "1"),
            ("errors.tolerance", "all"),
        ]);
        let mut attempts = 0;
        let result = tolerance.attempt(&StopSignal::new(), || {
            attempts += 1;
            match attempts {
                1 => Err(Error::retriable("later")),
                2 => Err(Error::data("bad")),
                _ => Ok(()),
            }
        });
        assert_eq!(attempts, 2);
        let failure = Failure {
            stage: Stage::ValueConverter,
            class: "X",
            error: result.expect_err("bad data"),
        };
        assert!(tolerance.decide(failure).is_ok());
    }
}
