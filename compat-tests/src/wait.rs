//! Waiting for the world to reach a state, with a limit and a sentence for when it does not.

use crate::{Outcome, fail};
use std::time::{Duration, Instant};

/// Asks `probe` until it yields a value; `what` says what was waited for when `limit` has passed.
pub fn until<T>(
    what: &str,
    limit: Duration,
    mut probe: impl FnMut() -> Outcome<Option<T>>,
) -> Outcome<T> {
    let end = Instant::now() + limit;
    loop {
        let last = match probe() {
            Ok(Some(value)) => return Ok(value),
            Ok(None) => "not yet".to_owned(),
            Err(error) => error.to_string(),
        };
        if Instant::now() > end {
            return fail(format!("waited {} s for {what}: {last}", limit.as_secs()));
        }
        std::thread::sleep(Duration::from_millis(50));
    }
}
