//! Events as JSON text, straight from the cells of their rows: for values that nothing looks at
//! before a `JsonConverter` writes them.
//!
//! What is the same in all events of a table is printed once, by the converter's own plans; an
//! event copies it, with what differs between. What is unusual about a row (its length, a value
//! that its schema cannot hold) is left to the long way over values, which tells of it. Answers
//! for nothing in Debezium: the text is what `JsonConverter` makes of the values.

use std::sync::{Mutex, PoisonError};

use connect_api::data::json::{JsonOptions, ValuePlan, ValueStyle, write_string};
use connect_api::data::{Blocks, Bytes, Value};

use crate::change::{Operation, Phase, Position, SnapshotMarker, TupleRef};
use crate::emitter::{Place, RowChange};
use crate::envelope::{EnvelopeFactory, Varying, write_sequence};
use crate::table::{RowText, TablePlan};

/// How the events of a table are printed.
#[derive(Debug)]
pub(crate) struct EventText {
    pieces: Vec<Piece>,
    row: RowText,
    /// What is the same in the events of a transaction.
    steady: Mutex<Steady>,
}

#[derive(Debug)]
enum Piece {
    /// The same in every event.
    Text(Vec<u8>),
    Before,
    After,
    Operation,
    /// The envelope's own time in nanoseconds, without so many of its last digits.
    Now(usize),
    Sequence,
    Lsn(ValuePlan),
    /// One of the texts of [`Steady`].
    Steady(usize),
}

/// The texts of the source block that differ from transaction to transaction only.
#[derive(Debug, Default)]
struct Steady {
    parts: Vec<Vec<SteadyPart>>,
    /// Printed for this position and marker.
    texts: Vec<Vec<u8>>,
    of: Option<(Position, SnapshotMarker)>,
}

#[derive(Debug)]
enum SteadyPart {
    Text(Vec<u8>),
    Value(Varying, ValuePlan),
}

impl Steady {
    /// Prints what differs from the last event's; `false` where a value has no JSON form.
    #[inline]
    fn keep_up(&mut self, position: &Position, marker: SnapshotMarker) -> bool {
        let is_same = |(of, its_marker): &(Position, SnapshotMarker)| {
            *its_marker == marker
                && (of.ts_us, of.tx_id, of.xmin, of.origin_lsn)
                    == (
                        position.ts_us,
                        position.tx_id,
                        position.xmin,
                        position.origin_lsn,
                    )
                && of.origin == position.origin
        };
        self.of.as_ref().is_some_and(is_same) || self.print(position, marker)
    }

    fn print(&mut self, position: &Position, marker: SnapshotMarker) -> bool {
        self.of = None;
        for (text, parts) in self.texts.iter_mut().zip(&self.parts) {
            text.clear();
            for part in parts {
                match part {
                    SteadyPart::Text(part) => text.extend_from_slice(part),
                    SteadyPart::Value(varying, json) => {
                        if json.write(&varying.value(position, marker), text).is_err() {
                            return false;
                        }
                    }
                }
            }
        }
        self.of = Some((position.clone(), marker));
        true
    }
}

impl EventText {
    /// The text of a table's events; none where a value of every event has no JSON form.
    pub(crate) fn new(
        envelopes: &EnvelopeFactory,
        plan: &TablePlan,
        style: ValueStyle,
    ) -> Option<Self> {
        let (position, marker) = (Position::default(), SnapshotMarker::False);
        // For what is the same in all.
        let sample = envelopes.envelope(plan, Operation::Read, None, None, &position, marker, 0);
        let mut pieces = Pieces::default();
        for (field, value) in sample.schema.fields().iter().zip(&sample.values) {
            pieces.name(&field.name, field.index);
            match (&*field.name, value) {
                ("before", _) => pieces.push(Piece::Before),
                ("after", _) => pieces.push(Piece::After),
                ("op", _) => pieces.push(Piece::Operation),
                ("ts_ms", _) => pieces.push(Piece::Now(6)),
                ("ts_us", _) => pieces.push(Piece::Now(3)),
                ("ts_ns", _) => pieces.push(Piece::Now(0)),
                ("source", Value::Struct(source)) => {
                    for (field, value) in source.schema.fields().iter().zip(&source.values) {
                        pieces.name(&field.name, field.index);
                        let json = ValuePlan::new(&field.schema, style);
                        match Varying::of_field(&field.name) {
                            Some(Varying::Sequence) => pieces.push(Piece::Sequence),
                            Some(Varying::Lsn) => pieces.push(Piece::Lsn(json)),
                            Some(varying) => pieces.push_steady(varying, json),
                            None => json.write(value, &mut pieces.text).ok()?,
                        }
                    }
                    pieces.text.push(b'}');
                }
                (_, value) => {
                    let json = ValuePlan::new(&field.schema, style);
                    json.write(value, &mut pieces.text).ok()?;
                }
            }
        }
        pieces.text.push(b'}');
        pieces.end_text();
        let steady = Steady {
            texts: vec![Vec::new(); pieces.steady.len()],
            parts: pieces.steady,
            of: None,
        };
        Some(Self {
            pieces: pieces.list,
            row: plan.row_text(style),
            steady: Mutex::new(steady),
        })
    }

