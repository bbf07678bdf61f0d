//! How a table's reading gets on, for the log.

use std::time::{Duration, Instant};

/// How often the log tells of it (Debezium's `LOG_INTERVAL`).
const INTERVAL: Duration = Duration::from_secs(10);

/// The pace of one table.
#[derive(Debug)]
pub(super) struct Pace {
    began: Instant,
    next: Instant,
    estimate: Option<u64>,
}

impl Pace {
    /// From now on; `estimate` is about how many rows there are.
    pub(super) fn new(estimate: Option<u64>) -> Self {
        let began = Instant::now();
        Self {
            began,
            next: began + INTERVAL,
            estimate,
        }
    }

    pub(super) fn elapsed(&self) -> Duration {
        self.began.elapsed()
    }

    /// What to tell of these many rows, if it is time to.
    pub(super) fn line(&mut self, rows: u64) -> Option<String> {
        let now = Instant::now();
        if now < self.next {
            return None;
        }
        self.next = now + INTERVAL;
        Some(line(rows, self.estimate, now - self.began))
    }
}

fn line(rows: u64, estimate: Option<u64>, elapsed: Duration) -> String {
    let seconds = elapsed.as_secs().max(1);
    let rate = rows / seconds;
    let after = duration_text(elapsed);
    match estimate.filter(|all| *all >= rows) {
        Some(all) => {
            let left = (all - rows) / rate.max(1);
            format!(
                "Exported {rows} of about {all} records after {after}, {rate} a second, about {} \
                 left,",
                duration_text(Duration::from_secs(left))
            )
        }
        None => format!("Exported {rows} records after {after}, {rate} a second,"),
    }
}

/// As Debezium shows a duration: `00:00:01.234`.
pub(super) fn duration_text(elapsed: Duration) -> String {
    let seconds = elapsed.as_secs();
    format!(
        "{:02}:{:02}:{:02}.{}",
        seconds / 3600,
        seconds / 60 % 60,
        seconds % 60,
        elapsed.subsec_millis()
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_log_tells_rate_and_rest() {
        let ten = Duration::from_secs(10);
        assert_eq!(
            line(1000, Some(4000), ten),
            "Exported 1000 of about 4000 records after 00:00:10.0, 100 a second, about \
             00:00:30.0 left,"
        );
        // An estimate that was passed says nothing.
        for estimate in [None, Some(999)] {
            assert_eq!(
                line(1000, estimate, ten),
                "Exported 1000 records after 00:00:10.0, 100 a second,"
            );
        }
    }
}
