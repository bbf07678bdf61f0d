//! Facts of the file source.

use std::io::Write as _;

use connect_api::context::{PluginContext, StopSignal};
use connect_api::source::OffsetReader;

use super::*;

struct Stored(Option<i64>);
impl OffsetReader for Stored {
    fn read(&self, partitions: &[SourcePartition]) -> Result<Vec<Option<OffsetMap>>> {
        Ok(partitions
            .iter()
            .map(|_| self.0.map(|at| Position(Some(at)).to_map()))
            .collect())
    }
}

fn task(file: &std::path::Path, batch_size: usize, stored: Option<i64>) -> FileStreamSourceTask {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .expect("a runtime");
    let context = SourceTaskContext {
        connector: "c".to_owned(),
        task: 0,
        plugin: PluginContext {
            runtime: runtime.handle().clone(),
        },
        stop: StopSignal::new(),
        offsets: Arc::new(Stored(stored)),
        topics: None,
    };
    // No poll of a test waits.
    context.stop.set();
    let props = [
        ("file", file.display().to_string()),
        ("topic", "t".to_owned()),
        ("batch.size", batch_size.to_string()),
    ];
    let mut task = FileStreamSourceTask::default();
    let props = props
        .into_iter()
        .map(|(key, value)| (key.to_owned(), value))
        .collect();
    task.start(context, &props).expect("a task");
    task
}

fn temporary(name: &str) -> std::path::PathBuf {
    let path = std::env::temp_dir().join(format!("file-source-{}-{name}", std::process::id()));
    let _absent = std::fs::remove_file(&path);
    path
}

fn poll(task: &mut FileStreamSourceTask) -> Vec<(String, i64)> {
    let batch = task.poll().expect("a batch");
    let line = |record: &SourceRecord| {
        let text = record
            .record
            .value
            .value
            .as_str()
            .expect("a text")
            .to_owned();
        let offset = record.source_offset.to_map();
        (
            text,
            offset
                .get(POSITION)
                .and_then(Value::as_i64)
                .expect("a position"),
        )
    };
    batch.records.iter().map(line).collect()
}

#[test]
fn every_complete_line_is_a_record_with_the_position_after_it() {
    let path = temporary("lines");
    let mut task = task(&path, 2, None);
    assert_eq!(poll(&mut task), [], "the file is not there yet");
    let mut file = File::create(&path).expect("a file");
    file.write_all("a\r\nb\u{e9}\rc\nrest".as_bytes())
        .expect("written");
    assert_eq!(poll(&mut task), [("a".to_owned(), 3), ("bé".to_owned(), 7)]);
    assert_eq!(poll(&mut task), [("c".to_owned(), 9)]);
    file.write_all(b" of it\n").expect("written");
    assert_eq!(poll(&mut task), [("rest of it".to_owned(), 20)]);
    assert_eq!(
        task.partition.get(FILENAME),
        Some(&Value::from(path.display().to_string()))
    );
    std::fs::remove_file(path).expect("removed");
}

#[test]
fn reading_goes_on_at_the_stored_position() {
    let path = temporary("stored");
    std::fs::write(&path, "one\ntwo\n").expect("written");
    assert_eq!(poll(&mut task(&path, 10, Some(4))), [("two".to_owned(), 8)]);
    std::fs::remove_file(path).expect("removed");
}

#[test]
fn only_positions_in_files_can_be_set() {
    let connector = FileStreamSourceConnector::default();
    let props = |file: Option<&str>| -> Props {
        let file = file.map(|file| ("file".to_owned(), file.to_owned()));
        file.into_iter()
            .chain([("topic".to_owned(), "t".to_owned())])
            .collect()
    };
    let map = |key: &'static str, value: Value| -> OffsetMap {
        [(ByteString::from_static(key), value)]
            .into_iter()
            .collect()
    };
    let name = || Some(map("filename", "f".into()));
    let alter = |file, change: OffsetChange| {
        connector
            .alter_offsets(&props(file), &[change])
            .map_err(|error| error.message().to_owned())
    };
    assert_eq!(
        alter(Some("f"), (name(), Some(map("position", Value::Int64(5))))),
        Ok(true)
    );
    assert_eq!(alter(Some("f"), (name(), None)), Ok(true));
    for (file, change, text) in [
        (
            Some("f"),
            (None, Some(map("position", Value::Int64(5)))),
            "Partition objects cannot be null",
        ),
        (
            None,
            (name(), None),
            "Offsets cannot be modified if the 'file' configuration is unspecified.",
        ),
        (
            Some("f"),
            (name(), Some(map("x", Value::Null))),
            "Offset objects should either be null",
        ),
        (
            Some("f"),
            (name(), Some(map("position", "5".into()))),
            "The value for the 'position' key in the offset is expected to be a Long value",
        ),
        (
            Some("f"),
            (name(), Some(map("position", Value::Int64(-1)))),
            "The value for the 'position' key in the offset should be a non-negative value",
        ),
        (
            Some("f"),
            (
                Some(map("x", Value::Null)),
                Some(map("position", Value::Int64(1))),
            ),
            "Partition objects should contain the key 'filename'",
        ),
    ] {
        let error = alter(file, change).expect_err(text);
        assert!(error.starts_with(text), "{error}");
    }
    assert_eq!(
        connector.exactly_once_support(&props(None)),
        Some(ExactlyOnceSupport::Unsupported)
    );
    assert_eq!(
        connector.exactly_once_support(&props(Some("f"))),
        Some(ExactlyOnceSupport::Supported)
    );
}