    /// Appends an event; `false` where that takes the long way.
    fn write(
        &self,
        plan: &TablePlan,
        change: &RowChange<'_>,
        place: &Place<'_>,
        now_ns: i64,
        out: &mut Vec<u8>,
    ) -> bool {
        let phase = Phase::of(change.operation);
        let row = |row: Option<TupleRef<'_>>, out: &mut Vec<u8>| match row {
            Some(row) => plan.write_row(row, phase, &self.row, out),
            None => put(b"null", out),
        };
        let steady = &mut *self.steady.lock().unwrap_or_else(PoisonError::into_inner);
        if !steady.keep_up(place.position, place.marker) {
            return false;
        }
        let mut now = itoa::Buffer::new();
        let now = now.format(now_ns.max(0)).as_bytes();
        for piece in &self.pieces {
            let written = match piece {
                Piece::Text(text) => put(text, out),
                Piece::Steady(index) => {
                    let text = steady.texts.get(*index);
                    text.is_some_and(|text| put(text, out))
                }
                Piece::Now(cut) => match now.len().checked_sub(*cut) {
                    Some(length @ 1..) => put(&now[..length], out),
                    _ => put(b"0", out),
                },
                Piece::Before => row(change.before, out),
                Piece::After => row(change.after, out),
                Piece::Operation => {
                    write_string(change.operation.code(), out);
                    true
                }
                Piece::Sequence => {
                    out.push(b'"');
                    write_sequence(place.position, b"\\\"", out);
                    put(b"\"", out)
                }
                Piece::Lsn(json) => {
                    let value = Varying::Lsn.value(place.position, place.marker);
                    json.write(&value, out).is_ok()
                }
            };
            if !written {
                return false;
            }
        }
        true
    }
}

fn put(text: &[u8], out: &mut Vec<u8>) -> bool {
    out.extend_from_slice(text);
    true
}

/// A template while it is made: texts that follow each other are one, and so are those between
/// steady values.
#[derive(Default)]
struct Pieces {
    list: Vec<Piece>,
    steady: Vec<Vec<SteadyPart>>,
    /// The steady values since the last piece, with the text before each.
    run: Vec<SteadyPart>,
    text: Vec<u8>,
}

impl Pieces {
    /// The name of a struct's member.
    fn name(&mut self, name: &str, index: usize) {
        self.text.push(if index == 0 { b'{' } else { b',' });
        write_string(name, &mut self.text);
        self.text.push(b':');
    }

    fn push_steady(&mut self, varying: Varying, json: ValuePlan) {
        self.run
            .push(SteadyPart::Text(std::mem::take(&mut self.text)));
        self.run.push(SteadyPart::Value(varying, json));
    }

    fn push(&mut self, piece: Piece) {
        self.end_text();
        self.list.push(piece);
    }

    fn end_text(&mut self) {
        let text = std::mem::take(&mut self.text);
        if !self.run.is_empty() {
            self.run.push(SteadyPart::Text(text));
            self.list.push(Piece::Steady(self.steady.len()));
            self.steady.push(std::mem::take(&mut self.run));
        } else if !text.is_empty() {
            self.list.push(Piece::Text(text));
        }
    }
}

/// Prints events, as far as the buffers go that they share.
#[derive(Debug)]
pub(crate) struct Printer {
    style: ValueStyle,
    page: Mutex<Page>,
}

