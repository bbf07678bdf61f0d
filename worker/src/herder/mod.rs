//! Decides what runs on this worker, and performs it.
//!
//! [`state`] decides; the loop here is the shell round it: one thread hears events, performs
//! actions, and is the only one that writes configurations. Answers for `DistributedHerder` and
//! `AbstractHerder`.

mod client_settings;
mod connector_config;
pub mod fencing;
mod offsets;
pub mod request;
pub(crate) mod session;
pub mod state;
pub mod validate;
pub(crate) mod version_range;

use std::collections::HashMap;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError, Weak, mpsc};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use connect_api::error::Chain;
use connect_api::java::HashMap as JavaHashMap;
use connect_api::plugin::PluginKind;
use connect_api::{Error, Result};
use tokio::sync::{oneshot, watch};

use self::request::{
    Answer, ConnectorInfo, ConnectorKind, ConnectorStatus, Herder, OffsetEntry, Parts, RawConfig,
    Request, RequestError, Sender, SignedRequest, StateInfo, TargetState, TaskId,
};
use self::session::{ALGORITHM_HEADER, SIGNATURE_HEADER, SessionSettings};
use self::state::group::GroupLimits;
use self::state::{Action, Event, HerderState, Reply};
use crate::config::{ExactlyOnce, WorkerConfig};
use crate::group::Work;
use crate::group::connection::Access;
use crate::group::member::{GroupMember, Surroundings};
use crate::group::membership::{self, Notice, Settings};
use crate::group::protocol::ConnectProtocol;
use crate::kafka::admin::{Admin, cluster_id};
use crate::kafka::producer::StoreProducer;
use crate::kafka::translate::Client;
use crate::rest::tls::client_of_workers;
use crate::store::cluster_state::{ClusterConfigState, ConfigChange};
use crate::store::config::{ConfigStore, ConfigWrite};
use crate::store::leader_writer::LeaderWriter;
use crate::store::log::StoreTopic;
use crate::store::offset::OffsetStore;
use crate::store::status::{State, StatusOf, StatusStore};
use crate::task::auto_restart::{Restart, Restarts};
use crate::task::clients;
use crate::task::connector::{self, RunningConnector};
use crate::task::lifecycle::{self, RunningTask, TaskPlan};

/// How long the worker's topics may take to be read at the start.
const LOAD_LIMIT: Duration = Duration::from_secs(600);
/// How long the broker may take to answer at the start: Java's `default.api.timeout.ms`.
const CONTACT_LIMIT: Duration = Duration::from_secs(60);
/// How long the last statuses may take to be written.
const FLUSH_LIMIT: Duration = Duration::from_secs(5);
/// How often the coordinator is asked at least: a member hears of a rebalance only when it asks, and
/// the rebalance is over when the last member has heard of it.
const BEAT: Duration = Duration::from_millis(500);
/// When a leader that could not write a session key tries again.
const KEY_RETRY: Duration = Duration::from_secs(1);
/// When a leader that could not claim the config topic tries again
/// (`CONFIG_TOPIC_WRITE_PRIVILEGES_BACKOFF_MS`).
const CLAIM_RETRY: Duration = Duration::from_millis(250);
/// The JVM's limit for a request that waits for the herder.
const REQUEST_LIMIT: Duration = Duration::from_secs(90);

/// Has the leader fence a connector's old tasks; `None` where this worker leads.
struct LeaderFence(Box<AskLeader>);

/// Asks the leader to fence a connector's producers; `None` where this worker leads.
type AskLeader = dyn Fn(&str) -> Option<Result<()>> + Send + Sync;

impl std::fmt::Debug for LeaderFence {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("LeaderFence").finish_non_exhaustive()
    }
}

/// The worker's topics.
#[derive(Debug)]
pub struct Stores {
    /// Configurations.
    pub config: ConfigStore,
    /// Source offsets.
    pub offsets: Arc<OffsetStore>,
    /// States.
    pub status: StatusStore,
    producer: Option<Arc<StoreProducer>>,
    /// Held during a round of fencing.
    fencing: Mutex<()>,
    /// What `errors.restart.policy` has done.
    pub restarts: Restarts,
    /// Has the leader do it, where that is another worker.
    fence_at_leader: OnceLock<LeaderFence>,
}

/// What the group has come to.
#[derive(Clone, Debug)]
struct GroupView {
    protocol: ConnectProtocol,
    leads: bool,
    leader_url: String,
}

/// What REST and the herder's thread share.
#[derive(Debug)]
struct Shared {
    parts: Parts,
    events: mpsc::Sender<Event>,
    /// There once they have been read.
    stores: watch::Sender<Option<Arc<Stores>>>,
    cluster_id: watch::Sender<Option<String>>,
    failure: Mutex<Option<Error>>,
    ended: watch::Sender<bool>,
    stopping: AtomicBool,
    generation: AtomicI64,
    /// What the group has come to, once it is joined.
    group: Mutex<Option<GroupView>>,
    /// `None` for a worker that has no others.
    session: Option<SessionSettings>,
    /// For requests to other workers.
    http: reqwest::Client,
}

