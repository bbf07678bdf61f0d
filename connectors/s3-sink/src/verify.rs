//! Which offsets of which topic partitions a bucket holds, by names and record counts alone: what is
//! there, what is missing, what is doubled. The coverage is a pure function; see `verify/command.rs`
//! for what reads the bucket.
//!
//! Ours; Confluent's sink has nothing like it.

mod command;
mod count;

use std::collections::BTreeMap;

use serde_json::{Value, json};

pub(crate) use command::SUBCOMMAND;

/// An object with records' values.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct FileRange {
    pub(crate) key: String,
    pub(crate) topic: String,
    pub(crate) partition: i32,
    /// The folder below the topic's.
    pub(crate) folder: String,
    /// The offset of its first record.
    pub(crate) start: i64,
    pub(crate) records: i64,
}

/// Offsets that are not there, or there more than once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Span {
    /// How many.
    pub(crate) count: i64,
    /// The span that they are in, the end exclusive. Where files were open side by side the names do
    /// not tell which of its offsets are meant.
    pub(crate) within: (i64, i64),
    /// The object before which something is missing, or with which it is doubled.
    pub(crate) at: String,
}

/// What is known of a topic partition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Coverage {
    pub(crate) first: i64,
    /// The offset after the last one.
    pub(crate) next: i64,
    pub(crate) objects: usize,
    pub(crate) records: i64,
    pub(crate) missing: Vec<Span>,
    pub(crate) doubled: Vec<Span>,
}

/// Files that were open together: their records' offsets are interleaved, together they are a span.
struct Group<'a> {
    start: i64,
    records: i64,
    folders: Vec<&'a str>,
}

impl Group<'_> {
    fn end(&self) -> i64 {
        self.start + self.records
    }
}

/// The coverage of each topic partition.
///
/// A file begins a new group where all earlier records come before it; it belongs to the group
/// before where it overlaps that and lies in another folder, since the files of several folders are
/// open together and committed together. Two overlapping files of one folder hold something twice.
pub(crate) fn coverage(files: &[FileRange]) -> BTreeMap<(String, i32), Coverage> {
    let mut by_partition: BTreeMap<(String, i32), Vec<&FileRange>> = BTreeMap::new();
    for file in files {
        let partition = (file.topic.clone(), file.partition);
        by_partition.entry(partition).or_default().push(file);
    }
    by_partition
        .into_iter()
        .map(|(partition, mut files)| {
            files.sort_by_key(|file| (file.start, file.records));
            (partition, of_partition(&files))
        })
        .collect()
}

fn of_partition(files: &[&FileRange]) -> Coverage {
    let first = files.first().map_or(0, |file| file.start);
    let mut coverage = Coverage {
        first,
        next: first,
        objects: files.len(),
        records: files.iter().map(|file| file.records).sum(),
        missing: Vec::new(),
        doubled: Vec::new(),
    };
    let mut group: Option<Group<'_>> = None;
    for file in files {
        match &mut group {
            Some(open) if file.start < open.end() => {
                if open.folders.contains(&file.folder.as_str()) {
                    // All of the group's records should come before this file's.
                    let own_end = file.start + file.records;
                    let count = (open.end() - file.start).min(file.records.max(1));
                    coverage.doubled.push(Span {
                        count,
                        within: (file.start, open.end().min(own_end.max(file.start + 1))),
                        at: file.key.clone(),
                    });
                    if own_end > open.end() {
                        group = Some(Group {
                            start: file.start,
                            records: file.records,
                            folders: vec![&file.folder],
                        });
                    }
                } else {
                    open.records += file.records;
                    open.folders.push(&file.folder);
                }
            }
            _ => {
                if let Some(open) = &group
                    && file.start > open.end()
                {
                    let within = match open.folders.len() {
                        1 => open.end(),
                        _ => open.start,
                    };
                    coverage.missing.push(Span {
                        count: file.start - open.end(),
                        within: (within, file.start),
                        at: file.key.clone(),
                    });
                }
                group = Some(Group {
                    start: file.start,
                    records: file.records,
                    folders: vec![&file.folder],
                });
            }
        }
        if let Some(open) = &group {
            coverage.next = coverage.next.max(open.end());
        }
    }
    coverage
}

