//! The thread that makes this worker a member of its group: performs what [`membership`] decides.
//!
//! It has a small runtime of its own, so that neither tasks nor REST keep it from heartbeating. It
//! never starts or stops work, it tells the herder. Answers for `WorkerGroupMember`.
//!
//! [`membership`]: super::membership

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use connect_api::error::Chain;
use connect_api::{Error, Result};
use kafka_protocol::messages::GroupId;
use kafka_protocol::messages::describe_groups_request::DescribeGroupsRequest;
use kafka_protocol::messages::heartbeat_request::HeartbeatRequest;
use kafka_protocol::messages::join_group_request::{JoinGroupRequest, JoinGroupRequestProtocol};
use kafka_protocol::messages::leave_group_request::{LeaveGroupRequest, MemberIdentity};
use kafka_protocol::messages::sync_group_request::{SyncGroupRequest, SyncGroupRequestAssignment};
use kafka_protocol::protocol::StrBytes;
use tokio::sync::mpsc;

use super::Work;
use super::connection::{Access, Connection, Request};
use super::membership::{Action, Event, JoinAnswer, Knowledge, Membership, Notice, Settings};
use super::protocol::{decode_metadata, encode_metadata};
use crate::store::cluster_state::ClusterConfigState;

/// The protocol type of groups of workers.
const PROTOCOL_TYPE: &str = "connect";
/// How long leaving may take: who cannot leave is thrown out by and by.
const LEAVE_LIMIT: Duration = Duration::from_secs(2);

/// What the member asks the worker for.
pub struct Surroundings {
    /// What is configured, as far as the config topic has been read.
    pub config: Box<dyn Fn() -> Arc<ClusterConfigState> + Send>,
    /// See [`super::incremental::Input::handed_over`].
    pub handed_over: Arc<dyn Fn(&Work) -> bool + Send + Sync>,
    /// Hears what happens, on the member's thread.
    pub notify: Box<dyn Fn(Notice) + Send>,
}

impl std::fmt::Debug for Surroundings {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Surroundings").finish_non_exhaustive()
    }
}

/// A membership; left when dropped.
#[derive(Debug)]
pub struct GroupMember {
    events: mpsc::UnboundedSender<Event>,
    thread: Option<std::thread::JoinHandle<()>>,
}

impl GroupMember {
    /// Joins, and keeps the membership up.
    ///
    /// # Errors
    /// The thread cannot be started.
    pub fn start(
        group: &str,
        access: Access,
        settings: Settings,
        surroundings: Surroundings,
    ) -> Result<Self> {
        let (sender, receiver) = mpsc::unbounded_channel();
        let failed = |error: std::io::Error| Error::fatal("starting a thread").with_source(error);
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(failed)?;
        let member = Member {
            group: group.to_owned(),
            access,
            surroundings,
            predecessor: Some(settings.url.clone()),
            machine: Membership::new(settings, Instant::now()),
            started: Instant::now(),
            connection: None,
            under_way: None,
        };
        let thread = std::thread::Builder::new()
            .name("group-member".to_owned())
            .spawn(move || runtime.block_on(member.run(receiver)))
            .map_err(failed)?;
        Ok(Self {
            events: sender,
            thread: Some(thread),
        })
    }

    /// Tells the member something.
    pub fn tell(&self, event: Event) {
        // A member that is gone needs to hear nothing.
        self.events.send(event).ok();
    }

    /// Leaves the group and waits until that is said.
    pub fn leave(&mut self) {
        self.tell(Event::Leave);
        if self
            .thread
            .take()
            .is_some_and(|thread| thread.join().is_err())
        {
            tracing::error!("the thread of the group's member panicked");
        }
    }
}

impl Drop for GroupMember {
    fn drop(&mut self) {
        self.leave();
    }
}

/// What a request under way comes to, with the connection where it is still of use.
type Outcome = (Option<Connection>, Answer);
type UnderWay = Pin<Box<dyn Future<Output = Outcome> + Send>>;

enum Answer {
    Event(Event),
    /// A join's answer lacks what is known only when it is there.
    Joined(JoinAnswer),
}

struct Member {
    group: String,
    access: Access,
    surroundings: Surroundings,
    machine: Membership,
    started: Instant,
    connection: Option<Connection>,
    under_way: Option<UnderWay>,
    /// At first: the address of this worker, under which a killed one may still be a member.
    predecessor: Option<String>,
}

