//! Incremental cooperative assignment: what a leader hands out so that as little as possible moves.
//!
//! What a member has it keeps, until the balance asks for it: then it is revoked in one round and
//! given to another in the next. What a member had that left is held back for a while, in case it
//! returns. The order in which Java's maps iterate decides what moves, so it is Java's here, too.
//! Pure: the time is handed in. Answers for `IncrementalCooperativeAssignor` and KIP-415.
//!
//! Differs from Kafka: what a worker gave up before it left ([`Input::handed_over`]) is not held
//! back.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::Arc;

use connect_api::java::HashMap as JavaHashMap;

use super::{Round, Share, Work};
use crate::herder::request::TaskId;
use crate::store::cluster_state::ClusterConfigState;

/// By this factor the delay between rounds of revocation grows, from one millisecond.
const BACKOFF_FACTOR: f64 = 40.0;

#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct WorkSet {
    connectors: BTreeSet<Arc<str>>,
    tasks: BTreeSet<TaskId>,
}

impl WorkSet {
    fn is_empty(&self) -> bool {
        self.connectors.is_empty() && self.tasks.is_empty()
    }
    fn add(&mut self, work: &Work) {
        self.connectors.extend(work.connectors.iter().cloned());
        self.tasks.extend(work.tasks.iter().cloned());
    }
    fn minus(mut self, other: &Self) -> Self {
        self.connectors
            .retain(|name| !other.connectors.contains(name));
        self.tasks.retain(|id| !other.tasks.contains(id));
        self
    }
    fn meets(&self, other: &Self) -> bool {
        !self.connectors.is_disjoint(&other.connectors) || !self.tasks.is_disjoint(&other.tasks)
    }
    /// What of a member's work is in this set.
    fn of(&self, work: &Work) -> Work {
        let mut found = work.clone();
        found
            .connectors
            .retain(|name| self.connectors.contains(name));
        found.tasks.retain(|id| self.tasks.contains(id));
        found
    }
    /// A member's work without what is in this set.
    fn without(&self, work: &Work) -> Work {
        let mut left = work.clone();
        left.connectors
            .retain(|name| !self.connectors.contains(name));
        left.tasks.retain(|id| !self.tasks.contains(id));
        left
    }
}

/// What a round of assignment is made from.
#[derive(Clone, Copy)]
pub struct Input<'a> {
    /// Milliseconds of a clock.
    pub now_ms: i64,
    /// The generation that the leader was last given an assignment in; -1 for none.
    pub last_completed_generation: i32,
    /// The generation of this round.
    pub generation: i32,
    /// What is configured.
    pub config: &'a ClusterConfigState,
    /// Each member with what it says it has, in the order of the coordinator's answer.
    pub members: &'a [(String, Work)],
    /// Whether all of this was given up by a worker that announced its leaving.
    pub handed_over: &'a dyn Fn(&Work) -> bool,
}

impl std::fmt::Debug for Input<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Input")
            .field("generation", &self.generation)
            .field("members", &self.members)
            .finish_non_exhaustive()
    }
}

/// What a leader remembers from round to round. A leader that is new remembers nothing.
#[derive(Clone, Debug)]
pub struct Assignor {
    max_delay_ms: i32,
    previous: WorkSet,
    previous_revocation: WorkSet,
    previous_generation: i32,
    previous_members: HashSet<String>,
    /// Members that were empty while something was held back.
    candidates: Vec<String>,
    /// When what is held back is handed out; 0 for never.
    scheduled_ms: i64,
    delay_ms: i32,
    revoked_in_previous: bool,
    successive_revocations: u32,
}

/// A member and what it shall have.
#[derive(Clone, Debug)]
struct Load {
    member: String,
    work: Work,
}

impl Assignor {
    /// One that has seen no round.
    pub fn new(max_delay_ms: i32) -> Self {
        Self {
            max_delay_ms,
            previous: WorkSet::default(),
            previous_revocation: WorkSet::default(),
            previous_generation: -1,
            previous_members: HashSet::new(),
            candidates: Vec::new(),
            scheduled_ms: 0,
            delay_ms: 0,
            revoked_in_previous: false,
            successive_revocations: 0,
        }
    }