/// Starts a herder. It contacts Kafka and reads its topics on its own thread; what goes wrong there
/// is told by [`Herder::failed`].
///
/// # Errors
/// The thread cannot be started.
pub fn start(parts: Parts) -> Result<Arc<dyn Herder>> {
    let (sender, receiver) = mpsc::channel();
    let session = match parts.config.standalone {
        true => None,
        false => Some(SessionSettings::of(&parts.config)?),
    };
    let http = client_of_workers(&parts.config, REQUEST_LIMIT)?;
    let shared = Arc::new(Shared {
        parts,
        events: sender,
        stores: watch::Sender::new(None),
        cluster_id: watch::Sender::new(None),
        failure: Mutex::default(),
        ended: watch::Sender::new(false),
        stopping: AtomicBool::new(false),
        generation: AtomicI64::new(1),
        group: Mutex::default(),
        session,
        http,
    });
    let thread = Arc::clone(&shared);
    std::thread::Builder::new()
        .name("herder".to_owned())
        .spawn(move || {
            let outcome = lifecycle::supervise(|| run(&thread, &receiver));
            if let Err(trace) = outcome {
                tracing::error!(
                    "Uncaught exception in herder work thread, exiting: {}",
                    trace.trim_end()
                );
                let mut failure = thread
                    .failure
                    .lock()
                    .unwrap_or_else(PoisonError::into_inner);
                failure.get_or_insert_with(|| Error::fatal(trace));
            }
            thread.ended.send_replace(true);
            tracing::info!("Herder stopped");
        })
        .map_err(|error| Error::fatal("starting a thread").with_source(error))?;
    Ok(shared)
}

/// The herder's thread.
fn run(shared: &Arc<Shared>, events: &mpsc::Receiver<Event>) -> Result<()> {
    let Some(stores) = load(shared)? else {
        return Ok(());
    };
    let worker = &shared.parts.config;
    let mut herder = Loop {
        shared: Arc::clone(shared),
        stores: Arc::clone(&stores),
        state: initial_state(worker),
        connectors: HashMap::new(),
        tasks: HashMap::new(),
        member: None,
        key_due: None,
        claim_due: None,
        shut_out: false,
    };
    let config = stores.config.state();
    let known: Vec<&str> = config.connectors().map(|name| &**name).collect();
    tracing::info!(offset = config.offset(), connectors = ?known, "Starting connectors and tasks");
    let loaded = Event::Loaded(Arc::clone(&config), stores.status.all());
    let mut done = herder.perform(loaded);
    if !worker.standalone {
        let (asks, of) = (Arc::downgrade(shared), Arc::downgrade(&stores));
        let fence = move |name: &str| {
            let (shared, stores) = (Weak::upgrade(&asks)?, Weak::upgrade(&of)?);
            shared.fence_at_leader(name, &stores)
        };
        // It is set once, here.
        drop(stores.fence_at_leader.set(LeaderFence(Box::new(fence))));
        herder.member = Some(join(shared, &stores)?);
    }
    shared.stores.send_replace(Some(Arc::clone(&stores)));
    tracing::info!("Finished starting connectors and tasks");
    while !done {
        let deadline = herder
            .state
            .next_deadline()
            .into_iter()
            .chain(herder.key_due)
            .chain(herder.claim_due)
            .min();
        let event = match deadline {
            None => events
                .recv()
                .map_err(|_gone| mpsc::RecvTimeoutError::Disconnected),
            Some(deadline) => {
                events.recv_timeout(deadline.saturating_duration_since(Instant::now()))
            }
        };
        let event = match event {
            Ok(event) => event,
            Err(mpsc::RecvTimeoutError::Timeout) => Event::Tick,
            Err(mpsc::RecvTimeoutError::Disconnected) => break,
        };
        if let Event::Group(Notice::Refused(why), _) = &event {
            let group = worker.group_id().unwrap_or_default();
            return Err(Error::fatal(format!("group {group}: {why}")));
        }
        done = herder.perform(event);
        herder.claim_config_topic();
        herder.rotate_key();
    }
    if let Some(producer) = &stores.producer {
        producer.flush(FLUSH_LIMIT);
    }
    // Once everything is written: whoever takes the work over goes on from it.
    if let Some(mut member) = herder.member.take() {
        member.leave();
    }
    stores.config.stop();
    stores.offsets.stop();
    stores.status.stop();
    Ok(())
}

/// A time of a worker's options; what is negative counts as none.
fn millis(worker: &WorkerConfig, key: &str) -> Duration {
    Duration::from_millis(u64::try_from(worker.options.int(key)).unwrap_or(0))
}

fn initial_state(worker: &WorkerConfig) -> HerderState {
    let graceful = millis(worker, "task.shutdown.graceful.timeout.ms");
    match worker.standalone {
        true => HerderState::alone(graceful),
        false => HerderState::in_group(graceful, group_limits(worker)),
    }
}

/// How long a worker waits for its group.
fn group_limits(worker: &WorkerConfig) -> GroupLimits {
    GroupLimits {
        sync: millis(worker, "worker.sync.timeout.ms"),
        max_delay: millis(worker, "scheduled.rebalance.max.delay.ms"),
    }
}

/// What a worker's options say of its membership.
fn member_settings(worker: &WorkerConfig) -> Result<Settings> {
    let setting = worker.options.string("connect.protocol");
    let heartbeat = millis(worker, "heartbeat.interval.ms");
    Ok(Settings {
        url: worker.advertised_url.clone(),
        protocol: ConnectProtocol::of_setting(setting).ok_or_else(|| {
            Error::config(format!(
                "Invalid value {setting} for configuration connect.protocol"
            ))
        })?,
        session: millis(worker, "session.timeout.ms"),
        heartbeat,
        beat: beat(heartbeat),
        rebalance: millis(worker, "rebalance.timeout.ms"),
        max_delay_ms: i32::try_from(worker.options.int("scheduled.rebalance.max.delay.ms"))
            .unwrap_or(i32::MAX),
    })
}

