//! Whether to take a snapshot and from where to stream: functions of configuration, stored offset
//! and slot.

use crate::config::{
    ConfigurationBased, LsnFlushMode, OffsetMismatchStrategy, PostgresConfig, SnapshotMode,
};
use crate::error::PgError;
use crate::offset::Offset;
use crate::protocol::Lsn;
use crate::protocol::slot::SlotState;

/// What a start leads to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Decision {
    /// Take a snapshot first.
    pub snapshot: bool,
    /// Forget the stored offset: the log no longer reaches back to it.
    pub forget_offset: bool,
}

/// Whether the connector streams at all.
#[must_use]
pub fn streams(config: &PostgresConfig) -> bool {
    match config.snapshot_mode {
        SnapshotMode::InitialOnly => false,
        SnapshotMode::ConfigurationBased => config.snapshot_configuration_based.start_stream,
        _ => true,
    }
}

/// Why the server does not send all that follows the stored offset; none where it does.
///
/// Beyond Debezium, which looks only at where the slot's log begins: a slot that was confirmed
/// beyond the offset, and a server whose log ends before it. `offset.mismatch.strategy` decides
/// about these where it is set, as does an `lsn.flush.mode` that has others confirm the slot.
#[must_use]
pub fn lost_log(
    config: &PostgresConfig,
    offset: Option<&Offset>,
    slot: Option<&SlotState>,
    written: Option<Lsn>,
) -> Option<String> {
    let trusted = matches!(
        config.offset_mismatch_strategy,
        OffsetMismatchStrategy::TrustSlot | OffsetMismatchStrategy::TrustGreaterLsn
    );
    if !streams(config) || !config.log_position_check || trusted {
        return None;
    }
    let offset = offset.filter(|offset| !offset.snapshot_in_progress())?;
    let lsn = Lsn(offset.lsn_proc.or(offset.lsn)?);
    let name = &config.slot_name;
    let Some(slot) = slot else {
        return Some(format!(
            "The replication slot '{name}' does not exist: what was committed after LSN{{{lsn}}} \
             may be lost."
        ));
    };
    if slot.lost {
        return Some(format!(
            "The server has removed the log that the replication slot '{name}' was to keep: missing \
             is what was committed after LSN{{{lsn}}}. Drop the slot; raise max_slot_wal_keep_size."
        ));
    }
    if let Some(restart) = slot.restart_lsn.filter(|restart| *restart > lsn) {
        return Some(format!(
            "Missing is the log from LSN{{{lsn}}} to LSN{{{restart}}}, where the replication slot \
             '{name}' begins."
        ));
    }
    if config.offset_mismatch_strategy_is_set || config.lsn_flush_mode != LsnFlushMode::Connector {
        return None;
    }
    let stored = furthest(offset)?;
    if let Some(confirmed) = slot
        .confirmed_flush_lsn
        .filter(|confirmed| *confirmed > stored)
    {
        return Some(format!(
            "Missing is what was committed from LSN{{{stored}}} to LSN{{{confirmed}}}, up to where \
             the replication slot '{name}' was confirmed by someone else. To go on without it set \
             offset.mismatch.strategy=trust_slot."
        ));
    }
    let end = written.filter(|end| *end < lsn)?;
    Some(format!(
        "Missing is the log from LSN{{{end}}}, where the server's ends, to LSN{{{lsn}}}: it is \
         another server than the offset is of, or was set back."
    ))
}

/// Up to where an offset has counted.
#[must_use]
pub fn furthest(offset: &Offset) -> Option<Lsn> {
    let lsn = offset.lsn_proc.or(offset.lsn)?;
    Some(Lsn(offset.lsn_commit.map_or(lsn, |commit| commit.max(lsn))))
}