    /// Hands out a round.
    pub fn assign(&mut self, input: &Input<'_>) -> Round {
        if self.previous_generation != input.last_completed_generation {
            tracing::debug!("forgetting the assignments of a round that was not completed");
            self.previous = WorkSet::default();
        }
        let mut members = JavaHashMap::new();
        for (member, work) in input.members {
            members.insert(member.clone(), work.clone());
        }
        let members: Vec<Load> = members
            .iter()
            .map(|(member, work)| Load {
                member: member.clone(),
                work: work.clone(),
            })
            .collect();
        let mut configured = WorkSet::default();
        for name in input.config.connectors() {
            configured.connectors.insert(Arc::clone(name));
            configured.tasks.extend(input.config.tasks(name));
        }
        let (active, duplicated) = active_and_duplicated(&members);
        // A revocation that had no effect: begin again from what there is.
        if self.previous_revocation.meets(&active) {
            self.previous = active.clone();
        }
        self.previous_revocation = WorkSet::default();

        let deleted = self.previous.clone().minus(&configured);
        let lost = self.previous.clone().minus(&active).minus(&deleted);
        let created = configured.clone().minus(&self.previous).minus(&active);

        let mut unwanted = deleted.clone();
        unwanted.connectors.extend(duplicated.connectors);
        unwanted.tasks.extend(duplicated.tasks);
        let mut revoked: HashMap<String, Work> = members
            .iter()
            .map(|load| (load.member.clone(), unwanted.of(&load.work)))
            .collect();
        let mut next: Vec<Load> = members
            .iter()
            .map(|load| Load {
                member: load.member.clone(),
                work: unwanted.without(&load.work),
            })
            .collect();

        let mut to_assign = as_work(&created);
        self.handle_lost(input, &lost, &mut to_assign, &mut next);
        if self.delay_ms == 0 {
            self.balance(input.now_ms, &configured, &mut next, &mut revoked);
        } else {
            self.revoked_in_previous = false;
        }
        deal(&mut next, to_assign);

        let mut round = Round {
            delay_ms: self.delay_ms,
            ..Round::default()
        };
        let mut previous = WorkSet::default();
        for load in next {
            let before = members
                .iter()
                .find(|known| known.member == load.member)
                .map(|known| deleted.without(&known.work))
                .unwrap_or_default();
            let mut assigned = load.work.clone();
            assigned.remove_all(&before);
            previous.add(&load.work);
            let revoked = revoked.remove(&load.member).unwrap_or_default();
            let mut owned = load.work;
            owned.remove_all(&revoked);
            self.previous_revocation.add(&revoked);
            let share = Share { assigned, revoked };
            round.shares.insert(load.member.clone(), share);
            round.owned.insert(load.member, owned);
        }
        previous = previous.minus(&self.previous_revocation);
        previous.connectors.extend(lost.connectors);
        previous.tasks.extend(lost.tasks);
        self.previous = previous;
        self.previous_generation = input.generation;
        self.previous_members = input
            .members
            .iter()
            .map(|(member, _)| member.clone())
            .collect();
        round
    }

    /// What becomes of work whose worker is gone.
    fn handle_lost(
        &mut self,
        input: &Input<'_>,
        lost: &WorkSet,
        to_assign: &mut Work,
        next: &mut [Load],
    ) {
        if lost.is_empty() && !self.revoked_in_previous {
            self.reset_delay();
            return;
        }
        // Behind what is new.
        let mut reassign = || to_assign.add_all(&as_work(lost));
        let all_there = self
            .previous_members
            .iter()
            .all(|member| next.iter().any(|load| load.member == *member));
        if (self.scheduled_ms <= 0 && all_there) || self.max_delay_ms == 0 {
            reassign();
            return;
        }
        if !lost.is_empty() && (input.handed_over)(&as_work(lost)) {
            tracing::info!("a worker left after it had given its work up; handing it out at once");
            reassign();
            self.reset_delay();
            return;
        }
        if self.scheduled_ms > 0 && input.now_ms >= self.scheduled_ms {
            let candidates: Vec<usize> = self
                .candidates
                .iter()
                .filter_map(|member| next.iter().position(|load| load.member == *member))
                .collect();
            if candidates.is_empty() {
                reassign();
            } else {
                for (name, &to) in lost.connectors.iter().zip(candidates.iter().cycle()) {
                    next[to].work.connectors.push(Arc::clone(name));
                }
                for (id, &to) in lost.tasks.iter().zip(candidates.iter().cycle()) {
                    next[to].work.tasks.push(id.clone());
                }
            }
            self.reset_delay();
            self.revoked_in_previous = false;
            return;
        }
        let mut empty = JavaHashMap::new();
        for load in next.iter().filter(|load| load.work.is_empty()) {
            empty.insert(load.member.clone(), ());
        }
        for member in empty.keys() {
            if !self.candidates.contains(member) {
                self.candidates.push(member.clone());
            }
        }
        self.delay_ms = if input.now_ms < self.scheduled_ms {
            i32::try_from(self.scheduled_ms - input.now_ms)
                .unwrap_or(i32::MAX)
                .min(self.max_delay_ms)
        } else {
            self.max_delay_ms
        };
        self.scheduled_ms = input.now_ms + i64::from(self.delay_ms);
    }

