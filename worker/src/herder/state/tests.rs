//! What the herder's state machine does, as facts.

use super::*;
use crate::group::Work;
use crate::group::membership::Assigned;
use crate::herder::request::{ConnectorKind, ConnectorStatus, StateInfo};

struct World {
    herder: HerderState,
    topic: ClusterConfigState,
    now: Instant,
}

impl World {
    fn new() -> Self {
        let mut world = Self {
            herder: HerderState::alone(Duration::from_secs(5)),
            topic: ClusterConfigState::default(),
            now: Instant::now(),
        };
        world.step(Event::Loaded(Arc::default(), Vec::new()));
        world
    }
    fn step(&mut self, event: Event) -> Vec<String> {
        self.herder
            .step(self.now, event)
            .iter()
            .map(shown)
            .collect()
    }
    fn record(&mut self, key: &str, value: &str) -> Vec<String> {
        let value = (value != "null").then_some(value.as_bytes());
        let offset = self.topic.offset().max(0);
        let change = self.topic.apply(offset, key.as_bytes(), value);
        let change = change.unwrap_or(ConfigChange::Nothing);
        self.step(Event::Config(Arc::new(self.topic.clone()), change))
    }
    fn connector(&mut self, epoch: u64, event: ConnectorEvent) -> Vec<String> {
        self.step(Event::Connector("a".into(), epoch, event))
    }
    fn task(&mut self, epoch: u64, event: TaskEvent) -> Vec<String> {
        self.step(Event::Task(
            TaskId {
                connector: "a".into(),
                task: 0,
            },
            epoch,
            event,
        ))
    }
    /// A connector with one running task.
    fn running() -> Self {
        let mut world = Self::new();
        assert_eq!(world.record("connector-a", CONFIG), ["start a@1 STARTED"]);
        assert_eq!(
            world.connector(1, ConnectorEvent::State(State::Running, None)),
            ["status a RUNNING", "make tasks a"]
        );
        world.record("task-a-0", TASK);
        assert_eq!(world.record("commit-a", r#"{"tasks":1}"#), ["start a-0@2"]);
        assert_eq!(
            world.task(2, TaskEvent::State(State::Running, None)),
            ["status a-0 RUNNING"]
        );
        world
    }
}

const CONFIG: &str = r#"{"properties":{"connector.class":"X"}}"#;
const TASK: &str = r#"{"properties":{"task.class":"T"}}"#;

fn task_config() -> RawConfig {
    [("task.class".to_owned(), Some("T".to_owned()))]
        .into_iter()
        .collect()
}

fn shown(action: &Action) -> String {
    let of = |of: &StatusOf| match of {
        StatusOf::Connector(name) => name.to_string(),
        StatusOf::Task(id) => id.to_string(),
    };
    match action {
        Action::StartConnector {
            name,
            epoch,
            target,
            ..
        } => {
            format!("start {name}@{epoch} {}", target.name())
        }
        Action::SetConnectorTarget(name, _, target) => format!("set {name} {}", target.name()),
        Action::MakeTasks(name, _) => format!("make tasks {name}"),
        Action::StopConnector(name, epoch) => format!("stop {name}@{epoch}"),
        Action::StartTask {
            id, epoch, paused, ..
        } => {
            format!("start {id}@{epoch}{}", if *paused { " paused" } else { "" })
        }
        Action::PauseTask(id, _, paused) => format!("pause {id} {paused}"),
        Action::StopTask(id, epoch) => format!("stop {id}@{epoch}"),
        Action::AbandonTask(id, epoch) => format!("abandon {id}@{epoch}"),
        Action::Write(writes, _) => format!("write {}", writes.len()),
        Action::PutStatus(who, state, _) => format!("status {} {}", of(who), state.name()),
        Action::RemoveStatus(who) => format!("forget {}", of(who)),
        Action::ResetTopics(name) => format!("reset topics {name}"),
        Action::Answer(_, result) => format!("answer {:?}", result.as_ref().err()),
        Action::AnswerRestart(_, Ok(info)) => {
            let tasks = info.tasks.iter();
            let tasks: Vec<String> = tasks
                .map(|(id, info)| format!("{id} {}", info.state))
                .collect();
            format!("restarting {} {}", info.connector.state, tasks.join(","))
        }
        Action::AnswerRestart(_, Err(error)) => format!("refuse {error}"),
        Action::SendTasks { name, leader, .. } => format!("send tasks {name} to {leader}"),
        Action::Rejoin(_) => "rejoin".to_owned(),
        Action::Generation(generation) => format!("generation {generation}"),
        Action::Release => "release".to_owned(),
        Action::StepOut(..) => "step out".to_owned(),
        Action::RefusePut(_, error) => format!("refuse {error}"),
        Action::Exit => "exit".to_owned(),
    }
}

#[test]
fn a_new_configuration_restarts_the_connector_and_a_commit_its_tasks() {
    let mut world = World::running();
    assert_eq!(world.record("connector-a", CONFIG), ["stop a@1"]);
    assert_eq!(
        world.connector(1, ConnectorEvent::Gone),
        ["status a UNASSIGNED", "start a@3 STARTED"]
    );
    world.record("task-a-0", TASK);
    assert_eq!(world.record("commit-a", r#"{"tasks":1}"#), ["stop a-0@2"]);
    assert_eq!(
        world.task(2, TaskEvent::Gone),
        ["status a-0 UNASSIGNED", "start a-0@4"]
    );
    assert_eq!(
        world.task(2, TaskEvent::Gone),
        [""; 0],
        "an old incarnation is not heard"
    );
}

#[test]
fn tasks_are_written_only_where_something_differs() {
    let mut world = World::running();
    let same = ConnectorEvent::Tasks(Ok(vec![task_config()]));
    assert_eq!(world.connector(1, same), [""; 0]);
    let more = ConnectorEvent::Tasks(Ok(vec![task_config(), task_config()]));
    assert_eq!(world.connector(1, more), ["write 1"]);
    world.record(
        "connector-a",
        r#"{"properties":{"connector.class":"X","new":"1"}}"#,
    );
    world.connector(1, ConnectorEvent::Gone);
    let same = ConnectorEvent::Tasks(Ok(vec![task_config()]));
    assert_eq!(
        world.connector(3, same),
        ["write 1"],
        "the connector's own config differs"
    );
}

#[test]
fn a_failed_task_stays_failed_until_it_is_restarted() {
    let mut world = World::running();
    assert_eq!(
        world.task(2, TaskEvent::State(State::Failed, None)),
        ["status a-0 FAILED"]
    );
    assert_eq!(world.step(Event::Tick), [""; 0]);
    assert_eq!(
        world.record(
            "restart-connector-a",
            r#"{"include-tasks":true,"only-failed":true}"#
        ),
        ["status a-0 RESTARTING", "start a-0@3"]
    );
}

#[test]
fn a_stopped_connector_loses_its_tasks_and_keeps_its_shell() {
    let mut world = World::running();
    assert_eq!(world.record("commit-a", r#"{"tasks":0}"#), ["stop a-0@2"]);
    assert_eq!(
        world.record(
            "target-state-a",
            r#"{"state":"PAUSED","state.v2":"STOPPED"}"#
        ),
        ["set a STOPPED"]
    );
    assert_eq!(
        world.task(2, TaskEvent::Gone),
        ["status a-0 UNASSIGNED", "forget a-0"]
    );
    assert_eq!(
        world.record(
            "target-state-a",
            r#"{"state":"STARTED","state.v2":"STARTED"}"#
        ),
        ["set a STARTED"]
    );
}

#[test]
fn a_paused_connector_pauses_its_tasks() {
    let mut world = World::running();
    assert_eq!(
        world.record(
            "target-state-a",
            r#"{"state":"PAUSED","state.v2":"PAUSED"}"#
        ),
        ["set a PAUSED", "pause a-0 true"]
    );
}

#[test]
fn a_deleted_connector_leaves_nothing_behind() {
    let mut world = World::running();
    assert_eq!(
        world.record("connector-a", "null"),
        ["stop a-0@2", "stop a@1"]
    );
    assert_eq!(
        world.task(2, TaskEvent::Gone),
        ["status a-0 UNASSIGNED", "forget a-0"]
    );
    assert_eq!(
        world.connector(1, ConnectorEvent::Gone),
        ["status a UNASSIGNED", "forget a", "reset topics a"]
    );
}

#[test]
fn a_task_that_does_not_stop_in_time_is_given_up() {
    let mut world = World::running();
    world.step(Event::Request(Request::RestartTask(
        TaskId {
            connector: "a".into(),
            task: 0,
        },
        tokio::sync::oneshot::channel().0,
    )));
    world.now += Duration::from_secs(6);
    assert!(
        world
            .herder
            .next_deadline()
            .is_some_and(|at| at < world.now)
    );
    assert_eq!(
        world.step(Event::Tick),
        ["abandon a-0@2", "status a-0 UNASSIGNED", "start a-0@3"]
    );
}

#[test]
fn stopping_the_worker_ends_when_everything_is_gone() {
    let mut world = World::running();
    assert_eq!(world.step(Event::Stop), ["stop a-0@2", "stop a@1"]);
    assert_eq!(world.task(2, TaskEvent::Gone), ["status a-0 UNASSIGNED"]);
    assert_eq!(
        world.connector(1, ConnectorEvent::Gone),
        ["status a UNASSIGNED", "exit"]
    );
}

#[test]
fn statuses_without_a_configuration_are_forgotten_at_the_start() {
    let mut herder = HerderState::alone(Duration::from_secs(5));
    let actions = herder.step(
        Instant::now(),
        Event::Loaded(Arc::default(), vec![StatusOf::Connector("gone".into())]),
    );
    assert_eq!(
        actions.iter().map(shown).collect::<Vec<_>>(),
        ["forget gone"]
    );
}

#[test]
fn task_configurations_that_cannot_be_had_are_asked_for_again() {
    let mut world = World::running();
    let failure = || ConnectorEvent::Tasks(Err(connect_api::Error::fatal("no")));
    assert_eq!(world.connector(1, failure()), [""; 0]);
    world.now += Duration::from_millis(250);
    assert_eq!(world.step(Event::Tick), ["make tasks a"]);
    world.connector(1, failure());
    assert_eq!(
        world.herder.next_deadline(),
        Some(world.now + Duration::from_millis(500))
    );
}

/// A worker in a group, with a connector that has one task.
struct Grouped(World);

impl Grouped {
    fn new() -> Self {
        let limits = group::GroupLimits {
            sync: Duration::from_secs(3),
            max_delay: Duration::from_secs(300),
        };
        let mut world = World::new();
        world.herder = HerderState::in_group(Duration::from_secs(5), limits);
        world.step(Event::Loaded(Arc::default(), Vec::new()));
        Self(world)
    }
    fn assign(&mut self, assigned: Assigned) -> Vec<String> {
        self.0
            .step(Event::Group(Notice::Assigned(assigned), Vec::new()))
    }
    /// What this worker has at the config topic's present offset.
    fn assigned(&self, connectors: &[&str], tasks: u32) -> Assigned {
        Assigned {
            generation: 7,
            leads: true,
            leader_url: "http://here/".to_owned(),
            offset: self.0.topic.offset(),
            work: work(connectors, tasks),
            ..Assigned::default()
        }
    }
}

fn work(connectors: &[&str], tasks: u32) -> Work {
    Work {
        connectors: connectors.iter().map(|&name| name.into()).collect(),
        tasks: (0..tasks)
            .map(|task| TaskId {
                connector: "a".into(),
                task,
            })
            .collect(),
    }
}

#[test]
fn only_what_is_assigned_runs_and_what_is_revoked_is_let_go_of_before_the_group_goes_on() {
    let mut group = Grouped::new();
    assert_eq!(group.0.record("connector-a", CONFIG), ["rejoin"]);
    assert_eq!(
        group.assign(group.assigned(&[], 0)),
        ["generation 7"],
        "it is another's"
    );
    assert_eq!(
        group.assign(group.assigned(&["a"], 0)),
        ["generation 7", "start a@1 STARTED"]
    );
    group.0.record("task-a-0", TASK);
    assert_eq!(group.0.record("commit-a", r#"{"tasks":1}"#), ["rejoin"]);
    assert_eq!(
        group.assign(group.assigned(&["a"], 1)),
        ["generation 7", "start a-0@2"]
    );
    let mut revoking = group.assigned(&["a"], 0);
    revoking.revoked = work(&[], 1);
    assert_eq!(group.assign(revoking), ["generation 7", "stop a-0@2"]);
    assert_eq!(
        group.0.task(2, TaskEvent::Gone),
        ["status a-0 UNASSIGNED", "release"]
    );
    assert_eq!(
        group.0.step(Event::Group(Notice::RevokeAll, Vec::new())),
        ["stop a@1"]
    );
    assert_eq!(
        group.0.connector(1, ConnectorEvent::Gone),
        ["status a UNASSIGNED", "release"]
    );
}

#[test]
fn new_tasks_wait_for_an_assignment_that_knows_of_them() {
    let mut group = Grouped::new();
    group.0.record("connector-a", CONFIG);
    group.0.record("task-a-0", TASK);
    group.0.record("commit-a", r#"{"tasks":1}"#);
    let before = group.assigned(&[], 1);
    assert_eq!(
        group.assign(before.clone()),
        ["generation 7", "start a-0@1"]
    );
    group.0.record("task-a-0", TASK);
    assert_eq!(
        group.0.record("commit-a", r#"{"tasks":1}"#),
        ["rejoin", "stop a-0@1"]
    );
    assert_eq!(group.0.task(1, TaskEvent::Gone), ["status a-0 UNASSIGNED"]);
    assert_eq!(
        group.assign(before),
        ["generation 7"],
        "it may be another's by now"
    );
    assert_eq!(
        group.assign(group.assigned(&[], 1)),
        ["generation 7", "start a-0@2"]
    );
}

#[test]
fn nothing_starts_before_the_config_topic_is_read_as_far_as_the_assignment_presumes() {
    let mut group = Grouped::new();
    group.0.record("connector-a", CONFIG);
    let mut ahead = group.assigned(&["a"], 0);
    ahead.offset += 2;
    assert_eq!(group.assign(ahead), ["generation 7"]);
    group.0.now += Duration::from_secs(4);
    assert!(
        group
            .0
            .herder
            .next_deadline()
            .is_some_and(|at| at < group.0.now)
    );
    assert_eq!(group.0.step(Event::Tick), ["step out"]);
    assert_eq!(group.0.record("other", "{}"), [""; 0]);
    assert_eq!(group.0.record("other", "{}"), ["start a@1 STARTED"]);
}

#[test]
fn requests_wait_until_the_group_has_settled_and_go_to_who_can_answer() {
    let mut group = Grouped::new();
    group.0.record("connector-a", CONFIG);
    let (sender, mut answer) = tokio::sync::oneshot::channel();
    let delete = Request::DeleteConnector("a".to_owned(), sender);
    assert_eq!(group.0.step(Event::Request(delete)), [""; 0], "it waits");
    assert!(answer.try_recv().is_err());
    let mut follows = group.assigned(&[], 0);
    follows.leads = false;
    follows.leader_url = "http://leader/".to_owned();
    let actions = group.0.herder.step(
        group.0.now,
        Event::Group(Notice::Assigned(follows), Vec::new()),
    );
    let forwarded = actions.iter().any(|action| {
        matches!(action, Action::Answer(_, Err(error))
            if error.forward_to.as_deref() == Some("http://leader/"))
    });
    assert!(forwarded, "{actions:?}");
    let mut leads = group.assigned(&[], 0);
    leads.owners = vec![("http://owner/".to_owned(), work(&["a"], 0))];
    group.assign(leads);
    let (sender, _answer) = tokio::sync::oneshot::channel();
    let actions = group.0.herder.step(
        group.0.now,
        Event::Request(Request::RestartConnector("a".to_owned(), sender)),
    );
    assert!(
        matches!(&actions[..], [Action::Answer(_, Err(error))]
            if error.forward_to.as_deref() == Some("http://owner/")),
        "{actions:?}"
    );
}

#[test]
fn a_followers_connector_has_the_leader_write_its_tasks() {
    let mut group = Grouped::new();
    group.0.record("connector-a", CONFIG);
    let mut follows = group.assigned(&["a"], 0);
    follows.leads = false;
    follows.leader_url = "http://leader/".to_owned();
    group.assign(follows);
    let tasks = || ConnectorEvent::Tasks(Ok(vec![task_config()]));
    assert_eq!(
        group.0.connector(1, tasks()),
        ["send tasks a to http://leader/"]
    );
    let failed = Event::TasksSent("a".into(), 1, Err(connect_api::Error::retriable("no")));
    assert_eq!(group.0.step(failed), [""; 0]);
    group.0.now += Duration::from_millis(250);
    assert_eq!(
        group.0.step(Event::Tick),
        ["make tasks a"],
        "it is tried again"
    );
}

#[test]
fn the_answer_to_a_restart_has_the_tasks_in_their_order() {
    let mut world = World::running();
    let state = |state: State| StateInfo {
        state: state.name().to_owned(),
        trace: None,
        worker_id: "w:1".to_owned(),
        version: None,
    };
    let mut answers = Vec::new();
    for _ in 0..2 {
        let (answer, _kept) = tokio::sync::oneshot::channel();
        let failed = |id| state([State::Failed, State::Running][id as usize % 2]);
        let status = ConnectorStatus {
            name: "a".to_owned(),
            connector: state(State::Running),
            tasks: (0..12).map(|id| (id, failed(id))).collect(),
            kind: ConnectorKind::Source,
        };
        answers.push(world.step(Event::Request(Request::RestartPlan {
            name: "a".to_owned(),
            only_failed: true,
            include_tasks: true,
            status,
            answer,
        })));
    }
    let told = answers[0].last().expect("an answer");
    assert_eq!(
        told,
        "restarting RUNNING 0 RESTARTING,1 RUNNING,2 RESTARTING,3 RUNNING,4 RESTARTING,\
         5 RUNNING,6 RESTARTING,7 RUNNING,8 RESTARTING,9 RUNNING,10 RESTARTING,11 RUNNING"
    );
    assert_eq!(answers[0], answers[1]);
}

#[test]
fn a_restart_is_answered_once_it_is_known_whether_it_could_be_made() {
    let mut world = World::running();
    let id = || TaskId {
        connector: "a".into(),
        task: 0,
    };
    let restart = |world: &mut World| {
        let (answer, kept) = tokio::sync::oneshot::channel();
        let actions = world.step(Event::Request(Request::RestartTask(id(), answer)));
        (actions, kept)
    };
    let (actions, _kept) = restart(&mut world);
    assert_eq!(actions, ["stop a-0@2"]);
    assert_eq!(
        world.task(2, TaskEvent::Gone),
        ["status a-0 UNASSIGNED", "start a-0@3"],
        "the old incarnation answers nothing"
    );
    assert_eq!(world.task(3, TaskEvent::Made), ["answer None"]);
    let failed = || TaskEvent::State(State::Failed, Some("why".to_owned()));
    assert_eq!(world.task(3, failed()), ["status a-0 FAILED"]);
    let (actions, _kept) = restart(&mut world);
    assert_eq!(actions, ["start a-0@4"]);
    let answered = world.task(4, failed());
    assert!(
        answered[0].contains("Failed to start task: a-0"),
        "{answered:?}"
    );
    assert_eq!(answered[1], "status a-0 FAILED");
    // A connector, and one that is stopped meanwhile.
    let (answer, _kept) = tokio::sync::oneshot::channel();
    let request = Request::RestartConnector("a".to_owned(), answer);
    assert_eq!(world.step(Event::Request(request)), ["stop a@1"]);
    assert_eq!(
        world.connector(1, ConnectorEvent::Gone),
        ["status a UNASSIGNED", "start a@5 STARTED"]
    );
    let failed = ConnectorEvent::State(State::Failed, Some("why".to_owned()));
    let answered = world.connector(5, failed);
    assert!(
        answered[0].contains("Failed to start connector: a"),
        "{answered:?}"
    );
    let (_, _kept) = restart(&mut world);
    let stopped = world.record(
        "target-state-a",
        r#"{"state":"PAUSED","state.v2":"STOPPED"}"#,
    );
    assert!(stopped.contains(&"answer None".to_owned()), "{stopped:?}");
}