/// Joins the worker's group.
fn join(shared: &Arc<Shared>, stores: &Arc<Stores>) -> Result<GroupMember> {
    let worker = &shared.parts.config;
    let options = &worker.options;
    let client_id = match options.string_opt("client.id").map(str::trim) {
        Some(id) if !id.is_empty() => id.to_owned(),
        _ => format!("connect-{}", worker.worker_id),
    };
    let clients = clients::of_worker(worker, Client::Consumer, "group")?;
    let access = Access::of(&clients, &client_id)?;
    let settings = member_settings(worker)?;
    let (config, status) = (Arc::clone(stores), Arc::clone(stores));
    let (events, statuses, view) = (
        shared.events.clone(),
        Arc::clone(stores),
        Arc::clone(shared),
    );
    let surroundings = Surroundings {
        config: Box::new(move || config.config.state()),
        handed_over: Arc::new(move |work| is_handed_over(work, &status.status)),
        notify: Box::new(move |notice| {
            let mut all = Vec::new();
            if let Notice::Assigned(assigned) = &notice {
                *view.group.lock().unwrap_or_else(PoisonError::into_inner) = Some(GroupView {
                    protocol: assigned.protocol,
                    leads: assigned.leads,
                    leader_url: assigned.leader_url.clone(),
                });
                if assigned.leads {
                    all = statuses.status.all();
                }
            }
            // The herder may be gone while the worker stops.
            events.send(Event::Group(notice, all)).ok();
        }),
    };
    GroupMember::start(
        worker.group_id().unwrap_or_default(),
        access,
        settings,
        surroundings,
    )
}

/// Whether all of it was given up, or had failed, before its worker left: it says so in the status
/// topic before it leaves.
fn is_handed_over(work: &Work, status: &StatusStore) -> bool {
    let quiet = |info: Option<StateInfo>| {
        info.is_some_and(|info| {
            info.state == State::Unassigned.name() || info.state == State::Failed.name()
        })
    };
    work.connectors
        .iter()
        .all(|name| quiet(status.connector(name)))
        && work
            .tasks
            .iter()
            .all(|id| quiet(status.task(&id.connector, id.task)))
}

/// Contacts Kafka, creates the worker's topics where they are missing, and reads them; `None` where
/// the worker is to stop meanwhile.
fn load(shared: &Arc<Shared>) -> Result<Option<Arc<Stores>>> {
    let worker = &shared.parts.config;
    let options = &worker.options;
    let admin = clients::of_worker(worker, Client::Admin, "shared-admin")?;
    let cluster_id = cluster_id(&admin, CONTACT_LIMIT)?;
    tracing::info!("Kafka cluster ID: {cluster_id}");
    shared.cluster_id.send_replace(Some(cluster_id));
    let events = shared.events.clone();
    let loaded = Arc::new(AtomicBool::new(false));
    let live = Arc::clone(&loaded);
    let loggers = Arc::clone(&shared.parts.loggers);
    let listener = Box::new(move |state: Arc<ClusterConfigState>, change| {
        // What was there at the start comes as one snapshot.
        if !live.load(Ordering::Acquire) {
            return;
        }
        if let ConfigChange::Logger { logger, level } = &change {
            loggers.set(logger, level, crate::logging::now_ms());
        } else {
            // The herder may be gone while the worker stops.
            events.send(Event::Config(state, change)).ok();
        }
    });
    if worker.standalone {
        loaded.store(true, Ordering::Release);
        shared.generation.store(0, Ordering::Release);
        let file = options.string("offset.storage.file.filename");
        let stores = Arc::new(Stores {
            offsets: Arc::new(OffsetStore::file(Path::new(file))?),
            status: StatusStore::memory(&worker.worker_id),
            config: ConfigStore::memory(listener),
            producer: None,
            fencing: Mutex::default(),
            fence_at_leader: OnceLock::new(),
            restarts: Restarts::default(),
        });
        return Ok((!shared.stopping.load(Ordering::Acquire)).then_some(stores));
    }
    let admin = Admin::new(&admin, shared.parts.runtime.clone())?;
    let topics = [
        store_topic(worker, "offset.storage", "source connector offsets"),
        store_topic(worker, "status.storage", "connector and task statuses"),
        store_topic(worker, "config.storage", "connector configurations"),
    ];
    for topic in &topics {
        topic.ensure(&admin)?;
    }
    let producer = clients::stores_producer(worker, admin.numbers_records())?;
    let producer = Arc::new(StoreProducer::new(&producer)?);
    let consumer = |role: &str| clients::of_worker(worker, Client::Consumer, role);
    let [offsets, status, config] = &topics;
    let stores = Arc::new(Stores {
        offsets: Arc::new(OffsetStore::start(
            &offsets.name,
            consumer("offsets")?,
            Some(Arc::clone(&producer)),
        )?),
        status: StatusStore::start(
            &status.name,
            consumer("statuses")?,
            Arc::clone(&producer),
            &worker.worker_id,
        )?,
        config: ConfigStore::start(
            &config.name,
            consumer("configs")?,
            Arc::clone(&producer),
            leader_writer(shared)?,
            listener,
        )?,
        producer: Some(producer),
        fencing: Mutex::default(),
        fence_at_leader: OnceLock::new(),
        restarts: Restarts::default(),
    });
    stores.offsets.wait_until_read(LOAD_LIMIT)?;
    stores.status.wait_until_read(LOAD_LIMIT)?;
    stores.config.wait_until_read(&config.name, LOAD_LIMIT)?;
    loaded.store(true, Ordering::Release);
    Ok((!shared.stopping.load(Ordering::Acquire)).then_some(stores))
}

/// What a leader writes to the config topic with, where sources write exactly once or are to.
fn leader_writer(shared: &Arc<Shared>) -> Result<Option<LeaderWriter>> {
    let worker = &shared.parts.config;
    if worker.exactly_once() == ExactlyOnce::Disabled {
        return Ok(None);
    }
    let events = shared.events.clone();
    // The herder may be gone while the worker stops.
    let lost = Box::new(move || drop(events.send(Event::Tick)));
    Ok(Some(LeaderWriter::new(
        clients::leader_producer(worker)?,
        lost,
    )))
}

