//! When a topic partition's files are committed. Pure: reads no clock, writes nothing.
//!
//! ```text
//! record -> time due? -> schema changed? -> write -> flush.size reached?
//!             |              |                          |
//!             +--------------+-- commit all files ------+
//! ```
//!
//! A rotation always commits all open files of the topic partition, so that one offset covers
//! them. Answers for the rotation rules of `TopicPartitionWriter`.

use crate::partitioner::EncodedPartition;
use crate::partitioner::zone::Zone;

const DAY_MS: i64 = 86_400_000;

/// The rules, from the options.
#[derive(Clone, Debug)]
pub(crate) struct Rules {
    /// `flush.size`; 0 and less mean every record.
    pub(crate) flush_size: i64,
    /// `rotate.interval.ms`, where the partitioner goes by time and it is positive.
    pub(crate) interval_ms: Option<i64>,
    /// `rotate.file.on.partition.change`.
    pub(crate) on_partition_change: bool,
    /// `rotate.schedule.interval.ms` where positive, and its zone.
    pub(crate) schedule: Option<(i64, Zone)>,
    /// `rotate.idle.ms` where positive.
    pub(crate) idle_ms: Option<i64>,
    /// The folder whose comings and goings rotate nothing.
    pub(crate) tombstone: Option<EncodedPartition>,
}

/// What rotation remembers of a topic partition.
#[derive(Clone, Debug, Default)]
pub(crate) struct State {
    /// Records in all open files.
    pub(crate) record_count: i64,
    /// Time of the first record since the last commit.
    base: Option<i64>,
    /// Time of the last record seen.
    current: Option<i64>,
    /// Folder of the last record written; survives commits.
    partition: Option<EncodedPartition>,
    /// When the schedule commits next, by the wall clock.
    next_scheduled: Option<i64>,
    /// When the last record was written, by the wall clock.
    last_written: i64,
}

impl Rules {
    /// A record's time was read.
    pub(crate) fn observe(&self, state: &mut State, timestamp: Option<i64>) {
        state.current = timestamp;
        if state.base.is_none() {
            state.base = timestamp;
        }
    }

    /// Called before records are looked at: the schedule of an empty partition moves on.
    pub(crate) fn begin(&self, state: &mut State, now: i64) {
        if state.record_count == 0 && state.next_scheduled.is_none_or(|next| now >= next) {
            self.arm(state, now);
        }
    }

    /// Whether time asks for a commit before a record of `partition` is written.
    pub(crate) fn is_time_up(&self, state: &State, partition: &EncodedPartition) -> bool {
        state.record_count > 0 && self.is_interval_up(state, partition)
    }

    /// The same when no record follows.
    pub(crate) fn is_time_up_at_end(&self, state: &State) -> bool {
        state
            .partition
            .as_ref()
            .is_some_and(|partition| self.is_time_up(state, partition))
    }

    /// Whether the wall clock asks for a commit.
    pub(crate) fn is_clock_up(&self, state: &State, now: i64) -> bool {
        state.record_count > 0
            && ((self.schedule.is_some() && state.next_scheduled.is_some_and(|next| now >= next))
                || self
                    .idle_ms
                    .is_some_and(|idle| now - state.last_written >= idle))
    }

    /// Whether the wall clock may ask for commits.
    pub(crate) fn goes_by_clock(&self) -> bool {
        self.schedule.is_some() || self.idle_ms.is_some()
    }

    fn is_interval_up(&self, state: &State, partition: &EncodedPartition) -> bool {
        let Some(interval) = self.interval_ms else {
            return false;
        };
        if let (Some(current), Some(base)) = (state.current, state.base)
            && current - base >= interval
        {
            return true;
        }
        let is_tombstone = |one: &EncodedPartition| self.tombstone.as_ref() == Some(one);
        self.on_partition_change
            && state.partition.as_ref().is_some_and(|last| {
                // Mostly the same allocation.
                !std::sync::Arc::ptr_eq(last, partition)
                    && last != partition
                    && !is_tombstone(last)
                    && !is_tombstone(partition)
            })
    }

