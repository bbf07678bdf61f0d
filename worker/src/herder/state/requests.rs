//! What is asked of the herder, and what follows: who may answer, which records are written.
//!
//! While the group hands work out anew, requests wait: who leads and who owns what is not known.
//! Answers for the requests of `DistributedHerder`.

use std::sync::Arc;
use std::time::Instant;

use super::{Action, HerderState, Reply};
use crate::herder::request::{Request, RequestError, TargetState};
use crate::store::config::ConfigWrite;
use crate::store::status::{State, StatusOf};

impl HerderState {
    pub(super) fn request(&mut self, now: Instant, request: Request, actions: &mut Vec<Action>) {
        if self.stopping {
            refuse(request, actions);
            return;
        }
        if let Some(group) = &mut self.group
            && group.waits(&request)
        {
            group.waiting.push(request);
            return;
        }
        match request {
            Request::PutConnector { answer, .. } if self.leader().is_err() => {
                actions.push(Action::RefusePut(answer, self.not_leader()));
            }
            Request::RestartPlan { answer, .. } if self.leader().is_err() => {
                actions.push(Action::AnswerRestart(answer, Err(self.not_leader())));
            }
            Request::DeleteConnector(_, answer)
            | Request::SetTarget(_, TargetState::Stopped, answer)
            | Request::PutTasks { answer, .. }
            | Request::Fence(_, answer)
            | Request::CheckStopped(_, answer)
                if self.leader().is_err() =>
            {
                actions.push(Action::Answer(answer, Err(self.not_leader())));
            }
            Request::PutConnector {
                name,
                config,
                target,
                allow_replace,
                answer,
            } => {
                let exists = self.config.contains(&name);
                if exists && !allow_replace {
                    actions.push(Action::RefusePut(answer, already_exists(&name)));
                    return;
                }
                let shared: Arc<str> = name.as_str().into();
                let mut writes = Vec::with_capacity(2);
                writes
                    .extend(target.map(|target| ConfigWrite::Target(Arc::clone(&shared), target)));
                writes.push(ConfigWrite::Connector(shared, config.clone()));
                let reply = Reply::Put {
                    created: !exists,
                    allow_replace,
                    name,
                    config,
                    answer,
                };
                actions.push(Action::Write(writes, reply));
            }
            Request::DeleteConnector(name, answer) => {
                if self.config.contains(&name) {
                    let write = ConfigWrite::RemoveConnector(name.as_str().into());
                    actions.push(Action::Write(vec![write], Reply::Done(answer)));
                } else {
                    let error = RequestError::not_found(format!("Connector {name} not found"));
                    actions.push(Action::Answer(answer, Err(error)));
                }
            }
            Request::SetTarget(name, target, answer) => {
                if !self.config.contains(&name) {
                    let error = RequestError::not_found(format!("Unknown connector {name}"));
                    actions.push(Action::Answer(answer, Err(error)));
                    return;
                }
                let name: Arc<str> = name.as_str().into();
                let mut writes = Vec::with_capacity(2);
                if target == TargetState::Stopped {
                    writes.push(ConfigWrite::Tasks(Arc::clone(&name), Vec::new()));
                }
                writes.push(ConfigWrite::Target(name, target));
                actions.push(Action::Write(writes, Reply::Done(answer)));
            }
            Request::RestartConnector(name, answer) => {
                let refusal = if !self.config.contains(&name) {
                    RequestError::not_found(format!("Unknown connector: {name}"))
                } else if self.is_assigned(&name) {
                    let name: Arc<str> = name.as_str().into();
                    self.stop_connector(now, &name, actions);
                    self.awaited
                        .add(StatusOf::Connector(name), self.epoch, answer);
                    return;
                } else {
                    self.not_owner(|work| work.connectors.iter().any(|known| **known == *name))
                };
                actions.push(Action::Answer(answer, Err(refusal)));
            }
            Request::RestartPlan {
                name,
                only_failed,
                include_tasks,
                mut status,
                answer,
            } => {
                let tasks = status.tasks.iter_mut().map(|(_, info)| info);
                for info in
                    std::iter::once(&mut status.connector).chain(tasks.filter(|_| include_tasks))
                {
                    if !only_failed || info.state == State::Failed.name() {
                        State::Restarting.name().clone_into(&mut info.state);
                    }
                }
                let connector = name.as_str().into();
                let write = ConfigWrite::Restart {
                    connector,
                    only_failed,
                    include_tasks,
                };
                actions.push(Action::Write(vec![write], Reply::Nobody));
                actions.push(Action::AnswerRestart(answer, Ok(status)));
            }
            Request::RestartTask(id, answer) => {
                let is_known = match &self.group {
                    // Configurations of tasks that are no more stay known in a group.
                    Some(_) => self.config.task_config(&id).is_some(),
                    None => self.config.tasks(&id.connector).contains(&id),
                };
                let refusal = if !self.config.contains(&id.connector) {
                    RequestError::not_found(format!("Unknown connector: {}", id.connector))
                } else if !is_known {
                    RequestError::not_found(format!("Unknown task: {id}"))
                } else if self
                    .group
                    .as_ref()
                    .is_some_and(|group| !group.has_task(&id))
                {
                    self.not_owner(|work| work.tasks.contains(&id))
                } else {
                    self.stop_task(now, &id, actions);
                    self.awaited.add(StatusOf::Task(id), self.epoch, answer);
                    return;
                };
                actions.push(Action::Answer(answer, Err(refusal)));
            }
            Request::PutTasks {
                name,
                tasks,
                answer,
            } => match self.config.target(&name) {
                None => {
                    let error = RequestError::not_found(format!("Connector {name} not found"));
                    actions.push(Action::Answer(answer, Err(error)));
                }
                Some(TargetState::Stopped) if !tasks.is_empty() => {
                    let error = RequestError::bad_request(format!(
                        "Cannot submit non-empty set of task configs for stopped connector {name}"
                    ));
                    actions.push(Action::Answer(answer, Err(error)));
                }
                Some(_) => {
                    let write = ConfigWrite::Tasks(name.as_str().into(), tasks);
                    actions.push(Action::Write(vec![write], Reply::Done(answer)));
                }
            },
            Request::Fence(name, answer) => {
                let result = if self.config.contains(&name) {
                    Ok(())
                } else {
                    Err(RequestError::not_found(format!(
                        "Connector {name} not found"
                    )))
                };
                actions.push(Action::Answer(answer, result));
            }
            Request::Ping(answer) => actions.push(Action::Answer(answer, Ok(()))),
            Request::CheckStopped(name, answer) => {
                let result = match self.config.target(&name) {
                    None => Err(RequestError::not_found(format!(
                        "Connector {name} not found"
                    ))),
                    Some(TargetState::Stopped)
                        if self.config.task_count(&name) == 0
                            && self.tasks_of(&name).is_empty() =>
                    {
                        Ok(())
                    }
                    Some(_) => Err(RequestError::bad_request(
                        "Connectors must be in the STOPPED state before their offsets can be \
                         modified. This can be done for the specified connector by issuing a 'PUT' \
                         request to the '/connectors/"
                            .to_owned()
                            + &name
                            + "/stop' endpoint",
                    )),
                };
                actions.push(Action::Answer(answer, result));
            }
        }
    }
}

pub(super) fn refuse(request: Request, actions: &mut Vec<Action>) {
    let error = || RequestError::failure("Worker is shutting down");
    match request {
        Request::PutConnector { answer, .. } => actions.push(Action::RefusePut(answer, error())),
        // The sender is dropped, which says the same.
        Request::RestartPlan { .. } => {}
        Request::DeleteConnector(_, answer)
        | Request::SetTarget(_, _, answer)
        | Request::RestartConnector(_, answer)
        | Request::RestartTask(_, answer)
        | Request::PutTasks { answer, .. }
        | Request::Fence(_, answer)
        | Request::Ping(answer)
        | Request::CheckStopped(_, answer) => actions.push(Action::Answer(answer, Err(error()))),
    }
}

/// A connector is to be created that is there.
pub(in crate::herder) fn already_exists(name: &str) -> RequestError {
    RequestError::conflict(format!("Connector {name} already exists"))
}
