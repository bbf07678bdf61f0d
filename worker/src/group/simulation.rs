//! Whole groups in one thread: members, a coordinator, a network that fails, a clock that jumps from
//! event to event. Random histories, the same on every machine; `GROUP_HISTORIES`
//! says how many, `GROUP_FIRST_HISTORY` which is the first.
//!
//! Nothing in here is used outside of tests.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, BinaryHeap};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use super::membership::{Action, Event, JoinAnswer, Knowledge, Membership, Notice, Settings};
use super::protocol::{ConnectProtocol, decode_assignment, decode_metadata, encode_metadata};
use crate::store::cluster_state::ClusterConfigState;

const SESSION: Duration = Duration::from_secs(10);
const HEARTBEAT: Duration = Duration::from_secs(3);
const REBALANCE: Duration = Duration::from_secs(20);
/// A message on its way, at most.
const TRAVEL_MS: u64 = 40;
/// A worker stopping what it has to, at most.
const STOP_MS: u64 = 400;

struct Random(u64);

impl Random {
    fn below(&mut self, end: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) % end.max(1)
    }
}

type Items = BTreeSet<String>;

fn items(work: &super::Work) -> Items {
    let connectors = work.connectors.iter().map(ToString::to_string);
    connectors
        .chain(work.tasks.iter().map(ToString::to_string))
        .collect()
}

/// A worker: its machine, and a herder that does what it is told after a while.
struct Worker {
    machine: Membership,
    incarnation: u64,
    running: Items,
    /// What will run once what is revoked has stopped.
    stopping: Option<Items>,
    /// What it says it has when it joins, with what was deleted meanwhile.
    claimed: Items,
    connected: bool,
    alive: bool,
    /// Whether its messages arrive, and answers to it.
    reachable: bool,
    /// Until then it does nothing and sees no clock: its machine was suspended.
    asleep: Option<Instant>,
    member_id: String,
}

/// A member as the coordinator knows it.
struct Member {
    worker: usize,
    incarnation: u64,
    heard: Instant,
    metadata: Vec<(ConnectProtocol, Vec<u8>)>,
    joining: bool,
    syncing: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Preparing(Instant),
    Completing,
    Stable,
}

struct Coordinator {
    members: BTreeMap<String, Member>,
    phase: Phase,
    generation: i32,
    leader: String,
    assignments: BTreeMap<String, Vec<u8>>,
    named: u64,
}

enum Thing {
    /// Something for a worker's machine, if it is still the same worker.
    ForWorker(usize, u64, Event),
    /// What a worker asks the coordinator.
    Asked(usize, u64, Action, Vec<(ConnectProtocol, Vec<u8>)>),
    /// A worker has stopped what it had to.
    Stopped(usize, u64),
    CheckSessions,
    Fate,
    Sleep,
}

struct World {
    seed: u64,
    random: Random,
    /// Says who is suspended and for how long; of its own, so that other histories stay as they are.
    sleeps: Random,
    start: Instant,
    now: Instant,
    queue: BinaryHeap<Reverse<(Instant, u64)>>,
    things: BTreeMap<u64, Thing>,
    sequence: u64,
    workers: Vec<Worker>,
    coordinator: Coordinator,
    config: Arc<ClusterConfigState>,
    configured: BTreeMap<String, u32>,
    max_delay_ms: i32,
    protocol: ConnectProtocol,
    /// No more misfortunes.
    calm: bool,
    moves: usize,
}