/// One of the worker's topics as its properties describe it.
pub(crate) fn store_topic(
    worker: &WorkerConfig,
    prefix: &'static str,
    holds: &'static str,
) -> StoreTopic {
    let options = &worker.options;
    let property = match prefix {
        "offset.storage" => "offset.storage.topic",
        "status.storage" => "status.storage.topic",
        _ => "config.storage.topic",
    };
    let partitions_key = format!("{prefix}.partitions");
    let mut config = worker.with_prefix(&format!("{prefix}."));
    for key in ["topic", "replication.factor"] {
        config.shift_remove(key);
    }
    if let Some(partitions) = config.shift_remove("partitions")
        && prefix == "config.storage"
    {
        tracing::warn!(
            "Ignoring 'config.storage.partitions={partitions}' setting, since config topic partitions is always 1"
        );
    }
    if let Some(policy) = config.shift_remove("cleanup.policy") {
        tracing::warn!(
            "Ignoring '{prefix}.cleanup.policy={policy}' setting, since compaction is always used"
        );
    }
    let small = |number: i64| i32::try_from(number).unwrap_or(i32::MAX);
    StoreTopic {
        name: options.string(property).to_owned(),
        property,
        holds,
        partitions: options.int_opt(&partitions_key).map_or(1, small),
        replication_factor: small(options.int(&format!("{prefix}.replication.factor"))),
        config,
    }
}

/// What the herder's thread holds.
struct Loop {
    shared: Arc<Shared>,
    stores: Arc<Stores>,
    state: HerderState,
    connectors: HashMap<Arc<str>, RunningConnector>,
    tasks: HashMap<TaskId, RunningTask>,
    member: Option<GroupMember>,
    /// When a leader looks at the session key again.
    key_due: Option<Instant>,
    /// When a leader tries again to be the one that writes to the config topic.
    claim_due: Option<Instant>,
    /// Another has shut it out from there: only the group can say who leads.
    shut_out: bool,
}

impl Loop {
    /// Makes sure that a leader, and no other, writes to the config topic by transactions. Who was
    /// shut out joins the group again, to be told who leads.
    fn claim_config_topic(&mut self) {
        let stores = Arc::clone(&self.stores);
        let Some(writer) = stores.config.leader() else {
            return;
        };
        if !self.state.leads() {
            writer.relinquish();
            (self.claim_due, self.shut_out) = (None, false);
            return;
        }
        if writer.take_lost() {
            tracing::warn!(
                "Failed to write to config topic as leader; will rejoin group and, if still \
                 leader, attempt to reclaim write privileges for the config topic"
            );
            self.shut_out = true;
            self.tell(membership::Event::Rejoin(
                "the config topic was claimed by another",
            ));
        }
        let waits = self.claim_due.is_some_and(|due| Instant::now() < due);
        if self.shut_out || waits || writer.is_claimed() {
            return;
        }
        self.claim_due = match writer.claim() {
            Ok(()) => None,
            Err(error) => {
                tracing::warn!(
                    error = %Chain(&error),
                    "Unable to claim write privileges for config topic. Will backoff and possibly \
                     retry if still the leader"
                );
                Some(Instant::now() + CLAIM_RETRY)
            }
        };
    }

    /// Makes a session key where this worker leads and one is due.
    fn rotate_key(&mut self) {
        let session = self.shared.session.as_ref();
        let Some(session) = session.filter(|_| self.shared.signs() && self.state.leads()) else {
            self.key_due = None;
            return;
        };
        if self.key_due.is_some_and(|due| Instant::now() < due) {
            return;
        }
        let now_ms = lifecycle::now_ms();
        let state = self.stores.config.state();
        let wait = match session.is_due(state.session_key(), now_ms) {
            Err(left) => Duration::from_millis(u64::try_from(left).unwrap_or(0)),
            Ok(()) => {
                let written = session
                    .make(now_ms)
                    .and_then(|key| self.stores.config.write(&[ConfigWrite::SessionKey(key)]));
                match written {
                    Ok(()) => tracing::info!("Session key updated"),
                    Err(error) => tracing::warn!(
                        error = %Chain(&error),
                        "Failed to write new session key to config topic"
                    ),
                }
                KEY_RETRY
            }
        };
        self.key_due = Some(Instant::now() + wait);
    }

    fn tell(&self, event: membership::Event) {
        if let Some(member) = &self.member {
            member.tell(event);
        }
    }

    /// Has the leader write task configurations; the outcome comes as an event.
    fn send_tasks(&self, name: Arc<str>, epoch: u64, tasks: Vec<RawConfig>, leader: &str) {
        let url = format!(
            "{}/connectors/{}/tasks",
            leader.trim_end_matches('/'),
            path_segment(&name)
        );
        let (shared, stores) = (Arc::clone(&self.shared), Arc::clone(&self.stores));
        self.shared.parts.runtime.spawn(async move {
            let body = serde_json::to_vec(&tasks).unwrap_or_default();
            let sent = shared
                .send_signed(reqwest::Method::POST, &url, body, &stores)
                .await;
            // The herder may be gone while the worker stops.
            shared.events.send(Event::TasksSent(name, epoch, sent)).ok();
        });
    }

    /// Decides what follows from an event and does it; `true` once all has stopped.
    fn perform(&mut self, event: Event) -> bool {
        let actions = self.state.step(Instant::now(), event);
        let mut done = false;
        for action in actions {
            done |= self.act(action);
        }
        done
    }

