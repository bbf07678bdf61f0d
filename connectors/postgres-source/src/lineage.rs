//! Which server an offset is of, and whether the one at hand goes on with that server's log.
//!
//! Positions mean nothing on another cluster. A standby that is promoted goes on with the same log
//! on a new timeline, from the position where it left the old one:
//!
//! ```text
//!   timeline 1  ----------------+------- stored here: a hole
//!                               |
//!   timeline 2     stored here: fine  +----------->
//! ```
//!
//! Differs from Debezium, which compares neither and loses or repeats in silence. Pure.

use crate::protocol::Lsn;

/// A cluster, and the timeline that it writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Lineage {
    /// The system identifier, made by initdb and kept by every physical copy.
    pub system: u64,
    /// The timeline; each promotion begins one. None of a standby, whose timeline changes while it
    /// is read.
    pub timeline: Option<u32>,
}

/// Where a timeline's predecessors ended (`TIMELINE_HISTORY`), oldest first.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct History(Vec<(u32, Lsn)>);

impl History {
    /// Reads a history file: `timeline TAB position TAB reason` on each line, `#` for comments.
    /// Lines that are none of these are passed over, as the server does not write them.
    #[must_use]
    pub fn parse(text: &str) -> Self {
        let entry = |line: &str| {
            let mut words = line.split_ascii_whitespace();
            Some((words.next()?.parse().ok()?, words.next()?.parse().ok()?))
        };
        Self(text.lines().filter_map(entry).collect())
    }

    /// Where the log left `timeline`; none if it never was on it.
    fn end_of(&self, timeline: u32) -> Option<Lsn> {
        let entry = self.0.iter().find(|(ended, _)| *ended == timeline);
        entry.map(|(_, end)| *end)
    }
}

/// Why what follows `position`, reached on the server `stored`, is not on the server `here`, whose
/// timeline has this history; none where it is.
#[must_use]
pub fn departure(
    stored: Lineage,
    here: Lineage,
    history: &History,
    position: Lsn,
) -> Option<String> {
    if stored.system != here.system {
        return Some(format!(
            "Missing is all that was committed from LSN{{{position}}} on: the offset is of the \
             database cluster with system identifier {}, and this one's is {}, so that its \
             positions are others. Connect to the cluster of the offset or to a copy of it. If this \
             one was made from it by pg_upgrade together with the slot, set \
             offset.mismatch.strategy=no_validation.",
            stored.system, here.system
        ));
    }
    let (Some(before), Some(now)) = (stored.timeline, here.timeline) else {
        return None;
    };
    let end = history.end_of(before);
    if before == now || end.is_some_and(|end| position <= end) {
        return None;
    }
    let from = match end {
        Some(end) => format!(
            "from LSN{{{end}}}, where timeline {before} was left on the way to timeline {now}, to \
             LSN{{{position}}}"
        ),
        None => format!(
            "up to LSN{{{position}}} of timeline {before}: it is on timeline {now}, which does not \
             descend from that one"
        ),
    };
    Some(format!(
        "Missing is what this server committed {from}; what the offset counts there was of a server \
         that has been replaced. To go on without it set offset.mismatch.strategy=trust_slot."
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lineage(system: u64, timeline: u32) -> Lineage {
        let timeline = Some(timeline);
        Lineage { system, timeline }
    }

    #[test]
    fn a_promoted_standby_goes_on_from_where_it_left_the_old_timeline() {
        let history = History::parse(
            "1\t0/50\tno recovery target specified\n\n# comment\n2\t0/90\tbefore 2000-01-01\n",
        );
        let told = |stored, position| {
            departure(lineage(7, stored), lineage(7, 3), &history, Lsn(position))
        };
        assert_eq!(told(1, 0x50), None);
        assert_eq!(told(2, 0x80), None);
        assert_eq!(told(3, 0x1000), None);
        let hole = told(1, 0x60).unwrap();
        assert!(hole.contains("from LSN{0/50}"), "{hole}");
        assert!(hole.contains("to LSN{0/60}"), "{hole}");
        assert!(hole.contains("trust_slot"), "{hole}");
    }

    #[test]
    fn a_timeline_that_is_no_ancestor_is_a_hole() {
        // The server was set back to a backup of timeline 1 and went on as 3.
        let history = History::parse("1\t0/50\tx\n");
        let hole = departure(lineage(7, 2), lineage(7, 3), &history, Lsn(0x40)).unwrap();
        assert!(
            hole.contains("does not descend") && hole.contains("LSN{0/40}"),
            "{hole}"
        );
        let older = departure(lineage(7, 2), lineage(7, 1), &History::default(), Lsn(1));
        assert!(older.is_some());
    }

    #[test]
    fn of_a_standby_only_the_cluster_is_compared() {
        let standby = Lineage {
            timeline: None,
            ..lineage(7, 1)
        };
        let none = History::default();
        assert_eq!(departure(standby, lineage(7, 2), &none, Lsn(9)), None);
        assert_eq!(departure(lineage(7, 2), standby, &none, Lsn(9)), None);
        assert!(departure(standby, lineage(8, 2), &none, Lsn(9)).is_some());
    }

    #[test]
    fn another_cluster_is_named() {
        let hole = departure(lineage(7, 1), lineage(8, 1), &History::default(), Lsn(0x40));
        let hole = hole.unwrap();
        for word in ["LSN{0/40}", "identifier 7", "is 8", "no_validation"] {
            assert!(hole.contains(word), "{word} in {hole}");
        }
    }
}
