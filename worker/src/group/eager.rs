//! Assignment by the eager protocol: everything is dealt anew in each round.
//!
//! Members and connectors sorted; first all connectors, then all tasks, dealt round and round with
//! one cursor. Pure. Answers for `EagerAssignor`.

use std::sync::Arc;

use super::{Round, Share, Work};
use crate::store::cluster_state::ClusterConfigState;

/// Deals all that is configured to the members.
pub fn assign<'a>(
    config: &ClusterConfigState,
    members: impl IntoIterator<Item = &'a str>,
) -> Round {
    let mut sorted: Vec<&str> = members.into_iter().collect();
    sorted.sort_unstable();
    let mut works = vec![Work::default(); sorted.len()];
    let mut cursor = (0..works.len()).cycle();
    for name in config.connectors() {
        if let Some(member) = cursor.next() {
            works[member].connectors.push(Arc::clone(name));
        }
    }
    for id in config.connectors().flat_map(|name| config.tasks(name)) {
        if let Some(member) = cursor.next() {
            works[member].tasks.push(id);
        }
    }
    let mut round = Round::default();
    for (member, work) in sorted.into_iter().zip(works) {
        let share = Share {
            assigned: work.clone(),
            revoked: Work::default(),
        };
        round.shares.insert(member.to_owned(), share);
        round.owned.insert(member.to_owned(), work);
    }
    round
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn connectors_come_first_and_tasks_go_on_where_they_ended() {
        let mut config = ClusterConfigState::default();
        for (offset, (key, value)) in [
            ("connector-b", r#"{"properties":{}}"#),
            ("connector-a", r#"{"properties":{}}"#),
            ("connector-c", r#"{"properties":{}}"#),
            ("task-a-0", r#"{"properties":{}}"#),
            ("task-a-1", r#"{"properties":{}}"#),
            ("commit-a", r#"{"tasks":2}"#),
        ]
        .into_iter()
        .enumerate()
        {
            let offset = i64::try_from(offset).unwrap_or(0);
            config.apply(offset, key.as_bytes(), Some(value.as_bytes()));
        }
        let round = assign(&config, ["m2", "m1"]);
        let of = |member: &str| {
            let work = &round.shares[member].assigned;
            let tasks = work.tasks.iter().map(ToString::to_string);
            let connectors = work.connectors.iter().map(ToString::to_string);
            connectors.chain(tasks).collect::<Vec<_>>()
        };
        assert_eq!(of("m1"), ["a", "c", "a-1"]);
        assert_eq!(of("m2"), ["b", "a-0"]);
    }
}
