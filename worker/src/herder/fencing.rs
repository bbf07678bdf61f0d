//! Shutting out the producers of a connector's earlier tasks before new ones start.
//!
//! [`round`] decides, [`perform`] does it or has the group's leader do it. Answers for
//! `DistributedHerder.ZombieFencing` and `Worker.fenceZombies` (KIP-618).

use std::time::Duration;

use connect_api::{Error, Result};

use super::Stores;
use super::request::{Parts, TaskId};
use crate::kafka::transaction;
use crate::store::cluster_state::ClusterConfigState;
use crate::store::config::ConfigWrite;
use crate::task::clients;

/// The JVM's limit for a round.
const LIMIT: Duration = Duration::from_secs(90);

/// What has to happen before tasks of a connector may write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Round {
    /// Nothing: it has happened since the tasks' configurations were written.
    Done,
    /// How many tasks there are is noted; earlier ones cannot be in the way.
    Note(u32),
    /// The producers of so many earlier tasks are shut out, then the number of tasks is noted.
    Fence {
        /// How many there were.
        earlier: u32,
        /// How many there are.
        now: u32,
    },
}

/// What has to happen for a connector.
pub fn round(state: &ClusterConfigState, connector: &str) -> Round {
    let now = state.task_count(connector);
    match (
        state.pending_fencing(connector),
        state.task_count_record(connector),
    ) {
        (false, _) => Round::Done,
        // A single task's producer shuts its predecessor out by itself.
        (true, None) => Round::Note(now),
        (true, Some(1)) if now == 1 => Round::Note(now),
        (true, Some(earlier)) => Round::Fence { earlier, now },
    }
}

/// Performs the round of a connector, or has the group's leader do it.
///
/// # Errors
/// See [`perform_here`]; or the leader cannot be asked.
pub fn perform(parts: &Parts, stores: &Stores, connector: &str) -> Result<()> {
    let asked = stores
        .fence_at_leader
        .get()
        .and_then(|fence| (fence.0)(connector));
    asked.unwrap_or_else(|| perform_here(parts, stores, connector))
}

/// Performs the round of a connector. Several tasks that start together wait for one round.
///
/// # Errors
/// Producers could not be shut out, or new task configurations came meanwhile.
pub fn perform_here(parts: &Parts, stores: &Stores, connector: &str) -> Result<()> {
    let _one_at_a_time = stores
        .fencing
        .lock()
        .unwrap_or_else(std::sync::PoisonError::into_inner);
    let failed =
        |error: Error| Error::fatal("Failed to perform round of zombie fencing").with_source(error);
    let state = stores.config.state();
    let now = match round(&state, connector) {
        Round::Done => return Ok(()),
        Round::Note(now) => now,
        Round::Fence { earlier, now } => {
            tracing::info!(connector, tasks = earlier, "Performing zombie fencing");
            fence_producers(parts, &state, connector, earlier).map_err(failed)?;
            now
        }
    };
    if stores.config.state().task_generation(connector) != state.task_generation(connector) {
        return Err(failed(Error::fatal(
            "Fencing failed because new task configurations were generated for the connector",
        )));
    }
    stores
        .config
        .write(&[ConfigWrite::TaskCount(connector.into(), now)])
        .map_err(failed)
}

/// Shuts out the producers of so many tasks of a connector.
///
/// # Errors
/// The connector is unknown, or Kafka refuses.
pub fn fence_producers(
    parts: &Parts,
    state: &ClusterConfigState,
    connector: &str,
    tasks: u32,
) -> Result<()> {
    let raw = state
        .config(connector)
        .ok_or_else(|| Error::fatal(format!("Connector {connector} not found")))?;
    let props = parts.resolver.resolve(raw)?.props;
    let config = clients::fencing(&parts.config, connector, &props)?;
    let ids: Vec<String> = (0..tasks)
        .map(|task| {
            clients::transactional_id(
                &parts.config,
                &TaskId {
                    connector: connector.into(),
                    task,
                },
            )
        })
        .collect();
    transaction::fence(&config, &ids, LIMIT)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn state(records: &[(&str, &str)]) -> ClusterConfigState {
        let mut state = ClusterConfigState::default();
        let config = r#"{"properties":{"name":"a"}}"#;
        state.apply(0, b"connector-a", Some(config.as_bytes()));
        for (offset, (key, value)) in (1..).zip(records) {
            state.apply(offset, key.as_bytes(), Some(value.as_bytes()));
        }
        state
    }
    const TASK: &str = r#"{"properties":{}}"#;

    #[test]
    fn the_first_tasks_of_a_connector_are_only_noted() {
        let state = state(&[("task-a-0", TASK), ("commit-a", r#"{"tasks":1}"#)]);
        assert_eq!(round(&state, "a"), Round::Note(1));
    }

    #[test]
    fn a_round_that_is_noted_is_done_until_the_next_commit() {
        let mut records = vec![
            ("task-a-0", TASK),
            ("commit-a", r#"{"tasks":1}"#),
            ("tasks-fencing-a", r#"{"task-count":1}"#),
        ];
        assert_eq!(round(&state(&records), "a"), Round::Done);
        records.push(("task-a-0", TASK));
        records.push(("commit-a", r#"{"tasks":1}"#));
        assert_eq!(round(&state(&records), "a"), Round::Note(1));
        records.push(("task-a-0", TASK));
        records.push(("task-a-1", TASK));
        records.push(("commit-a", r#"{"tasks":2}"#));
        let fence = Round::Fence { earlier: 1, now: 2 };
        assert_eq!(round(&state(&records), "a"), fence);
    }
}