    fn act(&mut self, action: Action) -> bool {
        let events = &self.shared.events;
        match action {
            Action::StartConnector {
                name,
                epoch,
                config,
                target,
            } => {
                tracing::info!(connector = &*name, "Creating connector");
                let started = connector::start(
                    Arc::clone(&name),
                    epoch,
                    config,
                    target,
                    &self.shared.parts,
                    events,
                );
                self.connectors.insert(name, started);
            }
            Action::SetConnectorTarget(name, epoch, target) => {
                tracing::info!(
                    connector = &*name,
                    target = target.name(),
                    "Setting target state"
                );
                self.with_connector(&name, epoch, |connector| connector.set_target(target));
            }
            Action::MakeTasks(name, epoch) => {
                self.with_connector(&name, epoch, RunningConnector::make_tasks);
            }
            Action::StopConnector(name, epoch) => {
                tracing::info!(connector = &*name, "Stopping connector");
                self.with_connector(&name, epoch, RunningConnector::stop);
            }
            Action::StartTask {
                id,
                epoch,
                connector,
                config,
                paused,
            } => {
                tracing::info!(task = %id, "Creating task");
                let plan = TaskPlan {
                    id: id.clone(),
                    epoch,
                    connector,
                    config,
                    paused,
                };
                let running = lifecycle::start(plan, &self.shared.parts, &self.stores, events);
                self.tasks.insert(id, running);
            }
            Action::PauseTask(id, epoch, paused) => {
                self.with_task(&id, epoch, |task| task.control.pause(paused));
            }
            Action::StopTask(id, epoch) => {
                tracing::info!(task = %id, "Stopping task");
                self.with_task(&id, epoch, |task| task.control.stop());
            }
            Action::AbandonTask(id, epoch) => {
                self.with_task(&id, epoch, |task| task.control.abandon());
            }
            Action::Write(writes, reply) => {
                // What was written a moment ago is in the store before the state machine hears of it.
                let reply = match reply {
                    Reply::Put {
                        created: true,
                        allow_replace: false,
                        name,
                        answer,
                        ..
                    } if self.stores.config.state().contains(&name) => {
                        drop(answer.send(Err(state::already_exists(&name))));
                        return false;
                    }
                    reply => reply,
                };
                let result = self.stores.config.write(&writes);
                if let Err(error) = &result {
                    tracing::error!(error = %Chain(error), "writing to the config topic");
                }
                self.reply(reply, result);
            }
            Action::PutStatus(of, state, trace) => {
                let version = match state {
                    State::Unassigned | State::Restarting => None,
                    _ if !self.is_made(&of) => None,
                    _ => self
                        .shared
                        .version(of.connector(), &self.stores.config.state()),
                };
                let generation = self.shared.generation.load(Ordering::Acquire);
                self.stores
                    .status
                    .put(&of, state, generation, version, trace);
            }
            Action::RemoveStatus(of) => {
                match &of {
                    StatusOf::Connector(name) => drop(self.connectors.remove(name)),
                    StatusOf::Task(id) => drop(self.tasks.remove(id)),
                }
                self.stores.status.remove(&of);
            }
            Action::ResetTopics(name) => self.stores.status.reset_topics(&name),
            // Whoever asked may have given up.
            Action::Answer(answer, result) => drop(answer.send(result)),
            Action::AnswerRestart(answer, status) => drop(answer.send(status)),
            Action::SendTasks {
                name,
                epoch,
                tasks,
                leader,
            } => self.send_tasks(name, epoch, tasks, &leader),
            Action::Rejoin(reason) => self.tell(membership::Event::Rejoin(reason)),
            Action::Generation(generation) => {
                self.shared.generation.store(generation, Ordering::Release);
                // A leader that is new looks at the key, and claims the topic before it writes.
                self.key_due = None;
                self.shut_out = false;
                self.claim_config_topic();
            }
            Action::Release => {
                if let Some(producer) = &self.stores.producer {
                    producer.flush(FLUSH_LIMIT);
                }
                self.tell(membership::Event::Released);
            }
            Action::StepOut(pause, keeps_work) => {
                self.tell(membership::Event::StepOut(pause, keeps_work));
            }
            Action::RefusePut(answer, error) => drop(answer.send(Err(error))),
            Action::Exit => return true,
        }
        false
    }

    /// Whether the plugin of what a status is about could be made.
    fn is_made(&self, of: &StatusOf) -> bool {
        match of {
            StatusOf::Connector(name) => self
                .connectors
                .get(name)
                .is_none_or(RunningConnector::is_made),
            StatusOf::Task(id) => self.tasks.get(id).is_none_or(RunningTask::is_made),
        }
    }

    fn with_connector(&self, name: &str, epoch: u64, tell: impl FnOnce(&RunningConnector)) {
        if let Some(connector) = self
            .connectors
            .get(name)
            .filter(|known| known.epoch == epoch)
        {
            tell(connector);
        }
    }

    fn with_task(&self, id: &TaskId, epoch: u64, tell: impl FnOnce(&RunningTask)) {
        if let Some(task) = self.tasks.get(id).filter(|known| known.epoch == epoch) {
            tell(task);
        }
    }

    fn reply(&self, reply: Reply, result: Result<()>) {
        match reply {
            Reply::Nobody => {}
            Reply::Done(answer) => drop(answer.send(result.map_err(RequestError::from))),
            Reply::Put {
                created,
                name,
                config,
                answer,
                ..
            } => {
                let state = self.stores.config.state();
                let tasks = state.tasks(&name).iter().map(|id| id.task).collect();
                let kind = self.shared.kind(&config);
                let info = ConnectorInfo {
                    name,
                    config,
                    tasks,
                    kind,
                };
                drop(answer.send(result.map(|()| (created, info)).map_err(RequestError::from)));
            }
        }
    }
}