#[derive(Debug, Default)]
struct Page {
    text: Vec<u8>,
    blocks: Blocks,
}

impl Printer {
    pub(crate) fn new(options: JsonOptions) -> Self {
        Self {
            style: options.style(),
            page: Mutex::default(),
        }
    }

    /// The text of a table's events.
    pub(crate) fn plan(&self, envelopes: &EnvelopeFactory, plan: &TablePlan) -> Option<EventText> {
        EventText::new(envelopes, plan, self.style)
    }

    /// An event's text; none where its values have to be looked at one by one.
    pub(crate) fn print(
        &self,
        text: &EventText,
        plan: &TablePlan,
        change: &RowChange<'_>,
        place: &Place<'_>,
        now_ns: i64,
    ) -> Option<Bytes> {
        // A printer that panicked left nothing but text that is thrown away.
        let page = &mut *self.page.lock().unwrap_or_else(PoisonError::into_inner);
        page.text.clear();
        text.write(plan, change, place, now_ns, &mut page.text)
            .then(|| page.blocks.copy(&page.text))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use connect_api::data::json::{DecimalFormat, JsonWriter};
    use connect_api::record::{OffsetMap, SourceOffset, SourceRecord};

    use super::*;
    use crate::change::Cell;
    use crate::config::PostgresConfig;
    use crate::emitter::{Emitter, Table};
    use crate::envelope::context_headers;
    use crate::table::tests::{config, row, table};
    use crate::transaction::TransactionMonitor;

    const COLUMNS: [&str; 14] = [
        "id int4!",
        "small int2",
        "large int8",
        "name text",
        "required text!",
        "is_paid bool",
        "amount numeric",
        "price float8",
        "at timestamptz",
        "day date",
        "data bytea",
        "tags _text",
        "doc jsonb",
        "sparse hstore",
    ];

    fn emitter(config: &PostgresConfig, json: Option<JsonOptions>) -> Emitter {
        Emitter::new(
            config,
            Arc::new(OffsetMap::new()),
            EnvelopeFactory::new(config),
            context_headers(config, 0, "run"),
        )
        .printing(json)
    }

    /// A record's bytes, its own times without their digits.
    fn text(record: &SourceRecord, options: JsonOptions) -> String {
        let mut out = Vec::new();
        let mut writer = JsonWriter::new(options);
        writer.write(&record.record.key, &mut out).unwrap();
        writer.write(&record.record.value, &mut out).unwrap();
        let mut text = String::from_utf8(out).unwrap();
        if let Some(times) = text.rfind("\"op\":") {
            let shown = text.split_off(times);
            text.extend(shown.chars().filter(|c| !c.is_ascii_digit()));
        }
        text
    }

    const ORDINARY: [Option<&str>; COLUMNS.len()] = [
        Some("1"),
        Some("-2"),
        Some("9223372036854775807"),
        Some("a \"quoted\" \\ 😀 \u{1} é"),
        Some(""),
        Some("t"),
        Some("12.50"),
        Some("1e+20"),
        Some("2024-01-02 10:17:36.5+00"),
        Some("2024-01-02"),
        Some("\\x00ff"),
        Some("{a,NULL}"),
        Some("{\"k\": 1}"),
        Some("\"a\"=>\"b\""),
    ];

    /// Rows of the table, with whether their events are printed.
    fn rows() -> Vec<(Bytes, Vec<Cell>, bool)> {
        let changed = |index: usize, value| {
            let mut values = ORDINARY;
            values[index] = value;
            row(&values)
        };
        let long = "x".repeat(LONG);
        let mut nulls = [None; COLUMNS.len()];
        nulls[0] = Some("7");
        let (buffer, mut cells) = row(&ORDINARY);
        cells[3] = Cell::Unchanged;
        cells[10] = Cell::Unchanged;
        let with = |(buffer, cells), printed| (buffer, cells, printed);
        vec![
            with(row(&ORDINARY), true),
            with(row(&nulls), true),
            (buffer, cells, true),
            with(changed(0, Some("2")), true),
            with(changed(3, Some(&long)), false),
            // Values that their schemas cannot hold.
            with(changed(1, Some("40000")), false),
            with(changed(6, Some("NaN")), false),
            with(changed(0, Some("x")), false),
        ]
    }

    const LONG: usize = 130 * 1024;

    #[test]
    fn an_event_that_is_printed_has_the_bytes_of_its_values() {
        let offset: Arc<dyn SourceOffset> = Arc::new(OffsetMap::new());
        let positions = [
            Position::default(),
            Position {
                lsn: Some(u64::MAX),
                last_commit_lsn: Some(5),
                tx_id: Some(7),
                ts_us: -1,
                xmin: Some(3),
                origin: Some("o\"".into()),
                origin_lsn: Some(4),
            },
        ];
        let settings: [&[(&str, &str)]; 4] = [
            &[],
            &[
                ("debezium.compat.version", "2.4"),
                ("decimal.handling.mode", "string"),
            ],
            &[("column.mask.hash.SHA-256.with.salt.s", "public.t.name")],
            &[
                ("skipped.operations", "d"),
                ("event.converting.failure.handling.mode", "fail"),
            ],
        ];
        let options = [
            JsonOptions::default(),
            JsonOptions::schemaless(),
            JsonOptions {
                decimal_format: DecimalFormat::Numeric,
                replace_null_with_default: false,
                ..JsonOptions::schemaless()
            },
        ];
        let (mut printed, mut compared) = (0, 0);
        for (settings, options) in settings.iter().zip(options.into_iter().cycle()) {
            let config = config(settings);
            let table = Table::new(table("t", &COLUMNS, &["id"]), &config, Phase::Stream).unwrap();
            let (long, short) = (emitter(&config, None), emitter(&config, Some(options)));
            let rows = rows();
            let pairs = rows
                .iter()
                .flat_map(|old| rows.iter().map(move |new| (old, new)));
            for ((old, new), operation) in pairs.flat_map(|pair| {
                use Operation::{Create, Delete, Read, Update};
                [Create, Read, Update, Delete].map(|operation| (pair, operation))
            }) {
                let (has_old, has_new) = match operation {
                    Operation::Update => (true, true),
                    Operation::Delete => (true, false),
                    _ => (false, true),
                };
                let change = RowChange {
                    operation,
                    before: has_old.then(|| TupleRef::new(&old.0, &old.1)),
                    after: has_new.then(|| TupleRef::new(&new.0, &new.1)),
                };
                for (position, marker) in positions
                    .iter()
                    .zip([SnapshotMarker::False, SnapshotMarker::Incremental])
                {
                    let place = Place {
                        position,
                        marker,
                        before: &offset,
                        after: &offset,
                        transaction: None,
                    };
                    let records = |emitter: &Emitter| {
                        let mut out = Vec::new();
                        let result = emitter.row(&table, change, place, &mut out);
                        (result.map_err(|error| error.to_string()), out)
                    };
                    let ((long_result, long), (short_result, short)) =
                        (records(&long), records(&short));
                    assert_eq!(long_result, short_result);
                    assert_eq!(long.len(), short.len());
                    for (long, short) in long.iter().zip(&short) {
                        assert_eq!(text(long, options), text(short, options));
                        assert_eq!(long.record.value.schema, short.record.value.schema);
                        assert_eq!(long.record.headers, short.record.headers);
                        compared += 1;
                    }
                    let usual = (!has_old || old.2) && (!has_new || new.2);
                    let is_text = |source: &SourceRecord| {
                        matches!(source.record.value.value, Value::Bytes(_))
                    };
                    let events = short.iter().filter(|source| !source.record.value.is_null());
                    for event in events.filter(|_| usual) {
                        assert!(is_text(event), "{change:?}");
                        printed += 1;
                    }
                }
            }
        }
        assert_eq!((printed, compared), (892, 2112));
    }

    #[test]
    fn only_events_that_are_told_are_counted_in_their_transaction() {
        let (buffer, cells) = row(&[Some("1")]);
        let (other_buffer, other_cells) = row(&[Some("2")]);
        let (old, new) = (
            TupleRef::new(&buffer, &cells),
            TupleRef::new(&other_buffer, &other_cells),
        );
        let changes = [
            (Operation::Create, None, Some(new)),
            (Operation::Update, Some(new), Some(new)),
            (Operation::Delete, Some(old), None),
            // Another key: a delete and a create.
            (Operation::Update, Some(old), Some(new)),
        ];
        for (skipped, counted) in [("none", 5), ("d", 3), ("u", 4), ("c,u,d", 0)] {
            let config = config(&[
                ("skipped.operations", skipped),
                ("provide.transaction.metadata", "true"),
            ]);
            let columns = table("t", &["id int4!"], &["id"]);
            let table = Table::new(columns, &config, Phase::Stream).unwrap();
            let emitter = emitter(&config, None);
            let monitor = TransactionMonitor::new("p.transaction", None);
            let position = Position {
                tx_id: Some(7),
                ..Position::default()
            };
            monitor.begin(&position);
            let offset: Arc<dyn SourceOffset> = Arc::new(OffsetMap::new());
            let place = Place {
                position: &position,
                marker: SnapshotMarker::False,
                before: &offset,
                after: &offset,
                transaction: Some(&monitor),
            };
            for (operation, before, after) in changes {
                let change = RowChange {
                    operation,
                    before,
                    after,
                };
                emitter.row(&table, change, place, &mut Vec::new()).unwrap();
            }
            let end = monitor.end_record(0, 0, emitter.partition(), Arc::clone(&offset));
            let Value::Struct(end) = end.record.value.value else {
                panic!("a struct")
            };
            assert_eq!(end.values[2], Value::Int64(counted), "{skipped}");
        }
    }

    #[test]
    fn whatever_changes_from_event_to_event_is_printed_anew() {
        let config = config(&[]);
        let table = Table::new(table("t", &["id int4!"], &["id"]), &config, Phase::Stream).unwrap();
        let options = JsonOptions::schemaless();
        let (long, short) = (emitter(&config, None), emitter(&config, Some(options)));
        let first = Position {
            lsn: Some(1),
            last_commit_lsn: Some(2),
            tx_id: Some(3),
            ts_us: 4_000_000,
            xmin: Some(5),
            origin: Some("o".into()),
            origin_lsn: Some(6),
        };
        let changes: [fn(&mut Position); 8] = [
            |_| {},
            |position| position.lsn = Some(10),
            |position| position.last_commit_lsn = None,
            |position| position.tx_id = Some(30),
            |position| position.ts_us = 40_000_000,
            |position| position.xmin = None,
            |position| position.origin = Some("p".into()),
            |position| position.origin_lsn = Some(60),
        ];
        let offset: Arc<dyn SourceOffset> = Arc::new(OffsetMap::new());
        let (buffer, cells) = row(&[Some("1")]);
        let mut seen = std::collections::HashSet::new();
        for (change, marker) in changes.iter().flat_map(|change| {
            let first = (&changes[0], SnapshotMarker::False);
            [
                first,
                (change, SnapshotMarker::False),
                (change, SnapshotMarker::Last),
            ]
        }) {
            let mut position = first.clone();
            change(&mut position);
            let place = Place {
                position: &position,
                marker,
                before: &offset,
                after: &offset,
                transaction: None,
            };
            let change = RowChange {
                operation: Operation::Create,
                before: None,
                after: Some(TupleRef::new(&buffer, &cells)),
            };
            let [long, short] = [&long, &short].map(|emitter| {
                let mut out = Vec::new();
                emitter.row(&table, change, place, &mut out).unwrap();
                text(&out[0], options)
            });
            assert_eq!(long, short);
            seen.insert(short);
        }
        assert_eq!(seen.len(), 16);
    }

    #[test]
    fn an_emptied_table_is_printed_too() {
        let config = config(&[]);
        let table = Table::new(table("t", &COLUMNS, &["id"]), &config, Phase::Stream).unwrap();
        let offset: Arc<dyn SourceOffset> = Arc::new(OffsetMap::new());
        let place = Place {
            position: &Position::default(),
            marker: SnapshotMarker::False,
            before: &offset,
            after: &offset,
            transaction: None,
        };
        let options = JsonOptions::schemaless();
        let [long, short] = [None, Some(options)].map(|json| {
            let mut out = Vec::new();
            emitter(&config, json)
                .truncate(&table, place, &mut out)
                .unwrap();
            text(&out[0], options)
        });
        assert_eq!(long, short);
        assert!(short.contains("\"before\":null,\"after\":null,"), "{short}");
    }
}
