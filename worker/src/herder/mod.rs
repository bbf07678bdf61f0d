//! Decides what runs on this worker, and performs it.
//!
//! [`state`] decides; the loop here is the shell round it: one thread hears events, performs
//! actions, and is the only one that writes configurations. Answers for `DistributedHerder` and
//! `AbstractHerder`.

mod client_settings;
mod connector_config;
pub mod fencing;
mod group_seat;
mod offsets;
pub mod request;
pub mod state;
pub mod validate;
pub(crate) mod version_range;

use std::collections::HashMap;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, mpsc};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use connect_api::error::Chain;
use connect_api::java::HashMap as JavaHashMap;
use connect_api::plugin::PluginKind;
use connect_api::{Error, Result};
use tokio::sync::{oneshot, watch};

use self::group_seat::GroupSeat;
use self::request::{
    Answer, ConnectorInfo, ConnectorKind, ConnectorStatus, Herder, OffsetEntry, Parts, RawConfig,
    Request, RequestError, Sender, StateInfo, TargetState, TaskId,
};
use self::state::{Action, Event, HerderState, Reply};
use crate::kafka::admin::{Admin, cluster_id};
use crate::kafka::producer::StoreProducer;
use crate::kafka::translate::Client;
use crate::store::cluster_state::ClusterConfigState;
use crate::store::config::ConfigStore;
use crate::store::log::StoreTopic;
use crate::store::offset::OffsetStore;
use crate::store::status::{State, StatusOf, StatusStore};
use crate::task::clients;
use crate::task::connector::{self, RunningConnector};
use crate::task::lifecycle::{self, RunningTask, TaskPlan};

/// How long the worker's topics may take to be read at the start.
const LOAD_LIMIT: Duration = Duration::from_secs(600);
/// How long the broker may take to answer at the start: Java's `default.api.timeout.ms`.
const CONTACT_LIMIT: Duration = Duration::from_secs(60);
/// The JVM's limit for a request that waits for the herder.
const REQUEST_LIMIT: Duration = Duration::from_secs(90);

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
}

/// Starts a herder. It contacts Kafka and reads its topics on its own thread; what goes wrong there
/// is told by [`Herder::failed`].
///
/// # Errors
/// The thread cannot be started.
pub fn start(parts: Parts) -> Result<Arc<dyn Herder>> {
    let (sender, receiver) = mpsc::channel();
    let shared = Arc::new(Shared {
        parts,
        events: sender,
        stores: watch::Sender::new(None),
        cluster_id: watch::Sender::new(None),
        failure: Mutex::default(),
        ended: watch::Sender::new(false),
        stopping: AtomicBool::new(false),
        generation: AtomicI64::new(1),
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
    let Some((stores, seat)) = load(shared)? else {
        return Ok(());
    };
    let graceful = shared
        .parts
        .config
        .options
        .int("task.shutdown.graceful.timeout.ms");
    let mut herder = Loop {
        shared: Arc::clone(shared),
        stores: Arc::clone(&stores),
        state: HerderState::new(Duration::from_millis(u64::try_from(graceful).unwrap_or(0))),
        connectors: HashMap::new(),
        tasks: HashMap::new(),
    };
    let config = stores.config.state();
    let known: Vec<&str> = config.connectors().map(|name| &**name).collect();
    tracing::info!(offset = config.offset(), connectors = ?known, "Starting connectors and tasks");
    let loaded = Event::Loaded(Arc::clone(&config), stores.status.all());
    let mut done = herder.perform(loaded);
    shared.stores.send_replace(Some(Arc::clone(&stores)));
    tracing::info!("Finished starting connectors and tasks");
    while !done {
        let event = match herder.state.next_deadline() {
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
        done = herder.perform(event);
    }
    if let Some(producer) = &stores.producer {
        producer.flush(Duration::from_secs(5));
    }
    stores.config.stop();
    stores.offsets.stop();
    stores.status.stop();
    // Last, so that whoever waits for it finds everything written.
    drop(seat);
    Ok(())
}

/// Contacts Kafka, creates the worker's topics where they are missing, and reads them; `None` where
/// the worker is to stop meanwhile.
fn load(shared: &Arc<Shared>) -> Result<Option<(Arc<Stores>, Option<GroupSeat>)>> {
    let worker = &shared.parts.config;
    let options = &worker.options;
    let admin = clients::of_worker(worker, Client::Admin, "shared-admin")?;
    let cluster_id = cluster_id(&admin, CONTACT_LIMIT)?;
    tracing::info!("Kafka cluster ID: {cluster_id}");
    shared.cluster_id.send_replace(Some(cluster_id));
    let events = shared.events.clone();
    let loaded = Arc::new(AtomicBool::new(false));
    let live = Arc::clone(&loaded);
    let listener = Box::new(move |state: Arc<ClusterConfigState>, change| {
        // What was there at the start comes as one snapshot.
        if live.load(Ordering::Acquire) {
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
        });
        return Ok((!shared.stopping.load(Ordering::Acquire)).then_some((stores, None)));
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
    let producer = Arc::new(StoreProducer::new(&clients::of_worker(
        worker,
        Client::Producer,
        "stores",
    )?)?);
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
            listener,
        )?,
        producer: Some(producer),
        fencing: Mutex::default(),
    });
    stores.offsets.wait_until_read(LOAD_LIMIT)?;
    stores.status.wait_until_read(LOAD_LIMIT)?;
    stores.config.wait_until_read(&config.name, LOAD_LIMIT)?;
    let stopping = || shared.stopping.load(Ordering::Acquire);
    let Some(seat) = GroupSeat::take(worker, &admin, stopping)? else {
        return Ok(None);
    };
    loaded.store(true, Ordering::Release);
    // Without a group there is no generation; statuses must not look older than those before.
    shared
        .generation
        .store(stores.status.highest_generation() + 1, Ordering::Release);
    Ok((!shared.stopping.load(Ordering::Acquire)).then_some((stores, Some(seat))))
}

/// One of the worker's topics as its properties describe it.
pub(crate) fn store_topic(
    worker: &crate::config::WorkerConfig,
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
}

impl Loop {
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
            Action::AnswerRestart(answer, status) => drop(answer.send(Ok(status))),
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

    async fn ask<T>(&self, request: impl FnOnce(Sender<T>) -> Request) -> Answer<T> {
        let (answer, answered) = oneshot::channel();
        if self.events.send(Event::Request(request(answer))).is_err() {
            return Err(RequestError::failure("Worker is shutting down"));
        }
        match tokio::time::timeout(REQUEST_LIMIT, answered).await {
            Ok(Ok(result)) => result,
            Ok(Err(_gone)) => Err(RequestError::failure("Worker is shutting down")),
            Err(_elapsed) => Err(RequestError::failure("Request timed out")),
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
        for name in stores.config.state().connectors() {
            names.insert(name.to_string(), ());
        }
        names.keys().cloned().collect()
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
    async fn reset_active_topics(&self, name: &str) -> Answer<()> {
        self.loaded().await?.status.reset_topics(name);
        Ok(())
    }
    async fn offsets(&self, name: &str) -> Answer<Vec<OffsetEntry>> {
        let stores = self.loaded().await?;
        let state = stores.config.state();
        let config = Arc::clone(state.config(name).ok_or_else(|| unknown(name))?);
        offsets::read(&self.parts, stores, self.kind(&config), name, config).await
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