impl World {
    fn new(seed: u64) -> Self {
        let now = Instant::now();
        let mut random = Random(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1);
        let max_delay_ms = [0, 2_000, 8_000][usize::try_from(random.below(3)).unwrap_or(0)];
        let protocol = match random.below(6) {
            0 => ConnectProtocol::Eager,
            1 => ConnectProtocol::Compatible,
            _ => ConnectProtocol::Sessioned,
        };
        let mut world = Self {
            seed,
            random,
            sleeps: Random(seed | 1),
            start: now,
            now,
            queue: BinaryHeap::new(),
            things: BTreeMap::new(),
            sequence: 0,
            workers: Vec::new(),
            coordinator: Coordinator {
                members: BTreeMap::new(),
                phase: Phase::Stable,
                generation: 0,
                leader: String::new(),
                assignments: BTreeMap::new(),
                named: 0,
            },
            config: Arc::default(),
            configured: BTreeMap::new(),
            max_delay_ms,
            protocol,
            calm: false,
            moves: 0,
        };
        for number in 0..=world.random.below(3) {
            let tasks = u32::try_from(world.random.below(4)).unwrap_or(0);
            world.configure(format!("c{number}"), Some(tasks));
        }
        for _ in 0..=world.random.below(3) {
            world.add_worker();
        }
        world.after(0, Thing::CheckSessions);
        world.after(1_000, Thing::Fate);
        world
    }

    fn after(&mut self, ms: u64, thing: Thing) {
        self.sequence += 1;
        self.things.insert(self.sequence, thing);
        self.queue.push(Reverse((
            self.now + Duration::from_millis(ms),
            self.sequence,
        )));
    }