/// The report as it is printed, and whether everything is there exactly once.
pub(crate) fn report(place: &str, coverage: &BTreeMap<(String, i32), Coverage>) -> (Value, bool) {
    let sum = |spans: &[Span]| spans.iter().map(|span| span.count).sum::<i64>();
    let list = |spans: &[Span]| -> Vec<Value> {
        spans
            .iter()
            .map(|span| {
                json!({"from": span.within.0, "to": span.within.1 - 1, "count": span.count, "object": span.at})
            })
            .collect()
    };
    let is_complete = coverage
        .values()
        .all(|one| one.missing.is_empty() && one.doubled.is_empty());
    let partitions: Vec<Value> = coverage
        .iter()
        .map(|((topic, partition), one)| {
            json!({
                "topic": topic,
                "partition": partition,
                "first_offset": one.first,
                "next_offset": one.next,
                "objects": one.objects,
                "records": one.records,
                "missing": list(&one.missing),
                "doubled": list(&one.doubled),
                "missing_count": sum(&one.missing),
                "doubled_count": sum(&one.doubled),
            })
        })
        .collect();
    let report = json!({
        "store": place,
        "complete": is_complete,
        "objects": coverage.values().map(|one| one.objects).sum::<usize>(),
        "records": coverage.values().map(|one| one.records).sum::<i64>(),
        "missing": coverage.values().map(|one| sum(&one.missing)).sum::<i64>(),
        "doubled": coverage.values().map(|one| sum(&one.doubled)).sum::<i64>(),
        "partitions": partitions,
    });
    (report, is_complete)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn covered(files: &[(&str, i64, i64)]) -> Coverage {
        let files: Vec<FileRange> = files
            .iter()
            .map(|&(folder, start, records)| FileRange {
                key: format!("{folder}/{start}"),
                topic: "t".to_owned(),
                partition: 0,
                folder: folder.to_owned(),
                start,
                records,
            })
            .collect();
        coverage(&files)
            .remove(&("t".to_owned(), 0))
            .expect("there")
    }
    fn spans(spans: &[Span]) -> Vec<(i64, (i64, i64))> {
        spans.iter().map(|span| (span.count, span.within)).collect()
    }

    #[test]
    fn files_one_after_the_other_are_complete() {
        let all = covered(&[("a", 3, 2), ("b", 5, 1), ("a", 6, 4)]);
        assert_eq!((all.first, all.next, all.records), (3, 10, 7));
        assert_eq!((all.missing, all.doubled), (vec![], vec![]));
    }

    #[test]
    fn a_hole_is_missing_and_an_overlap_is_doubled() {
        let all = covered(&[("a", 0, 2), ("a", 5, 1)]);
        assert_eq!(spans(&all.missing), [(3, (2, 5))]);
        let all = covered(&[("a", 0, 3), ("a", 2, 3), ("a", 5, 1)]);
        assert_eq!(spans(&all.doubled), [(1, (2, 3))]);
        assert_eq!((spans(&all.missing), all.next), (vec![], 6));
        let all = covered(&[("a", 0, 10), ("a", 4, 2), ("a", 10, 1)]);
        assert_eq!(spans(&all.doubled), [(2, (4, 6))]);
        assert_eq!((spans(&all.missing), all.next), (vec![], 11));
    }

    #[test]
    fn files_that_were_open_together_are_counted_together() {
        // a: 0 2 4, b: 1 3; then a: 5.
        let all = covered(&[("a", 0, 3), ("b", 1, 2), ("a", 5, 1)]);
        assert_eq!((all.missing, all.doubled), (vec![], vec![]));
        // One of them is gone.
        let all = covered(&[("a", 0, 3), ("b", 1, 1), ("a", 5, 1)]);
        assert_eq!(spans(&all.missing), [(1, (0, 5))]);
        // A folder's next file cannot begin before all of them have ended.
        let all = covered(&[("a", 0, 3), ("b", 1, 3), ("a", 5, 1)]);
        assert_eq!(spans(&all.doubled), [(1, (5, 6))]);
    }

    #[test]
    fn the_report_says_whether_all_is_well() {
        let file = |start, records| FileRange {
            key: "k".to_owned(),
            topic: "t".to_owned(),
            partition: 1,
            folder: "a".to_owned(),
            start,
            records,
        };
        let (report, is_complete) = super::report("b", &coverage(&[file(0, 2), file(4, 1)]));
        assert!(!is_complete);
        assert_eq!(
            report["partitions"][0]["missing"],
            json!([{"from": 2, "to": 3, "count": 2, "object": "k"}])
        );
        assert_eq!(
            (&report["missing"], &report["complete"]),
            (&json!(2), &json!(false))
        );
    }
}