/// What to do, by `snapshot.mode` and the stored offset.
///
/// # Errors
/// The mode forbids what the offset asks for.
pub fn decide(
    mode: SnapshotMode,
    based: ConfigurationBased,
    offset: Option<&Offset>,
    lost: Option<&str>,
) -> Result<Decision, PgError> {
    let (takes_data, every_start, fills_gap) = match mode {
        SnapshotMode::NoData => (false, false, false),
        SnapshotMode::Always => (true, true, false),
        SnapshotMode::WhenNeeded => (true, false, true),
        SnapshotMode::ConfigurationBased => (
            based.snapshot_data,
            based.snapshot_data,
            based.snapshot_on_data_error,
        ),
        SnapshotMode::Initial | SnapshotMode::InitialOnly | SnapshotMode::Custom => {
            (true, false, false)
        }
    };
    let Some(offset) = offset else {
        return Ok(Decision {
            snapshot: takes_data,
            forget_offset: false,
        });
    };
    if offset.snapshot_in_progress() {
        if !takes_data {
            return Err(PgError::Fatal(
                "The connector previously stopped while taking a snapshot, but now the connector \
                 is configured to never allow snapshots. Reconfigure the connector to use \
                 snapshots initially or when needed."
                    .to_owned(),
            ));
        }
        return Ok(Decision {
            snapshot: true,
            forget_offset: false,
        });
    }
    let Some(lost) = lost else {
        return Ok(Decision {
            snapshot: every_start,
            forget_offset: false,
        });
    };
    tracing::warn!("Last recorded offset is no longer available on the server.");
    if fills_gap {
        tracing::info!(
            "The last recorded offset is no longer available but we are in when_needed snapshot \
             mode. Attempting to snapshot data to fill the gap."
        );
        return Ok(Decision {
            snapshot: true,
            forget_offset: true,
        });
    }
    Err(PgError::Fatal(format!(
        "The connector is trying to read change stream starting at PostgresOffsetContext \
         [{offset}], but this is no longer available on the server. Reconfigure the connector to \
         use a snapshot mode when needed. {lost}"
    )))
}

/// Whether an interrupted snapshot goes on where it stood (`snapshot.resume`): the slot must still
/// hold all that was committed since it began.
#[must_use]
pub fn resumes(config: &PostgresConfig, offset: &Offset, slot: Option<&SlotState>) -> bool {
    if !config.snapshot_resume || offset.snapshot_progress.is_none() {
        return false;
    }
    let confirmed = slot.and_then(|slot| slot.confirmed_flush_lsn);
    let holds = confirmed.is_some_and(|confirmed| offset.lsn.is_some_and(|lsn| confirmed.0 <= lsn));
    let resumes = holds || !streams(config);
    if !resumes {
        tracing::warn!(
            "The interrupted snapshot begins anew: the replication slot '{}' does not reach back \
             to where it began",
            config.slot_name
        );
    }
    resumes
}