    fn reset_delay(&mut self) {
        self.candidates.clear();
        self.scheduled_ms = 0;
        self.delay_ms = 0;
    }

    /// Takes from those that have more than their part; not in two rounds in a row.
    fn balance(
        &mut self,
        now_ms: i64,
        configured: &WorkSet,
        next: &mut [Load],
        revoked: &mut HashMap<String, Work>,
    ) {
        let surplus = if next.iter().all(|load| load.work.is_empty()) || configured.is_empty() {
            vec![Work::default(); next.len()]
        } else {
            let connectors = surplus(
                configured.connectors.len(),
                next.iter().map(|load| load.work.connectors.as_slice()),
            );
            let tasks = surplus(
                configured.tasks.len(),
                next.iter().map(|load| load.work.tasks.as_slice()),
            );
            let parts = connectors.into_iter().zip(tasks);
            parts
                .map(|(connectors, tasks)| Work { connectors, tasks })
                .collect()
        };
        if surplus.iter().all(Work::is_empty) {
            if self.revoked_in_previous {
                self.revoked_in_previous = false;
                self.successive_revocations = 0;
            }
            return;
        }
        if self.revoked_in_previous {
            self.successive_revocations += 1;
            self.delay_ms = backoff_ms(self.max_delay_ms, self.successive_revocations);
            if self.delay_ms != 0 {
                self.scheduled_ms = now_ms + i64::from(self.delay_ms);
                return;
            }
        } else {
            self.revoked_in_previous = true;
        }
        for (load, surplus) in next.iter_mut().zip(surplus) {
            load.work.remove_all(&surplus);
            revoked
                .entry(load.member.clone())
                .or_default()
                .add_all(&surplus);
        }
    }
}

fn active_and_duplicated(members: &[Load]) -> (WorkSet, WorkSet) {
    let mut active = WorkSet::default();
    let mut duplicated = WorkSet::default();
    for load in members {
        for name in &load.work.connectors {
            if !active.connectors.insert(Arc::clone(name)) {
                duplicated.connectors.insert(Arc::clone(name));
            }
        }
        for id in &load.work.tasks {
            if !active.tasks.insert(id.clone()) {
                duplicated.tasks.insert(id.clone());
            }
        }
    }
    (active, duplicated)
}

fn as_work(set: &WorkSet) -> Work {
    Work {
        connectors: set.connectors.iter().cloned().collect(),
        tasks: set.tasks.iter().cloned().collect(),
    }
}

/// What each worker has beyond its part, from the front of its list.
fn surplus<'a, T: Clone + 'a>(total: usize, loads: impl Iterator<Item = &'a [T]>) -> Vec<Vec<T>> {
    let loads: Vec<&[T]> = loads.collect();
    let minimum = total / loads.len();
    let extras = total % loads.len();
    let at_minimum = loads.iter().filter(|load| load.len() == minimum).count();
    let with_extra = loads
        .iter()
        .filter(|load| load.len() == minimum + 1)
        .count();
    if with_extra == extras && at_minimum + with_extra == loads.len() {
        return vec![Vec::new(); loads.len()];
    }
    let mut extras_given = 0;
    loads
        .iter()
        .map(|load| {
            if load.len() <= minimum {
                return Vec::new();
            }
            let part = if extras_given < extras {
                extras_given += 1;
                minimum + 1
            } else {
                minimum
            };
            load[..load.len().saturating_sub(part)].to_vec()
        })
        .collect()
}

