//! Restarts whose outcome somebody waits for: the answer says whether what was restarted could be
//! made again. Answers for `DistributedHerder.restartConnector` and `restartTask`.

use crate::herder::request::{Answer, RequestError, Sender};
use crate::store::status::StatusOf;

use super::Action;

/// Requests that wait.
#[derive(Debug, Default)]
pub(super) struct Awaited(Vec<Request>);

#[derive(Debug)]
struct Request {
    of: StatusOf,
    /// Incarnations up to this one were there before.
    before: u64,
    answer: Sender<()>,
}

impl Awaited {
    /// Somebody waits for the next incarnation after `before`.
    pub(super) fn add(&mut self, of: StatusOf, before: u64, answer: Sender<()>) {
        // Who gave up waits no more.
        self.0.retain(|request| !request.answer.is_closed());
        self.0.push(Request { of, before, answer });
    }

    /// An incarnation could be made, or could not.
    pub(super) fn settle(
        &mut self,
        of: &StatusOf,
        epoch: u64,
        made: bool,
        actions: &mut Vec<Action>,
    ) {
        let outcome = || -> Answer<()> {
            match (made, of) {
                (true, _) => Ok(()),
                (false, StatusOf::Connector(name)) => Err(RequestError::failure(format!(
                    "Failed to start connector: {name}"
                ))),
                (false, StatusOf::Task(id)) => {
                    Err(RequestError::failure(format!("Failed to start task: {id}")))
                }
            }
        };
        let due = |request: &mut Request| request.of == *of && request.before < epoch;
        let settled = self.0.extract_if(.., due);
        actions.extend(settled.map(|request| Action::Answer(request.answer, outcome())));
    }

    /// What is not wanted any more is not waited for.
    pub(super) fn forget(&mut self, wanted: impl Fn(&StatusOf) -> bool, actions: &mut Vec<Action>) {
        let gone = self.0.extract_if(.., |request| !wanted(&request.of));
        actions.extend(gone.map(|request| Action::Answer(request.answer, Ok(()))));
    }
}