/// Where to start the stream, and whether the slot has to be moved there first.
#[must_use]
pub fn start_position(
    strategy: OffsetMismatchStrategy,
    offset: &Offset,
    confirmed: Option<Lsn>,
    default_start: Lsn,
) -> (Lsn, Option<Lsn>) {
    let Some(stored) = offset.lsn_proc.or(offset.lsn).map(Lsn) else {
        return (default_start, None);
    };
    let Some(confirmed) = confirmed else {
        return (stored, None);
    };
    let slot_ahead = stored < confirmed;
    match strategy {
        OffsetMismatchStrategy::TrustSlot | OffsetMismatchStrategy::TrustGreaterLsn
            if slot_ahead =>
        {
            (default_start, None)
        }
        OffsetMismatchStrategy::TrustOffset | OffsetMismatchStrategy::TrustGreaterLsn
            if stored > confirmed =>
        {
            (stored, Some(offset.lsn_commit.map_or(stored, Lsn)))
        }
        _ => (stored, None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::table::tests::config;

    fn streamed(lsn: u64) -> Offset {
        Offset {
            lsn: Some(lsn),
            lsn_proc: Some(lsn),
            ..Offset::default()
        }
    }

    #[test]
    fn a_mode_of_ones_own_is_put_together_from_its_options() {
        let offset = streamed(5);
        let decided = |option: &str, offset, lost| {
            let option = format!("snapshot.mode.configuration.based.{option}");
            let mode = ("snapshot.mode", "configuration_based");
            let config = config(&[mode, (&option, "true")]);
            let based = config.snapshot_configuration_based;
            decide(config.snapshot_mode, based, offset, lost)
        };
        assert!(decided("snapshot.data", None, None).unwrap().snapshot);
        assert!(!decided("start.stream", None, None).unwrap().snapshot);
        let gone = Some("gone");
        assert!(decided("start.stream", Some(&offset), gone).is_err());
        let filled = decided("snapshot.on.data.error", Some(&offset), gone).unwrap();
        assert!(filled.snapshot && filled.forget_offset);
    }

    #[test]
    fn initial_takes_one_snapshot_and_always_one_each_start() {
        let offset = streamed(5);
        let based = ConfigurationBased::default();
        let snapshot = |mode, offset| decide(mode, based, offset, None).unwrap().snapshot;
        assert!(snapshot(SnapshotMode::Initial, None));
        assert!(!snapshot(SnapshotMode::Initial, Some(&offset)));
        assert!(snapshot(SnapshotMode::Always, Some(&offset)));
        assert!(!snapshot(SnapshotMode::NoData, None));
    }

    #[test]
    fn an_unfinished_snapshot_is_taken_again_or_refused() {
        let offset = Offset::for_snapshot(5, 1);
        let based = ConfigurationBased::default();
        assert!(
            decide(SnapshotMode::Initial, based, Some(&offset), None)
                .unwrap()
                .snapshot
        );
        let error = decide(SnapshotMode::NoData, based, Some(&offset), None).unwrap_err();
        assert!(
            error
                .to_string()
                .starts_with("The connector previously stopped"),
            "{error}"
        );
    }

    #[test]
    fn a_lost_log_stops_the_task_unless_the_mode_may_fill_the_gap() {
        let offset = streamed(5);
        let based = ConfigurationBased::default();
        let gone = Some("gone");
        let decision = decide(SnapshotMode::WhenNeeded, based, Some(&offset), gone).unwrap();
        assert_eq!(
            decision,
            Decision {
                snapshot: true,
                forget_offset: true
            }
        );
        let error = decide(SnapshotMode::Initial, based, Some(&offset), gone).unwrap_err();
        assert!(!error.is_retriable());
        assert!(error.to_string().ends_with("gone"), "{error}");
    }

    #[test]
    fn a_hole_between_offset_and_slot_is_named() {
        let slot = SlotState {
            active: false,
            restart_lsn: Some(Lsn(80)),
            confirmed_flush_lsn: Some(Lsn(100)),
            catalog_xmin: None,
            lost: false,
        };
        let end = Some(Lsn(200));
        let lost = |config: &PostgresConfig, lsn, slot| {
            lost_log(config, Some(&streamed(lsn)), slot, end).unwrap_or_default()
        };
        let plain = config(&[]);
        assert_eq!(lost(&plain, 100, Some(&slot)), "");
        assert_eq!(lost(&plain, 150, Some(&slot)), "");
        assert!(lost(&plain, 150, None).contains("does not exist"));
        let removed = SlotState { lost: true, ..slot };
        assert!(lost(&plain, 150, Some(&removed)).contains("after LSN{0/96}"));
        assert!(lost(&plain, 50, Some(&slot)).contains("from LSN{0/32} to LSN{0/50}"));
        assert!(lost(&plain, 90, Some(&slot)).contains("from LSN{0/5A} to LSN{0/64}"));
        assert!(lost(&plain, 201, Some(&slot)).contains("from LSN{0/C8}"));
        // The last commit may lie behind the last row.
        let mut committed = streamed(90);
        committed.lsn_commit = Some(100);
        assert_eq!(lost_log(&plain, Some(&committed), Some(&slot), end), None);
        // Whoever says how to go on is asked no more.
        let decided = config(&[("offset.mismatch.strategy", "no_validation")]);
        assert_eq!(lost(&decided, 90, Some(&slot)), "");
        let manual = config(&[("lsn.flush.mode", "manual")]);
        assert_eq!(lost(&manual, 90, Some(&slot)), "");
        assert!(lost(&manual, 50, Some(&slot)).contains("begins"));
        let unasked = config(&[("internal.log.position.check.enable", "false")]);
        assert_eq!(lost(&unasked, 50, None), "");
        let trusting = config(&[("offset.mismatch.strategy", "trust_slot")]);
        assert_eq!(lost(&trusting, 50, None), "");
    }

    #[test]
    fn the_strategy_decides_where_slot_and_offset_differ() {
        let (slot, default) = (Some(Lsn(100)), Lsn(100));
        let start = |strategy, lsn| start_position(strategy, &streamed(lsn), slot, default);
        assert_eq!(
            start(OffsetMismatchStrategy::NoValidation, 50),
            (Lsn(50), None)
        );
        assert_eq!(
            start(OffsetMismatchStrategy::TrustSlot, 50),
            (Lsn(100), None)
        );
        assert_eq!(
            start(OffsetMismatchStrategy::TrustOffset, 150),
            (Lsn(150), Some(Lsn(150)))
        );
        let none = start_position(
            OffsetMismatchStrategy::NoValidation,
            &Offset::default(),
            slot,
            default,
        );
        assert_eq!(none, (Lsn(100), None));
    }
}