impl Shared {
    /// The stores, once they are read.
    async fn loaded(&self) -> Answer<Arc<Stores>> {
        let mut stores = self.stores.subscribe();
        let waited = tokio::time::timeout(REQUEST_LIMIT, stores.wait_for(Option::is_some)).await;
        match waited {
            Ok(Ok(stores)) => stores
                .clone()
                .ok_or_else(|| RequestError::failure("no stores")),
            Ok(Err(_)) => Err(RequestError::failure("Worker is shutting down")),
            Err(_) => Err(RequestError::failure("Request timed out")),
        }
    }
    /// The stores, if they are read.
    fn loaded_now(&self) -> Option<Arc<Stores>> {
        self.stores.borrow().clone()
    }

    /// Whether requests between workers are signed.
    fn signs(&self) -> bool {
        self.group_view()
            .is_some_and(|group| group.protocol == ConnectProtocol::Sessioned)
    }

    fn group_view(&self) -> Option<GroupView> {
        self.group
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// Has the leader fence a connector's old tasks; `None` where that is this worker. Blocks.
    fn fence_at_leader(&self, name: &str, stores: &Stores) -> Option<Result<()>> {
        let group = self.group_view().filter(|group| !group.leads)?;
        let leader = group.leader_url.trim_end_matches('/');
        let url = format!("{leader}/connectors/{}/fence", path_segment(name));
        let asked = self.send_signed(reqwest::Method::PUT, &url, Vec::new(), stores);
        Some(
            self.parts.runtime.block_on(asked).map_err(|error| {
                Error::fatal("Failed to perform zombie fencing").with_source(error)
            }),
        )
    }

    fn verify(&self, signed: &SignedRequest, stores: &Stores) -> Answer<()> {
        match &self.session {
            Some(session) if self.signs() => {
                session.verify(stores.config.state().session_key(), signed)
            }
            _ => Ok(()),
        }
    }

    /// Sends another worker a request that it answers only to workers of its group.
    async fn send_signed(
        &self,
        method: reqwest::Method,
        url: &str,
        body: Vec<u8>,
        stores: &Stores,
    ) -> Result<()> {
        let failed = |error: reqwest::Error| {
            Error::retriable(format!("IO Error trying to forward REST request to {url}"))
                .with_source(error)
        };
        let mut request = self
            .http
            .request(method, url)
            .header(reqwest::header::ACCEPT, "application/json")
            .header(reqwest::header::USER_AGENT, "kafka-connect");
        if !body.is_empty() {
            request = request.header(reqwest::header::CONTENT_TYPE, "application/json");
        }
        if self.signs()
            && let Some(session) = &self.session
            && let Some(key) = stores.config.state().session_key()
        {
            let (signature, algorithm) = session.sign(key, &body)?;
            request = request
                .header(SIGNATURE_HEADER, signature)
                .header(ALGORITHM_HEADER, algorithm);
        }
        let answer = request.body(body).send().await.map_err(failed)?;
        let status = answer.status();
        if status.is_success() {
            return Ok(());
        }
        let text = answer.text().await.unwrap_or_default();
        Err(Error::retriable(format!(
            "the leader answered {status} to {url}: {text}"
        )))
    }

    async fn ask<T>(&self, request: impl FnOnce(Sender<T>) -> Request) -> Answer<T> {
        let (answer, answered) = oneshot::channel();
        if self.events.send(Event::Request(request(answer))).is_err() {
            return Err(RequestError::failure("Worker is shutting down"));
        }
        match tokio::time::timeout(REQUEST_LIMIT, answered).await {
            Ok(Ok(result)) => result,
            Ok(Err(_gone)) => Err(RequestError::failure("Worker is shutting down")),
            Err(_elapsed) if self.parts.config.standalone => {
                Err(RequestError::failure("Request timed out"))
            }
            Err(_elapsed) => Err(RequestError::conflict(
                "Cannot complete request momentarily due to stale configuration (typically caused \
                 by a concurrent config change)",
            )),
        }
    }

    fn class(config: &RawConfig) -> Option<&str> {
        config.get("connector.class")?.as_deref()
    }
    fn kind(&self, config: &RawConfig) -> ConnectorKind {
        let plugin = Self::class(config).and_then(|class| self.parts.plugins.connector(class).ok());
        match plugin.map(connect_api::plugin::Plugin::kind) {
            Some(PluginKind::Source) => ConnectorKind::Source,
            Some(PluginKind::Sink) => ConnectorKind::Sink,
            _ => ConnectorKind::Unknown,
        }
    }
    fn version(&self, name: &str, state: &ClusterConfigState) -> Option<&'static str> {
        let class = Self::class(state.config(name)?)?;
        self.parts
            .plugins
            .connector(class)
            .ok()
            .map(|plugin| plugin.version)
    }
    fn status_now(&self, name: &str) -> Option<ConnectorStatus> {
        let stores = self.loaded_now()?;
        let connector = stores.status.connector(name)?;
        let kind = stores
            .config
            .state()
            .config(name)
            .map_or(ConnectorKind::Unknown, |config| self.kind(config));
        Some(ConnectorStatus {
            name: name.to_owned(),
            connector,
            tasks: stores.status.tasks(name),
            kind,
        })
    }
}

/// How often the coordinator is asked with this `heartbeat.interval.ms`.
fn beat(heartbeat: Duration) -> Duration {
    heartbeat.min(BEAT)
}

/// A name as one segment of a URL's path.
fn path_segment(name: &str) -> String {
    let mut out = String::with_capacity(name.len());
    for byte in name.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {
                out.push(char::from(byte));
            }
            other => out.push_str(&format!("%{other:02X}")),
        }
    }
    out
}

fn unknown(name: &str) -> RequestError {
    RequestError::not_found(format!("Connector {name} not found"))
}