    fn configure(&mut self, name: String, tasks: Option<u32>) {
        let mut state = ClusterConfigState::clone(&self.config);
        let mut record = |key: String, value: Option<String>| {
            state.apply(
                state.offset() + 1,
                key.as_bytes(),
                value.as_deref().map(str::as_bytes),
            );
        };
        let properties = || Some(r#"{"properties":{}}"#.to_owned());
        match tasks {
            None => {
                record(format!("connector-{name}"), None);
                self.configured.remove(&name);
            }
            Some(tasks) => {
                record(format!("connector-{name}"), properties());
                for task in 0..tasks {
                    record(format!("task-{name}-{task}"), properties());
                }
                record(
                    format!("commit-{name}"),
                    Some(format!(r#"{{"tasks":{tasks}}}"#)),
                );
                self.configured.insert(name, tasks);
            }
        }
        self.config = Arc::new(state);
        let configured = self.all();
        for at in 0..self.workers.len() {
            if self.workers[at].alive {
                // Each reads the topic for itself; what is gone stops at once.
                self.workers[at]
                    .running
                    .retain(|item| configured.contains(item));
                let (delay, incarnation) = (self.random.below(200), self.workers[at].incarnation);
                self.after(
                    delay,
                    Thing::ForWorker(at, incarnation, Event::Rejoin("changed")),
                );
            }
        }
    }

    fn all(&self) -> Items {
        let tasks = self
            .configured
            .iter()
            .flat_map(|(name, tasks)| (0..*tasks).map(move |task| format!("{name}-{task}")));
        self.configured.keys().cloned().chain(tasks).collect()
    }

    fn machine(&self, number: usize) -> Membership {
        let settings = Settings {
            url: format!("http://w{number}/"),
            protocol: self.protocol,
            session: SESSION,
            heartbeat: HEARTBEAT,
            beat: Duration::from_millis(500),
            rebalance: REBALANCE,
            max_delay_ms: self.max_delay_ms,
        };
        Membership::new(settings, self.now)
    }

    fn add_worker(&mut self) {
        let at = self.workers.len();
        self.workers.push(Worker {
            machine: self.machine(at),
            incarnation: 0,
            running: Items::new(),
            stopping: None,
            claimed: Items::new(),
            connected: false,
            alive: true,
            reachable: true,
            asleep: None,
            member_id: String::new(),
        });
        self.after(0, Thing::ForWorker(at, 0, Event::Tick));
    }

    fn step_worker(&mut self, at: usize, event: Event) {
        let disconnected = matches!(event, Event::Disconnected);
        let worker = &mut self.workers[at];
        if disconnected {
            worker.connected = false;
        }
        let incarnation = worker.incarnation;
        let actions = worker.machine.step(self.now, event);
        for action in actions {
            self.act(at, action);
        }
        if let Some(due) = self.workers[at].machine.next_deadline() {
            let wait = due.saturating_duration_since(self.now).as_millis();
            let wait = u64::try_from(wait).unwrap_or(0) + 1;
            self.after(wait, Thing::ForWorker(at, incarnation, Event::Tick));
        }
    }

    fn act(&mut self, at: usize, action: Action) {
        let incarnation = self.workers[at].incarnation;
        let travel = self.random.below(TRAVEL_MS);
        match action {
            Action::Connect => {
                let event = if self.workers[at].reachable {
                    Event::Connected
                } else {
                    Event::Disconnected
                };
                self.workers[at].connected = self.workers[at].reachable;
                self.after(travel + 20, Thing::ForWorker(at, incarnation, event));
            }
            Action::Disconnect => self.workers[at].connected = false,
            Action::Tell(notice) => self.told(at, notice),
            Action::Join(_, ref allocation, limit) => {
                let worker = &self.workers[at];
                let offset = self.config.offset();
                let (state, offered) = worker.machine.metadata(offset, allocation.clone());
                let metadata = offered
                    .map(|protocol| (protocol, encode_metadata(&state, protocol)))
                    .collect();
                self.ask(at, action, metadata, limit);
            }
            Action::Sync { .. } => self.ask(at, action, Vec::new(), REBALANCE * 2),
            Action::Heartbeat(..) => self.ask(at, action, Vec::new(), Duration::from_secs(40)),
            Action::Leave(_) => {
                if self.workers[at].reachable {
                    self.after(travel, Thing::Asked(at, incarnation, action, Vec::new()));
                }
            }
        }
    }

    fn ask(
        &mut self,
        at: usize,
        action: Action,
        metadata: Vec<(ConnectProtocol, Vec<u8>)>,
        limit: Duration,
    ) {
        let travel = self.random.below(TRAVEL_MS);
        let worker = &self.workers[at];
        let incarnation = worker.incarnation;
        if worker.reachable && worker.connected {
            self.after(travel, Thing::Asked(at, incarnation, action, metadata));
        } else {
            // Either the connection breaks, or nothing is ever heard again.
            let limit = u64::try_from(limit.as_millis()).unwrap_or(0);
            let wait = if self.random.below(2) == 0 {
                100
            } else {
                limit
            };
            self.after(wait, Thing::ForWorker(at, incarnation, Event::Disconnected));
        }
    }

    fn told(&mut self, at: usize, notice: Notice) {
        let stop = self.random.below(STOP_MS);
        let incarnation = self.workers[at].incarnation;
        let configured = self.all();
        let worker = &mut self.workers[at];
        match notice {
            Notice::Rebalancing => {}
            Notice::Refused(why) => panic!("worker {at} was refused: {why}"),
            Notice::RevokeAll => {
                worker.claimed.clear();
                worker.stopping = Some(Items::new());
                self.after(stop, Thing::Stopped(at, incarnation));
            }
            Notice::Assigned(assigned) => {
                let mut work = items(&assigned.work);
                worker.claimed.clone_from(&work);
                work.retain(|item| configured.contains(item));
                let revoked = items(&assigned.revoked);
                self.moves += revoked
                    .iter()
                    .filter(|item| configured.contains(*item))
                    .count();
                if revoked.is_empty() {
                    worker.running = work;
                } else {
                    worker.running.extend(work.iter().cloned());
                    worker.stopping = Some(work);
                    self.after(stop, Thing::Stopped(at, incarnation));
                }
            }
        }
    }

    /// What the coordinator says, which gets lost where the worker cannot be reached.
    fn answer(&mut self, id: &str, event: Event) {
        let Some(member) = self.coordinator.members.get(id) else {
            return;
        };
        let (at, incarnation) = (member.worker, member.incarnation);
        self.answer_worker(at, incarnation, event);
    }

    fn answer_worker(&mut self, at: usize, incarnation: u64, event: Event) {
        let travel = self.random.below(TRAVEL_MS);
        if self.workers[at].reachable && self.workers[at].connected {
            self.after(travel, Thing::ForWorker(at, incarnation, event));
        } else {
            self.after(
                5_000,
                Thing::ForWorker(at, incarnation, Event::Disconnected),
            );
        }
    }

    fn knowledge(&self) -> Knowledge {
        let now_ms = self.now.duration_since(self.start).as_millis();
        Knowledge {
            config: Arc::clone(&self.config),
            now_ms: i64::try_from(now_ms).unwrap_or(0) + 1,
            handed_over: Arc::new(|_| false),
        }
    }

    fn asked(
        &mut self,
        at: usize,
        incarnation: u64,
        action: Action,
        metadata: Vec<(ConnectProtocol, Vec<u8>)>,
    ) {
        match action {
            Action::Join(id, _, _) if id.is_empty() => {
                self.coordinator.named += 1;
                let answer = JoinAnswer {
                    code: 79,
                    member_id: format!("connect-w{at}-{}", self.coordinator.named),
                    ..JoinAnswer::default()
                };
                let knowledge = self.knowledge();
                self.answer_worker(at, incarnation, Event::Joined(answer, knowledge));
            }
            Action::Join(id, ..) => {
                self.workers[at].member_id.clone_from(&id);
                let member = Member {
                    worker: at,
                    incarnation,
                    heard: self.now,
                    metadata,
                    joining: true,
                    syncing: false,
                };
                self.coordinator.members.insert(id, member);
                self.prepare();
                self.complete_join();
            }
            Action::Sync {
                generation,
                member_id,
                assignments,
                ..
            } => self.sync(at, incarnation, generation, &member_id, assignments),
            Action::Heartbeat(generation, id) => {
                let code = match self.coordinator.members.get_mut(&id) {
                    None => 25,
                    Some(_) if generation != self.coordinator.generation => 22,
                    Some(member) => {
                        member.heard = self.now;
                        match self.coordinator.phase {
                            Phase::Preparing(_) => 27,
                            Phase::Completing | Phase::Stable => 0,
                        }
                    }
                };
                self.answer_worker(at, incarnation, Event::Heartbeat(code));
            }
            Action::Leave(id) => {
                self.coordinator.members.remove(&id);
                self.prepare();
                self.complete_join();
            }
            Action::Connect | Action::Disconnect | Action::Tell(_) => {}
        }
    }

    fn prepare(&mut self) {
        if !matches!(self.coordinator.phase, Phase::Preparing(_)) {
            self.coordinator.phase = Phase::Preparing(self.now + REBALANCE);
            let waiting: Vec<String> = self
                .coordinator
                .members
                .iter_mut()
                .filter_map(|(id, member)| std::mem::take(&mut member.syncing).then(|| id.clone()))
                .collect();
            for id in waiting {
                self.answer(&id, Event::Synced(27, Vec::new()));
            }
        }
    }

    fn complete_join(&mut self) {
        let Phase::Preparing(deadline) = self.coordinator.phase else {
            return;
        };
        let coordinator = &mut self.coordinator;
        if coordinator.members.values().any(|member| !member.joining) {
            if self.now < deadline {
                return;
            }
            coordinator.members.retain(|_, member| member.joining);
        }
        if coordinator.members.is_empty() {
            coordinator.phase = Phase::Stable;
            return;
        }
        coordinator.generation += 1;
        coordinator.phase = Phase::Completing;
        coordinator.assignments.clear();
        if !coordinator.members.contains_key(&coordinator.leader) {
            coordinator.leader = coordinator
                .members
                .keys()
                .next()
                .cloned()
                .unwrap_or_default();
        }
        let common = ConnectProtocol::Sessioned.offered().find(|protocol| {
            let has = |member: &Member| member.metadata.iter().any(|(known, _)| known == protocol);
            coordinator.members.values().all(has)
        });
        let protocol = common.unwrap_or_default();
        let members: Vec<(String, Vec<u8>)> = coordinator
            .members
            .iter()
            .map(|(id, member)| {
                let metadata = member.metadata.iter().find(|(known, _)| *known == protocol);
                (
                    id.clone(),
                    metadata.map(|(_, bytes)| bytes.clone()).unwrap_or_default(),
                )
            })
            .collect();
        let (generation, leader) = (coordinator.generation, coordinator.leader.clone());
        for member in coordinator.members.values_mut() {
            member.joining = false;
            member.heard = self.now;
        }
        for (id, _) in members.clone() {
            let answer = JoinAnswer {
                code: 0,
                generation,
                protocol: protocol.name().to_owned(),
                leader: leader.clone(),
                member_id: id.clone(),
                members: if id == leader {
                    members.clone()
                } else {
                    Vec::new()
                },
            };
            let knowledge = self.knowledge();
            self.answer(&id, Event::Joined(answer, knowledge));
        }
    }

    fn sync(
        &mut self,
        at: usize,
        incarnation: u64,
        generation: i32,
        id: &str,
        assignments: Vec<(String, Vec<u8>)>,
    ) {
        let coordinator = &mut self.coordinator;
        let Some(member) = coordinator.members.get_mut(id) else {
            self.answer_worker(at, incarnation, Event::Synced(25, Vec::new()));
            return;
        };
        member.heard = self.now;
        let code = match coordinator.phase {
            _ if generation != coordinator.generation => 22,
            Phase::Preparing(_) => 27,
            Phase::Completing | Phase::Stable => 0,
        };
        if code != 0 {
            self.answer(id, Event::Synced(code, Vec::new()));
            return;
        }
        member.syncing = true;
        if coordinator.phase == Phase::Completing && id == coordinator.leader {
            coordinator.phase = Phase::Stable;
            coordinator.assignments = assignments.into_iter().collect();
            self.check_round();
        }
        if self.coordinator.phase == Phase::Stable {
            let waiting: Vec<String> = self
                .coordinator
                .members
                .iter_mut()
                .filter_map(|(id, member)| std::mem::take(&mut member.syncing).then(|| id.clone()))
                .collect();
            for id in waiting {
                let bytes = self
                    .coordinator
                    .assignments
                    .get(&id)
                    .cloned()
                    .unwrap_or_default();
                self.answer(&id, Event::Synced(0, bytes));
            }
        }
    }

    /// No item has two owners once a generation's assignments have been followed.
    fn check_round(&self) {
        let mut owners: BTreeMap<String, &str> = BTreeMap::new();
        for (id, bytes) in &self.coordinator.assignments {
            let assignment = decode_assignment(bytes).expect("an assignment");
            let mut work = assignment.assigned.clone();
            let cooperative = self.protocol != ConnectProtocol::Eager;
            let member = &self.coordinator.members[id];
            if let Some((_, metadata)) = member.metadata.first().filter(|_| cooperative) {
                let state = decode_metadata(metadata).expect("metadata");
                let mut kept = state.allocation.map(|has| has.assigned).unwrap_or_default();
                kept.remove_all(&assignment.revoked);
                work.add_all(&kept);
            }
            for item in items(&work) {
                if let Some(other) = owners.insert(item.clone(), id) {
                    let generation = self.coordinator.generation;
                    panic!("{item} belongs to {other} and {id} in generation {generation}");
                }
            }
        }
    }

    fn check_sessions(&mut self) {
        let expired: Vec<String> = self
            .coordinator
            .members
            .iter()
            .filter(|(_, member)| {
                // In the very moment that it ends the worker may still be about to look at its clock.
                !member.joining && !member.syncing && self.now > member.heard + SESSION
            })
            .map(|(id, _)| id.clone())
            .collect();
        for id in expired {
            let member = self
                .coordinator
                .members
                .remove(&id)
                .expect("it is a member");
            let worker = &self.workers[member.worker];
            // Cut off while it waits for an answer of a round it hears nothing, as in the JVM.
            let told = worker.running.is_empty()
                || worker.stopping.as_ref().is_some_and(BTreeSet::is_empty);
            let same = worker.alive
                // It takes what it slept through for what was said just now; a session
                // later it knows.
                && worker.asleep.is_none_or(|until| self.now > until + SESSION)
                && worker.incarnation == member.incarnation
                && worker.member_id == id
                && worker.machine.is_settled();
            assert!(
                !same || told,
                "seed {}: {id} still has its work when its session ends: {:?}",
                self.seed,
                worker.running
            );
            self.prepare();
        }
        self.complete_join();
        self.after(50, Thing::CheckSessions);
    }

    fn fate(&mut self) {
        if self.calm {
            return;
        }
        let at = usize::try_from(self.random.below(self.workers.len() as u64)).unwrap_or(0);
        match self.random.below(9) {
            0 if self.workers.len() < 6 => self.add_worker(),
            1 => self.die(at),
            2 => self.revive(at),
            3 => {
                self.workers[at].reachable = false;
                self.workers[at].connected = false;
            }
            4 | 5 => self.workers[at].reachable = true,
            6 => {
                let name = format!("n{}", self.random.below(4));
                let tasks = u32::try_from(self.random.below(4)).unwrap_or(0);
                self.configure(name, Some(tasks));
            }
            7 => {
                let names: Vec<String> = self.configured.keys().cloned().collect();
                let chosen = usize::try_from(self.random.below(names.len() as u64)).unwrap_or(0);
                if let Some(name) = names.get(chosen) {
                    self.configure(name.clone(), None);
                }
            }
            _ => {}
        }
        let wait = self.random.below(2_500);
        self.after(wait, Thing::Fate);
    }

    fn die(&mut self, at: usize) {
        let worker = &mut self.workers[at];
        worker.alive = false;
        worker.incarnation += 1;
        worker.running.clear();
        worker.claimed.clear();
        worker.stopping = None;
        worker.connected = false;
    }

    fn revive(&mut self, at: usize) {
        if !self.workers[at].alive {
            self.workers[at].machine = self.machine(at);
            self.workers[at].alive = true;
            let incarnation = self.workers[at].incarnation;
            self.after(0, Thing::ForWorker(at, incarnation, Event::Tick));
        }
    }

    /// Suspends a worker for up to three sessions: its clock stands, then jumps.
    fn sleep(&mut self) {
        if self.calm {
            return;
        }
        let at = usize::try_from(self.sleeps.below(self.workers.len() as u64)).unwrap_or(0);
        let session = u64::try_from(SESSION.as_millis()).unwrap_or(0);
        let time = Duration::from_millis(self.sleeps.below(3 * session));
        self.workers[at].asleep = Some(self.now + time);
        let wait = self.sleeps.below(6_000);
        self.after(wait, Thing::Sleep);
    }

    /// Puts off what a suspended worker has to do; gives it back where it has to do it now.
    fn unless_asleep(&mut self, at: usize, thing: Thing) -> Option<Thing> {
        let Some(until) = self.workers[at].asleep.filter(|until| self.now < *until) else {
            return Some(thing);
        };
        let wait = until.duration_since(self.now).as_millis();
        self.after(u64::try_from(wait).unwrap_or(0) + 1, thing);
        None
    }

    fn run_for(&mut self, ms: u64) {
        let end = self.now + Duration::from_millis(ms);
        while let Some(&Reverse((at, number))) = self.queue.peek() {
            if at > end {
                break;
            }
            self.queue.pop();
            self.now = at;
            let mut thing = self.things.remove(&number).expect("it was put there");
            if let Thing::ForWorker(at, ..) | Thing::Stopped(at, _) = thing {
                match self.unless_asleep(at, thing) {
                    Some(due) => thing = due,
                    None => continue,
                }
            }
            let same = |world: &Self, at: usize, incarnation: u64| {
                world.workers[at].alive && world.workers[at].incarnation == incarnation
            };
            match thing {
                Thing::ForWorker(at, incarnation, event) => {
                    if same(self, at, incarnation) {
                        self.step_worker(at, event);
                    }
                }
                Thing::Asked(at, incarnation, action, metadata) => {
                    self.asked(at, incarnation, action, metadata);
                }
                Thing::Stopped(at, incarnation) => {
                    if same(self, at, incarnation)
                        && let Some(running) = self.workers[at].stopping.take()
                    {
                        self.workers[at].running = running;
                        self.step_worker(at, Event::Released);
                    }
                }
                Thing::CheckSessions => self.check_sessions(),
                Thing::Fate => self.fate(),
                Thing::Sleep => self.sleep(),
            }
        }
        self.now = end;
    }

    /// Everybody can speak to everybody again.
    fn calm_down(&mut self) {
        self.calm = true;
        for at in 0..self.workers.len() {
            self.workers[at].reachable = true;
            self.revive(at);
        }
    }

    /// What each worker claims. A leader that is new counts what was deleted as the work of whoever
    /// still claims it, and so does Kafka's (compat-tests: `a_new_leader_counts_what_was_deleted`).
    fn counts(&self, tasks: bool) -> Vec<usize> {
        // No name of a connector has a dash in it.
        let count = |worker: &Worker| {
            let claimed = worker.claimed.iter();
            claimed.filter(|item| item.contains('-') == tasks).count()
        };
        self.workers.iter().map(count).collect()
    }

    fn check_all_runs_once_and_balanced(&self, seed: u64) {
        let mut running: BTreeMap<&String, usize> = BTreeMap::new();
        for item in self.workers.iter().flat_map(|worker| &worker.running) {
            *running.entry(item).or_default() += 1;
        }
        let all = self.all();
        assert!(
            running.len() == all.len() && running.values().all(|count| *count == 1),
            "seed {seed}: {all:?} are configured, these run: {running:?}"
        );
        // Where nothing is configured, all that is claimed was deleted, and nobody balances that.
        if self.protocol != ConnectProtocol::Eager && !all.is_empty() {
            for counts in [self.counts(false), self.counts(true)] {
                let (least, most) = (counts.iter().min(), counts.iter().max());
                assert!(
                    least
                        .zip(most)
                        .is_none_or(|(least, most)| most - least <= 1),
                    "seed {seed}: not balanced: {counts:?}"
                );
            }
        }
    }
}

/// How many histories are run where `GROUP_HISTORIES` does not say so.
const HISTORIES: u64 = 1_000;

#[test]
fn in_random_histories_nothing_has_two_owners_and_all_runs_in_the_end() {
    run_histories(HISTORIES, |_| {});
}

/// Machines that are suspended, so that their clocks leap: a worker that wakes finds that its session
/// is over, and the group goes on as one.
#[test]
fn in_random_histories_clocks_jump_and_nothing_has_two_owners() {
    run_histories(HISTORIES / 4, |world| world.after(1_000, Thing::Sleep));
}

fn run_histories(count: u64, prepare: impl Fn(&mut World) + Sync) {
    let number = |name: &str| std::env::var(name).ok()?.parse().ok();
    let first = number("GROUP_FIRST_HISTORY").unwrap_or(1);
    let last = first + number("GROUP_HISTORIES").unwrap_or(count);
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let next = AtomicU64::new(first);
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                loop {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed >= last {
                        break;
                    }
                    let mut world = World::new(seed);
                    prepare(&mut world);
                    run_history(world);
                }
            });
        }
    });
}

/// Misfortunes for a while, then calm: what then holds.
fn run_history(mut world: World) {
    let seed = world.seed;
    world.run_for(25_000);
    world.calm_down();
    // Requests that will never be answered, a session, the delay and a few rounds.
    world.run_for(150_000);
    world.check_all_runs_once_and_balanced(seed);
    let running = |world: &World| -> Vec<Items> {
        let workers = world.workers.iter();
        workers.map(|worker| worker.running.clone()).collect()
    };
    let (before, moves) = (running(&world), world.moves);
    world.run_for(10_000);
    let after = running(&world);
    assert_eq!(
        before, after,
        "seed {seed}: something moves without a reason"
    );
    // A new connector moves nothing that runs, unless what was deleted made room.
    let configured = world.all();
    let deleted = |worker: &Worker| !worker.claimed.is_subset(&configured);
    let made_room = world.workers.iter().any(deleted);
    if world.protocol != ConnectProtocol::Eager {
        world.configure("late".to_owned(), Some(3));
        world.run_for(10_000);
        world.check_all_runs_once_and_balanced(seed);
        assert!(
            made_room || world.moves == moves,
            "seed {seed}: a new connector moved others"
        );
    }
}