/// Gives what is new to those that have least: connectors first, then tasks, each counted alone.
fn deal(loads: &mut [Load], to_assign: Work) {
    loads.sort_by(|a, b| {
        let key = |load: &Load| load.work.connectors.len();
        key(a).cmp(&key(b)).then_with(|| a.member.cmp(&b.member))
    });
    let counts: Vec<usize> = loads
        .iter()
        .map(|load| load.work.connectors.len())
        .collect();
    for (name, to) in to_assign.connectors.into_iter().zip(turns(counts)) {
        loads[to].work.connectors.push(name);
    }
    loads.sort_by(|a, b| {
        let key = |load: &Load| load.work.tasks.len();
        key(a).cmp(&key(b)).then_with(|| a.member.cmp(&b.member))
    });
    let counts: Vec<usize> = loads.iter().map(|load| load.work.tasks.len()).collect();
    for (id, to) in to_assign.tasks.into_iter().zip(turns(counts)) {
        loads[to].work.tasks.push(id);
    }
}

/// Whose turn it is, for ever: the front of the list that is as loaded as the first, in passes.
fn turns(mut counts: Vec<usize>) -> impl Iterator<Item = usize> {
    let mut pass = 0..0;
    std::iter::from_fn(move || {
        let turn = pass.next().or_else(|| {
            let first = *counts.first()?;
            let up_to = counts.iter().position(|count| *count > first);
            pass = 0..up_to.unwrap_or(counts.len());
            pass.next()
        })?;
        counts[turn] += 1;
        Some(turn)
    })
}