#[async_trait]
impl Herder for Shared {
    async fn kafka_cluster_id(&self) -> Answer<String> {
        let mut cluster_id = self.cluster_id.subscribe();
        let found = tokio::time::timeout(REQUEST_LIMIT, cluster_id.wait_for(Option::is_some)).await;
        match found {
            Ok(Ok(id)) => Ok(id.clone().unwrap_or_default()),
            _ => Err(RequestError::failure("Request timed out")),
        }
    }
    async fn ping(&self) -> Answer<()> {
        self.loaded().await?;
        self.ask(Request::Ping).await
    }
    fn connectors(&self) -> Vec<String> {
        let Some(stores) = self.loaded_now() else {
            return Vec::new();
        };
        let mut names = JavaHashMap::new();
        for name in stores.config.state().connectors_as_they_came() {
            names.insert(name.to_string(), ());
        }
        // Java answers from a copy, which has no more buckets than it needs.
        let mut copy = JavaHashMap::sized_for(names.len());
        for name in names.keys() {
            copy.insert(name.clone(), ());
        }
        copy.keys().cloned().collect()
    }
    async fn connector(&self, name: &str) -> Answer<ConnectorInfo> {
        let state = self.loaded().await?.config.state();
        let config = RawConfig::clone(state.config(name).ok_or_else(|| unknown(name))?);
        let kind = self.kind(&config);
        let tasks = state.tasks(name).iter().map(|id| id.task).collect();
        Ok(ConnectorInfo {
            name: name.to_owned(),
            config,
            tasks,
            kind,
        })
    }
    async fn put_connector(
        &self,
        name: &str,
        config: RawConfig,
        target: Option<TargetState>,
        allow_replace: bool,
    ) -> Answer<(bool, ConnectorInfo)> {
        self.loaded().await?;
        let name = name.to_owned();
        self.ask(|answer| Request::PutConnector {
            name,
            config,
            target,
            allow_replace,
            answer,
        })
        .await
    }
    async fn delete_connector(&self, name: &str) -> Answer<()> {
        self.loaded().await?;
        self.ask(|answer| Request::DeleteConnector(name.to_owned(), answer))
            .await
    }
    async fn set_target_state(&self, name: &str, target: TargetState) -> Answer<()> {
        self.loaded().await?;
        self.ask(|answer| Request::SetTarget(name.to_owned(), target, answer))
            .await
    }
    fn status(&self, name: &str) -> Answer<ConnectorStatus> {
        self.status_now(name)
            .ok_or_else(|| RequestError::not_found(format!("No status found for connector {name}")))
    }
    fn task_status(&self, name: &str, task: u32) -> Answer<StateInfo> {
        self.loaded_now()
            .and_then(|stores| stores.status.task(name, task))
            .ok_or_else(|| {
                RequestError::not_found(format!("No status found for task {name}-{task}"))
            })
    }
    async fn task_configs(&self, name: &str) -> Answer<Vec<RawConfig>> {
        let state = self.loaded().await?.config.state();
        if !state.contains(name) {
            return Err(unknown(name));
        }
        let tasks = state.tasks(name);
        Ok(tasks
            .iter()
            .filter_map(|id| state.task_config(id))
            .map(|config| RawConfig::clone(config))
            .collect())
    }
    async fn restart_connector(&self, name: &str) -> Answer<()> {
        self.loaded().await?;
        self.ask(|answer| Request::RestartConnector(name.to_owned(), answer))
            .await
    }
    async fn restart(
        &self,
        name: &str,
        only_failed: bool,
        include_tasks: bool,
    ) -> Answer<ConnectorStatus> {
        let state = self.loaded().await?.config.state();
        if !state.contains(name) {
            return Err(RequestError::not_found(format!(
                "Unknown connector: {name}"
            )));
        }
        let status = self.status_now(name).ok_or_else(|| {
            RequestError::not_found(format!("Status for connector {name} not found"))
        })?;
        let name = name.to_owned();
        self.ask(|answer| Request::RestartPlan {
            name,
            only_failed,
            include_tasks,
            status,
            answer,
        })
        .await
    }
    async fn restart_task(&self, name: &str, task: u32) -> Answer<()> {
        self.loaded().await?;
        let id = TaskId {
            connector: name.into(),
            task,
        };
        self.ask(|answer| Request::RestartTask(id, answer)).await
    }
    fn active_topics(&self, name: &str) -> Vec<String> {
        self.loaded_now()
            .map_or_else(Vec::new, |stores| stores.status.topics(name))
    }
    fn restarts(&self, name: &str) -> Vec<Restart> {
        self.loaded_now()
            .map_or_else(Vec::new, |stores| stores.restarts.of(name))
    }
    async fn reset_active_topics(&self, name: &str) -> Answer<()> {
        self.loaded().await?.status.reset_topics(name);
        Ok(())
    }
    async fn set_logger_level(&self, logger: &str, level: &str) -> Answer<()> {
        let stores = self.loaded().await?;
        let write = ConfigWrite::Logger(logger.into(), level.to_owned());
        tokio::task::spawn_blocking(move || stores.config.write(&[write]))
            .await
            .map_err(|error| RequestError::failure(error.to_string()))??;
        Ok(())
    }
    async fn offsets(&self, name: &str) -> Answer<Vec<OffsetEntry>> {
        let stores = self.loaded().await?;
        let state = stores.config.state();
        let config = Arc::clone(state.config(name).ok_or_else(|| unknown(name))?);
        offsets::read(&self.parts, stores, self.kind(&config), name, config).await
    }
    async fn put_task_configs(
        &self,
        name: &str,
        tasks: Vec<RawConfig>,
        signed: SignedRequest,
    ) -> Answer<()> {
        if self.parts.config.standalone {
            return Err(RequestError::failure(
                "Kafka Connect in standalone mode does not support externally setting task \
                 configurations.",
            ));
        }
        self.verify(&signed, &*self.loaded().await?)?;
        let name = name.to_owned();
        self.ask(|answer| Request::PutTasks {
            name,
            tasks,
            answer,
        })
        .await
    }
    async fn fence_zombies(&self, name: &str, signed: SignedRequest) -> Answer<()> {
        if self.parts.config.standalone {
            return Err(RequestError::failure(
                "Kafka Connect in standalone mode does not support exactly-once source connectors.",
            ));
        }
        let stores = self.loaded().await?;
        self.verify(&signed, &stores)?;
        self.ask(|answer| Request::Fence(name.to_owned(), answer))
            .await?;
        let state = stores.config.state();
        let config = state.config(name).ok_or_else(|| unknown(name))?;
        if self.kind(config) != ConnectorKind::Source {
            return Err(RequestError::bad_request(format!(
                "Connector {name} is not a source connector"
            )));
        }
        let (parts, name) = (self.parts.clone(), name.to_owned());
        let fenced = self
            .parts
            .runtime
            .spawn_blocking(move || fencing::perform_here(&parts, &stores, &name));
        match fenced.await {
            Ok(outcome) => Ok(outcome?),
            Err(error) => Err(RequestError::failure(error.to_string())),
        }
    }
    async fn alter_offsets(&self, name: &str, changes: Option<Vec<OffsetEntry>>) -> Answer<String> {
        let stores = self.loaded().await?;
        self.ask(|answer| Request::CheckStopped(name.to_owned(), answer))
            .await?;
        let state = stores.config.state();
        let config = Arc::clone(state.config(name).ok_or_else(|| unknown(name))?);
        offsets::change(
            &self.parts,
            stores,
            self.kind(&config),
            name,
            config,
            changes,
        )
        .await
    }
    fn stop(&self) {
        tracing::info!("Herder stopping");
        self.stopping.store(true, Ordering::Release);
        // A herder that is gone has stopped.
        self.events.send(Event::Stop).ok();
        let graceful = self
            .parts
            .config
            .options
            .int("task.shutdown.graceful.timeout.ms");
        let limit =
            Duration::from_millis(u64::try_from(graceful).unwrap_or(0)) + Duration::from_secs(10);
        let deadline = Instant::now() + limit;
        while !*self.ended.borrow() {
            if Instant::now() > deadline {
                tracing::error!("the herder did not stop in time");
                return;
            }
            std::thread::sleep(Duration::from_millis(5));
        }
    }
    async fn failed(&self) -> Error {
        let mut ended = self.ended.subscribe();
        // The sender lives as long as we do.
        drop(ended.wait_for(|ended| *ended).await);
        let failure = self
            .failure
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        match failure {
            Some(error) => error,
            // Stopped on request: whoever asked waits for that, not for this.
            None => std::future::pending().await,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::tests::config;
    use connect_api::Props;

    #[test]
    fn options_reach_the_membership() {
        let worker = config(&[
            ("session.timeout.ms", "7000"),
            ("heartbeat.interval.ms", "700"),
            ("rebalance.timeout.ms", "70000"),
            ("worker.sync.timeout.ms", "70"),
            ("scheduled.rebalance.max.delay.ms", "7"),
            ("connect.protocol", "compatible"),
            ("task.shutdown.graceful.timeout.ms", "700"),
        ])
        .expect("valid");
        let settings = member_settings(&worker).expect("valid");
        let times = [settings.session, settings.heartbeat, settings.rebalance];
        assert_eq!(times.map(|time| time.as_millis()), [7000, 700, 70000]);
        assert_eq!(settings.protocol, ConnectProtocol::Compatible);
        assert_eq!(settings.max_delay_ms, 7);
        let limits = group_limits(&worker);
        assert_eq!(limits.sync, Duration::from_millis(70));
        assert_eq!(limits.max_delay, Duration::from_millis(7));
        let stop_limit = initial_state(&worker).task_stop_limit;
        assert_eq!(stop_limit, Duration::from_millis(700));
    }

    #[test]
    fn options_reach_the_topics_of_the_worker() {
        let worker = config(&[
            ("offset.storage.topic", "offsets"),
            ("offset.storage.partitions", "7"),
            ("offset.storage.replication.factor", "2"),
            ("offset.storage.segment.bytes", "70000"),
            ("offset.storage.cleanup.policy", "delete"),
            ("status.storage.topic", "statuses"),
            ("status.storage.partitions", "3"),
            ("status.storage.replication.factor", "-1"),
            ("config.storage.topic", "configs"),
            ("config.storage.replication.factor", "1"),
            ("config.storage.partitions", "9"),
        ])
        .expect("valid");
        let topic = |prefix| {
            let topic = store_topic(&worker, prefix, "");
            (
                topic.name,
                topic.partitions,
                topic.replication_factor,
                topic.config,
            )
        };
        let own = Props::from_iter([("segment.bytes".to_owned(), "70000".to_owned())]);
        assert_eq!(topic("offset.storage"), ("offsets".to_owned(), 7, 2, own));
        let rest = [
            ("status.storage", ("statuses", 3, -1)),
            ("config.storage", ("configs", 1, 1)),
        ];
        for (prefix, (name, partitions, replicas)) in rest {
            let expected = (name.to_owned(), partitions, replicas, Props::new());
            assert_eq!(topic(prefix), expected);
        }
    }

    #[test]
    fn the_coordinator_is_asked_every_half_second_or_more_often() {
        for (interval, asked) in [(3000, 500), (500, 500), (200, 200)] {
            let asked = Duration::from_millis(asked);
            assert_eq!(beat(Duration::from_millis(interval)), asked);
        }
    }
}