    /// A record was written; answers whether `flush.size` is reached.
    pub(crate) fn written(
        &self,
        state: &mut State,
        partition: &EncodedPartition,
        now: i64,
    ) -> bool {
        state.record_count += 1;
        state.last_written = now;
        match &mut state.partition {
            Some(last) if std::sync::Arc::ptr_eq(last, partition) => {}
            last => *last = Some(EncodedPartition::clone(partition)),
        }
        state.record_count >= self.flush_size
    }

    /// All files were committed.
    pub(crate) fn committed(&self, state: &mut State) {
        state.record_count = 0;
        state.base = None;
    }

    /// Sets the next scheduled commit: the next multiple of the interval since local midnight, or
    /// the next midnight where that comes first.
    pub(crate) fn arm(&self, state: &mut State, now: i64) {
        let Some((period, zone)) = self.schedule else {
            return;
        };
        let local = zone.to_local(now);
        let midnight = zone.to_utc(local.div_euclid(DAY_MS) * DAY_MS);
        let tomorrow = zone.to_utc((local.div_euclid(DAY_MS) + 1) * DAY_MS);
        let next = ((now - midnight) / period + 1).saturating_mul(period);
        state.next_scheduled = Some(midnight + next.min(tomorrow - midnight));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rules() -> Rules {
        Rules {
            flush_size: 100,
            interval_ms: Some(60_000),
            on_partition_change: true,
            schedule: None,
            idle_ms: None,
            tombstone: None,
        }
    }

    /// Feeds (folder, time) pairs; answers where files were committed.
    fn boundaries(rules: &Rules, records: &[(&str, i64)]) -> Vec<usize> {
        let (mut state, mut found) = (State::default(), Vec::new());
        for (index, (folder, timestamp)) in records.iter().enumerate() {
            let folder: EncodedPartition = (*folder).into();
            rules.observe(&mut state, Some(*timestamp));
            if rules.is_time_up(&state, &folder) {
                rules.committed(&mut state);
                rules.observe(&mut state, Some(*timestamp));
                found.push(index);
            }
            if rules.written(&mut state, &folder, 0) {
                rules.committed(&mut state);
                found.push(index + 1);
            }
        }
        found
    }

    #[test]
    fn the_first_records_time_is_the_base_and_late_records_do_not_rotate() {
        let records = [
            ("a", 100_000),
            ("a", 159_999),
            ("a", 0),
            ("a", 160_000),
            ("a", 161_000),
        ];
        assert_eq!(boundaries(&rules(), &records), [3]);
    }

    #[test]
    fn another_folder_rotates_only_with_an_interval() {
        let records = [("a", 0), ("b", 1), ("a", 2)];
        assert_eq!(boundaries(&rules(), &records), [1, 2]);
        assert_eq!(
            boundaries(
                &Rules {
                    interval_ms: None,
                    ..rules()
                },
                &records
            ),
            [] as [usize; 0]
        );
        let off = Rules {
            on_partition_change: false,
            ..rules()
        };
        assert_eq!(boundaries(&off, &records), [] as [usize; 0]);
    }

    #[test]
    fn flush_size_counts_all_folders_together() {
        let three = Rules {
            flush_size: 3,
            interval_ms: None,
            ..rules()
        };
        let records = [("a", 0), ("b", 0), ("c", 0), ("a", 0)];
        assert_eq!(boundaries(&three, &records), [3]);
        let zero = Rules {
            flush_size: 0,
            interval_ms: None,
            ..rules()
        };
        assert_eq!(boundaries(&zero, &records), [1, 2, 3, 4]);
    }

    #[test]
    fn the_schedule_runs_from_local_midnight_and_ends_with_the_day() {
        let zone = Zone::parse("Europe/Berlin").expect("known");
        let scheduled = Rules {
            schedule: Some((7 * 3_600_000, zone)),
            ..rules()
        };
        let mut state = State::default();
        // 2024-01-15T10:30Z is 11:30 there: 14:00 local is next, 13:00Z.
        scheduled.begin(&mut state, 1_705_314_600_000);
        assert_eq!(
            state.next_scheduled,
            Some(1_705_314_600_000 + 2 * 3_600_000 + 1_800_000)
        );
        // 22:30 local: 28:00 would be next, but the day ends first.
        scheduled.arm(&mut state, 1_705_314_600_000 + 11 * 3_600_000);
        assert_eq!(
            state.next_scheduled,
            Some(1_705_314_600_000 + 12 * 3_600_000 + 1_800_000)
        );
    }
}
