//! What to drop after a restart: the server repeats whole transactions, the stored offset may lie
//! inside one.
//!
//! Transactions arrive in the order of their commits, and a stored offset names the last commit
//! seen (`lsn_commit`), the open transaction (`txId`), the row in it (`lsn_proc`) and how many
//! changes at exactly that position were done (`lsn_events_processed`):
//!
//! ```text
//!   commits:   ... A |  B  |   T: row row [row at lsn_proc] row ...  |  C ...
//!              drop  | drop|      drop drop drop             keep    |  keep
//!                          ^ lsn_commit
//! ```
//!
//! A transaction that commits before `lsn_commit` is done. The one with the stored id is dropped up
//! to the stored row. Everything else is new. Positions of rows alone would not do: rows of
//! transactions that overlap in time interleave in the log.
//!
//! Differs from Debezium's `WalPositionLocator`: that searches first, reconnects and drops by
//! position; the records delivered are the same. Pure.

use crate::offset::{MessageType, Offset};

/// What is left to drop.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Resume {
    state: State,
    stored: Stored,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// Between transactions, not yet past the stored position.
    Searching,
    /// Inside a transaction that is done.
    Dropping,
    /// Inside the stored transaction; so many changes at the stored position are to be dropped.
    Within(u64),
    /// Past the stored position.
    Found,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Stored {
    lsn: u64,
    commit_lsn: Option<u64>,
    /// The transaction that the stored position lies in, unless it had been finished.
    open: Option<i64>,
    events: u64,
}

impl Resume {
    /// Nothing to drop: a new stream.
    #[must_use]
    pub fn at_once() -> Self {
        Self {
            state: State::Found,
            stored: Stored::default(),
        }
    }

    /// What follows from a stored offset.
    #[must_use]
    pub fn from(offset: &Offset) -> Self {
        // An offset of a snapshot has not processed anything of the log.
        let Some(lsn) = offset.lsn_proc else {
            return Self::at_once();
        };
        let (open, events) = match offset.message_type {
            Some(
                MessageType::Insert
                | MessageType::Update
                | MessageType::Delete
                | MessageType::Truncate
                | MessageType::Message,
            ) => (offset.tx_id, offset.lsn_events_processed.max(1)),
            Some(MessageType::Begin) => (offset.tx_id, 0),
            // A position after a commit, or one written by hand: rather twice than not at all.
            _ => (None, 0),
        };
        let stored = Stored {
            lsn,
            commit_lsn: offset.lsn_commit,
            open,
            events,
        };
        Self {
            state: State::Searching,
            stored,
        }
    }

    /// Whether everything from here on is new.
    #[must_use]
    #[inline]
    pub fn is_found(&self) -> bool {
        self.state == State::Found
    }

    /// A transaction begins.
    pub fn begin(&mut self, final_lsn: u64, xid: u32) {
        if self.state == State::Found {
            return;
        }
        let stored = &self.stored;
        // The stored position is the end of a commit, `final_lsn` the start of one.
        let done = match stored.commit_lsn {
            Some(commit_lsn) => final_lsn < commit_lsn,
            None => final_lsn < stored.lsn,
        };
        self.state = if done {
            State::Dropping
        } else if stored.open == Some(i64::from(xid)) {
            State::Within(stored.events)
        } else {
            State::Found
        };
    }

    /// A change at `lsn` of the current transaction; whether it is new.
    #[inline]
    pub fn change(&mut self, lsn: u64) -> bool {
        match self.state {
            State::Found => true,
            State::Searching | State::Dropping => false,
            State::Within(_) if lsn < self.stored.lsn => false,
            State::Within(left) if lsn == self.stored.lsn && left > 0 => {
                self.state = State::Within(left - 1);
                false
            }
            State::Within(_) => {
                self.state = State::Found;
                true
            }
        }
    }

    /// A message outside of any transaction; whether it is new.
    pub fn message(&mut self, lsn: u64) -> bool {
        self.state == State::Found || self.stored.commit_lsn.is_none_or(|commit| lsn > commit)
    }

    /// The server has sent everything before `lsn`, and no transaction is open; whether the
    /// position may move there.
    #[must_use]
    pub fn is_past(&self, lsn: u64) -> bool {
        match self.state {
            State::Found => true,
            // What was stored lay between transactions, so that nothing is being repeated.
            State::Searching => self.stored.open.is_none() && lsn > self.stored.lsn,
            State::Dropping | State::Within(_) => false,
        }
    }

    /// The current transaction ends; whether its end is new.
    pub fn commit(&mut self) -> bool {
        match self.state {
            State::Found => true,
            State::Within(_) => {
                self.state = State::Found;
                true
            }
            State::Searching | State::Dropping => {
                self.state = State::Searching;
                false
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(lsn: u64, commit: Option<u64>, xid: i64, events: u64) -> Resume {
        Resume::from(&Offset {
            lsn: Some(lsn),
            lsn_proc: Some(lsn),
            lsn_commit: commit,
            lsn_events_processed: events,
            message_type: Some(MessageType::Insert),
            tx_id: Some(xid),
            ..Offset::default()
        })
    }

    #[test]
    fn inside_a_transaction_what_was_done_is_dropped_and_the_rest_is_kept() {
        let mut resume = row(150, Some(100), 7, 1);
        resume.begin(200, 7);
        assert!(!resume.change(140));
        assert!(!resume.change(150));
        assert!(resume.change(160));
        assert!(resume.is_found());
    }

    #[test]
    fn changes_that_share_a_position_are_counted() {
        let mut resume = row(150, Some(100), 7, 2);
        resume.begin(200, 7);
        assert!(!resume.change(150));
        assert!(!resume.change(150));
        assert!(resume.change(150));
    }

    #[test]
    fn a_transaction_that_committed_before_is_dropped_whole() {
        let mut resume = row(150, Some(100), 7, 1);
        resume.begin(90, 5);
        assert!(!resume.change(60));
        assert!(!resume.commit());
        resume.begin(200, 7);
        assert!(!resume.change(150));
        assert!(resume.commit());
        resume.begin(300, 8);
        assert!(resume.change(110));
    }

    #[test]
    fn a_row_written_before_the_stored_position_but_committed_later_is_kept() {
        let mut resume = row(150, Some(100), 7, 1);
        resume.begin(300, 8);
        assert!(resume.change(140));
    }

    #[test]
    fn a_position_after_a_commit_drops_no_later_transaction() {
        let mut resume = Resume::from(&Offset {
            lsn: Some(210),
            lsn_proc: Some(210),
            lsn_commit: Some(210),
            message_type: Some(MessageType::Commit),
            tx_id: Some(7),
            ..Offset::default()
        });
        resume.begin(200, 7);
        assert!(!resume.change(150));
        assert!(!resume.commit());
        assert!(!resume.message(205));
        assert!(resume.is_past(215) && !resume.is_past(210));
        resume.begin(220, 8);
        assert!(resume.change(180));
    }

    #[test]
    fn an_offset_of_a_snapshot_drops_nothing() {
        let resume = Resume::from(&Offset {
            lsn: Some(5),
            ..Offset::default()
        });
        assert!(resume.is_found());
    }

    #[test]
    fn the_first_transaction_of_an_offsets_life_has_no_commit_before_it() {
        let mut resume = row(150, None, 7, 1);
        resume.begin(200, 7);
        assert!(!resume.change(150));
        assert!(resume.change(151));
    }
}