impl Member {
    async fn run(mut self, mut events: mpsc::UnboundedReceiver<Event>) {
        let mut event = Event::Tick;
        loop {
            let leaving = matches!(event, Event::Leave);
            for action in self.machine.step(Instant::now(), event) {
                self.perform(action).await;
            }
            if leaving {
                return;
            }
            let deadline = self.machine.next_deadline();
            let far = Instant::now() + Duration::from_secs(3600);
            let tick = tokio::time::sleep_until(deadline.unwrap_or(far).into());
            let under_way = async {
                match &mut self.under_way {
                    Some(request) => request.await,
                    None => std::future::pending().await,
                }
            };
            event = tokio::select! {
                biased;
                told = events.recv() => told.unwrap_or(Event::Leave),
                (connection, answer) = under_way => {
                    self.under_way = None;
                    self.connection = connection;
                    match answer {
                        Answer::Event(event) => event,
                        Answer::Joined(answer) => Event::Joined(answer, self.knowledge()),
                    }
                }
                () = tick => Event::Tick,
            };
        }
    }

    fn knowledge(&self) -> Knowledge {
        let now_ms = self.started.elapsed().as_millis();
        Knowledge {
            config: (self.surroundings.config)(),
            // From 1: 0 says that nothing is scheduled.
            now_ms: i64::try_from(now_ms).unwrap_or(i64::MAX).saturating_add(1),
            handed_over: Arc::clone(&self.surroundings.handed_over),
        }
    }

    async fn perform(&mut self, action: Action) {
        match action {
            Action::Tell(notice) => (self.surroundings.notify)(notice),
            Action::Connect => {
                self.connection = None;
                let (access, group) = (self.access.clone(), self.group.clone());
                let predecessor = self.predecessor.take();
                self.under_way = Some(Box::pin(async move {
                    match access.coordinator(&group).await {
                        Ok(mut connection) => {
                            if let Some(url) = predecessor {
                                evict(&mut connection, &access, &group, &url).await;
                            }
                            tracing::info!(
                                coordinator = connection.peer,
                                "Discovered group coordinator"
                            );
                            (Some(connection), Answer::Event(Event::Connected))
                        }
                        Err(error) => {
                            tracing::warn!(group, error = %Chain(&error), "looking for the group's coordinator");
                            (None, Answer::Event(Event::Disconnected))
                        }
                    }
                }));
            }
            Action::Disconnect => {
                self.under_way = None;
                self.connection = None;
            }
            Action::Join(member_id, allocation, limit) => {
                let config = (self.surroundings.config)();
                let (state, offered) = self.machine.metadata(config.offset(), allocation);
                let protocols = offered.map(|protocol| {
                    JoinGroupRequestProtocol::default()
                        .with_name(StrBytes::from_static_str(protocol.name()))
                        .with_metadata(Bytes::from(encode_metadata(&state, protocol)))
                });
                let settings = self.machine.settings();
                let request = JoinGroupRequest::default()
                    .with_group_id(self.group_id())
                    .with_session_timeout_ms(millis(settings.session))
                    .with_rebalance_timeout_ms(millis(settings.rebalance))
                    .with_member_id(StrBytes::from_string(member_id))
                    .with_protocol_type(StrBytes::from_static_str(PROTOCOL_TYPE))
                    .with_protocols(protocols.collect());
                self.ask(
                    limit,
                    |_| request,
                    |answer| {
                        Answer::Joined(JoinAnswer {
                            code: answer.error_code,
                            generation: answer.generation_id,
                            protocol: answer
                                .protocol_name
                                .as_deref()
                                .unwrap_or_default()
                                .to_owned(),
                            leader: answer.leader.to_string(),
                            member_id: answer.member_id.to_string(),
                            members: answer
                                .members
                                .into_iter()
                                .map(|member| {
                                    (member.member_id.to_string(), member.metadata.to_vec())
                                })
                                .collect(),
                        })
                    },
                );
            }
            Action::Sync {
                generation,
                member_id,
                protocol,
                assignments,
            } => {
                let assignments = assignments.into_iter().map(|(member, bytes)| {
                    SyncGroupRequestAssignment::default()
                        .with_member_id(StrBytes::from_string(member))
                        .with_assignment(Bytes::from(bytes))
                });
                let request = SyncGroupRequest::default()
                    .with_group_id(self.group_id())
                    .with_generation_id(generation)
                    .with_member_id(StrBytes::from_string(member_id))
                    .with_assignments(assignments.collect());
                let limit = self.machine.settings().rebalance + self.access.request_limit;
                let named = move |version| {
                    if version < 5 {
                        return request;
                    }
                    request
                        .with_protocol_type(Some(StrBytes::from_static_str(PROTOCOL_TYPE)))
                        .with_protocol_name(Some(StrBytes::from_static_str(protocol.name())))
                };
                self.ask(limit, named, |answer| {
                    Answer::Event(Event::Synced(answer.error_code, answer.assignment.to_vec()))
                });
            }
            Action::Heartbeat(generation, member_id) => {
                let request = HeartbeatRequest::default()
                    .with_group_id(self.group_id())
                    .with_generation_id(generation)
                    .with_member_id(StrBytes::from_string(member_id));
                self.ask(
                    self.access.request_limit,
                    |_| request,
                    |answer| Answer::Event(Event::Heartbeat(answer.error_code)),
                );
            }
            Action::Leave(member_id) => self.leave(member_id).await,
        }
    }