/// How long the next revocation waits when one follows the other (`ExponentialBackoff`).
fn backoff_ms(max_ms: i32, attempts: u32) -> i32 {
    let max = f64::from(max_ms);
    let initial = f64::from(max_ms.min(1));
    if max <= 1.0 {
        return max_ms.min(1);
    }
    let exponent = f64::from(attempts).min(max.ln() / BACKOFF_FACTOR.ln());
    let term = (initial * BACKOFF_FACTOR.powf(exponent)).min(max);
    // Within 0..=max_ms, so nothing is cut off but the fraction.
    #[expect(clippy::cast_possible_truncation, reason = "bounded by max_ms")]
    let whole = term as i32;
    whole
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(connectors: &[(&str, u32)]) -> ClusterConfigState {
        let mut state = ClusterConfigState::default();
        let mut record = |key: String, value: String| {
            state.apply(state.offset() + 1, key.as_bytes(), Some(value.as_bytes()));
        };
        let properties = || r#"{"properties":{}}"#.to_owned();
        for (name, tasks) in connectors {
            record(format!("connector-{name}"), properties());
            for task in 0..*tasks {
                record(format!("task-{name}-{task}"), properties());
            }
            record(format!("commit-{name}"), format!(r#"{{"tasks":{tasks}}}"#));
        }
        state
    }

    /// A leader and its members, who do what they are told.
    struct Group {
        assignor: Assignor,
        members: Vec<(String, Work)>,
        generation: i32,
        now_ms: i64,
    }

    impl Group {
        fn new(max_delay_ms: i32, members: &[&str]) -> Self {
            Self {
                assignor: Assignor::new(max_delay_ms),
                members: members
                    .iter()
                    .map(|&id| (id.to_owned(), Work::default()))
                    .collect(),
                generation: 0,
                now_ms: 1_000,
            }
        }
        fn round(&mut self, config: &ClusterConfigState) -> Round {
            self.round_with(config, false)
        }
        fn round_with(&mut self, config: &ClusterConfigState, handed_over: bool) -> Round {
            let round = self.assignor.assign(&Input {
                now_ms: self.now_ms,
                last_completed_generation: if self.generation == 0 {
                    -1
                } else {
                    self.generation
                },
                generation: self.generation + 1,
                config,
                members: &self.members,
                handed_over: &|_| handed_over,
            });
            self.generation += 1;
            for (member, work) in &mut self.members {
                let share = &round.shares[member];
                work.remove_all(&share.revoked);
                work.add_all(&share.assigned);
            }
            round
        }
        fn counts(&self) -> Vec<(usize, usize)> {
            let count = |(_, work): &(String, Work)| (work.connectors.len(), work.tasks.len());
            self.members.iter().map(count).collect()
        }
    }

    #[test]
    fn a_worker_that_joins_gets_its_part_in_two_rounds() {
        let config = config(&[("a", 2), ("b", 2)]);
        let mut group = Group::new(300_000, &["w1"]);
        group.round(&config);
        assert_eq!(group.counts(), [(2, 4)]);
        group.members.push(("w2".to_owned(), Work::default()));
        let round = group.round(&config);
        assert_eq!(round.delay_ms, 0);
        assert_eq!(group.counts(), [(1, 2), (0, 0)], "first it is taken away");
        group.round(&config);
        assert_eq!(group.counts(), [(1, 2), (1, 2)], "then it is handed out");
        let round = group.round(&config);
        assert!(
            round
                .shares
                .values()
                .all(|share| *share == Share::default()),
            "then all is quiet"
        );
    }

    #[test]
    fn what_a_lost_worker_had_waits_for_its_return_and_is_then_handed_out() {
        let config = config(&[("a", 2), ("b", 2)]);
        let mut group = Group::new(5_000, &["w1", "w2"]);
        group.round(&config);
        assert_eq!(group.counts(), [(1, 2), (1, 2)]);
        group.members.pop();
        assert_eq!(group.round(&config).delay_ms, 5_000);
        assert_eq!(group.counts(), [(1, 2)]);
        group.now_ms += 2_000;
        assert_eq!(group.round(&config).delay_ms, 3_000);
        group.now_ms += 3_000;
        assert_eq!(group.round(&config).delay_ms, 0);
        assert_eq!(group.counts(), [(2, 4)]);
    }

    #[test]
    fn a_worker_that_comes_meanwhile_gets_what_was_lost() {
        let config = config(&[("a", 2), ("b", 2)]);
        let mut group = Group::new(5_000, &["w1", "w2"]);
        group.round(&config);
        let kept = group.members[0].1.clone();
        group.members[1] = ("w3".to_owned(), Work::default());
        assert_eq!(group.round(&config).delay_ms, 5_000);
        assert_eq!(group.counts(), [(1, 2), (0, 0)]);
        group.now_ms += 5_000;
        group.round(&config);
        assert_eq!(group.counts(), [(1, 2), (1, 2)]);
        assert_eq!(group.members[0].1, kept, "nothing else moved");
    }

    #[test]
    fn what_was_given_up_before_leaving_is_handed_out_at_once() {
        let config = config(&[("a", 2), ("b", 2)]);
        let mut group = Group::new(5_000, &["w1", "w2"]);
        group.round(&config);
        group.members.pop();
        assert_eq!(group.round_with(&config, true).delay_ms, 0);
        assert_eq!(group.counts(), [(2, 4)]);
    }

    #[test]
    fn what_two_members_have_is_taken_from_both() {
        let config = config(&[("a", 1)]);
        let mut group = Group::new(0, &["w1", "w2"]);
        group.round(&config);
        let work = group.members[0].1.clone();
        group.members[1].1.add_all(&work);
        group.round(&config);
        let owners = |group: &Group| {
            let has = |(_, work): &&(String, Work)| work.connectors.contains(&"a".into());
            group.members.iter().filter(has).count()
        };
        assert_eq!(owners(&group), 0);
        group.round(&config);
        assert_eq!(owners(&group), 1);
    }

    #[test]
    fn a_deleted_connector_is_revoked() {
        let mut group = Group::new(0, &["w1"]);
        group.round(&config(&[("a", 1), ("b", 1)]));
        let round = group.round(&config(&[("b", 1)]));
        let revoked = &round.shares["w1"].revoked;
        assert_eq!((revoked.connectors.len(), revoked.tasks.len()), (1, 1));
        assert_eq!(group.counts(), [(1, 1)]);
    }

    #[test]
    fn the_pause_between_revocations_grows_to_the_limit() {
        let pauses: Vec<i32> = (1..6).map(|n| backoff_ms(300_000, n)).collect();
        assert_eq!(pauses[..3], [40, 1_600, 64_000]);
        assert!(pauses[3] >= 299_999, "{pauses:?}");
        assert_eq!(backoff_ms(0, 3), 0);
    }
}