    fn group_id(&self) -> GroupId {
        GroupId(StrBytes::from_string(self.group.clone()))
    }

    fn ask<R: Request + Send + Sync + 'static>(
        &mut self,
        limit: Duration,
        request: impl FnOnce(i16) -> R + Send + 'static,
        answered: impl FnOnce(R::Response) -> Answer + Send + 'static,
    ) {
        let Some(mut connection) = self.connection.take() else {
            self.under_way = Some(Box::pin(async {
                (None, Answer::Event(Event::Disconnected))
            }));
            return;
        };
        self.under_way = Some(Box::pin(async move {
            match connection.ask(request, limit).await {
                Ok(answer) => (Some(connection), answered(answer)),
                Err(error) => {
                    tracing::info!(error = %Chain(&error), "asking the group's coordinator");
                    (None, Answer::Event(Event::Disconnected))
                }
            }
        }));
    }

    /// Says good-bye, over a new connection where one is busy.
    async fn leave(&mut self, member_id: String) {
        self.under_way = None;
        let group = self.group_id();
        let request = |version| {
            let request = LeaveGroupRequest::default().with_group_id(group);
            let member_id = StrBytes::from_string(member_id);
            if version < 3 {
                return request.with_member_id(member_id);
            }
            let reason = StrBytes::from_static_str("the worker is being closed");
            let member = MemberIdentity::default().with_member_id(member_id);
            request.with_members(vec![if version < 5 {
                member
            } else {
                member.with_reason(Some(reason))
            }])
        };
        let connection = self.connection.take();
        let said = tokio::time::timeout(LEAVE_LIMIT, async {
            let mut connection = match connection {
                Some(connection) => connection,
                None => self.access.coordinator(&self.group).await?,
            };
            connection.ask(request, LEAVE_LIMIT).await
        });
        match said.await {
            Ok(Ok(answer)) => tracing::info!(code = answer.error_code, "left the group"),
            Ok(Err(error)) => tracing::warn!(error = %Chain(&error), "leaving the group"),
            Err(_elapsed) => tracing::warn!("leaving the group took too long"),
        }
    }
}

/// Removes what a worker that was killed here left in the group: it answered where this one answers
/// now, so it is gone, and the group need not wait until its session ends.
///
/// Differs from Kafka: there the group waits.
async fn evict(connection: &mut Connection, access: &Access, group: &str, url: &str) {
    let limit = access.request_limit;
    let id = || GroupId(StrBytes::from_string(group.to_owned()));
    let describe = |_| DescribeGroupsRequest::default().with_groups(vec![id()]);
    let members = match connection.ask(describe, limit).await {
        Ok(answer) => answer.groups.into_iter().flat_map(|group| group.members),
        Err(error) => {
            tracing::debug!(error = %Chain(&error), "looking at the group's members");
            return;
        }
    };
    let left_behind: Vec<MemberIdentity> = members
        .filter(|member| member.client_id.as_str() == access.client_id())
        .filter(|member| {
            decode_metadata(&member.member_metadata).is_ok_and(|state| state.url == url)
        })
        .map(|member| MemberIdentity::default().with_member_id(member.member_id))
        .collect();
    if left_behind.is_empty() {
        return;
    }
    tracing::info!(
        url,
        "removing the membership that a killed worker left behind"
    );
    let leave = |version| {
        let request = LeaveGroupRequest::default().with_group_id(id());
        match left_behind.first() {
            Some(member) if version < 3 => request.with_member_id(member.member_id.clone()),
            _ => request.with_members(left_behind),
        }
    };
    if let Err(error) = connection.ask(leave, limit).await {
        tracing::debug!(error = %Chain(&error), "removing it");
    }
}

fn millis(duration: Duration) -> i32 {
    i32::try_from(duration.as_millis()).unwrap_or(i32::MAX)
}
