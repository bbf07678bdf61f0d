//! The file sink: one line per record's value, appended. Without a file it writes to the standard
//! output.
//!
//! Answers for `org.apache.kafka.connect.file.{FileStreamSinkConnector, FileStreamSinkTask}`.

use std::fs::File;
use std::io::{BufWriter, Write};

use connect_api::config::{ConfigDef, ConfigKey, Importance, Type};
use connect_api::connector::{Connector, ConnectorContext, OffsetChange};
use connect_api::data::Value;
use connect_api::data::text::to_java_string;
use connect_api::record::{SinkRecord, TopicPartition};
use connect_api::sink::{Offsets, SinkTask, SinkTaskContext};
use connect_api::{Error, Props, Result};

use crate::FILE;

pub(crate) fn definition() -> ConfigDef {
    ConfigDef::new().define(
        ConfigKey::new(FILE, Type::String, Importance::High)
            .default_null()
            .doc("The file to append to. Without it, lines go to the standard output."),
    )
}

/// The same configuration for every task.
#[derive(Debug, Default)]
pub(crate) struct FileStreamSinkConnector {
    props: Props,
}

impl Connector for FileStreamSinkConnector {
    fn start(&mut self, _context: ConnectorContext, props: &Props) -> Result<()> {
        definition().parse(props)?;
        self.props = props.clone();
        Ok(())
    }

    fn task_configs(&mut self, max_tasks: usize) -> Result<Vec<Props>> {
        Ok(vec![self.props.clone(); max_tasks])
    }

    fn alter_offsets(&self, _props: &Props, _offsets: &[OffsetChange]) -> Result<bool> {
        // Nothing is kept outside of the consumer group.
        Ok(true)
    }
}

/// Writes lines.
#[derive(Default)]
pub(crate) struct FileStreamSinkTask {
    file: Option<String>,
    output: Option<Box<dyn Write + Send>>,
}

impl std::fmt::Debug for FileStreamSinkTask {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("FileStreamSinkTask")
            .field("file", &self.file)
            .finish_non_exhaustive()
    }
}

impl FileStreamSinkTask {
    fn failed(&self, what: &str, error: std::io::Error) -> Error {
        let file = self.file.as_deref().unwrap_or("standard output");
        Error::fatal(format!("{what} {file}")).with_source(error)
    }
}

impl SinkTask for FileStreamSinkTask {
    fn start(&mut self, _context: SinkTaskContext, props: &Props) -> Result<()> {
        let config = definition().parse(props)?;
        self.file = config.string_opt(FILE).map(str::to_owned);
        self.output = Some(match &self.file {
            None => Box::new(std::io::stdout()),
            Some(name) => {
                let file = File::options()
                    .create(true)
                    .append(true)
                    .open(name)
                    .map_err(|error| {
                        Error::fatal(format!(
                            "Couldn't find or create file '{name}' for FileStreamSinkTask"
                        ))
                        .with_source(of_file(name, &error))
                    })?;
                Box::new(BufWriter::new(file))
            }
        });
        Ok(())
    }

    fn open(&mut self, _partitions: &[TopicPartition]) -> Result<()> {
        Ok(())
    }

    fn close(&mut self, _partitions: &[TopicPartition]) -> Result<()> {
        Ok(())
    }

    fn put(&mut self, records: &[SinkRecord]) -> Result<()> {
        let Some(output) = &mut self.output else {
            return Ok(());
        };
        for record in records {
            let written = match &record.record.value.value {
                Value::String(text) => output.write_all(text.as_bytes()),
                other => output.write_all(to_java_string(other).as_bytes()),
            };
            if let Err(error) = written.and_then(|()| output.write_all(b"\n")) {
                return Err(self.failed("writing to", error));
            }
        }
        Ok(())
    }

    fn pre_commit(&mut self, delivered: &Offsets) -> Result<Offsets> {
        if let Some(Err(error)) = self.output.as_mut().map(Write::flush) {
            return Err(self.failed("flushing", error));
        }
        Ok(delivered.clone())
    }

    fn stop(&mut self) {
        if let Some(Err(error)) = self.output.as_mut().map(Write::flush) {
            tracing::error!(error = %self.failed("flushing", error), "stopping file sink task");
        }
        self.output = None;
    }
}

/// Why a file could not be opened, as Java says it.
fn of_file(name: &str, error: &std::io::Error) -> Error {
    let (class, why) = match error.kind() {
        std::io::ErrorKind::NotFound => ("java.nio.file.NoSuchFileException", name.to_owned()),
        std::io::ErrorKind::PermissionDenied => {
            ("java.nio.file.AccessDeniedException", name.to_owned())
        }
        kind => (
            "java.nio.file.FileSystemException",
            format!("{name}: {kind}"),
        ),
    };
    Error::fatal(why).with_class(class)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_cannot_be_is_told_by_name() {
        let missing = std::io::Error::from(std::io::ErrorKind::NotFound);
        assert_eq!(
            of_file("/x/y", &missing).trace().trim_end(),
            "java.nio.file.NoSuchFileException: /x/y"
        );
    }
    use connect_api::data::SchemaAndValue;
    use connect_api::record::{Record, TimestampType};

    #[test]
    fn values_are_appended_as_lines() {
        let path = std::env::temp_dir().join(format!("file-sink-{}", std::process::id()));
        std::fs::write(&path, "before\n").expect("written");
        let file = File::options().append(true).open(&path).expect("a file");
        let mut task = FileStreamSinkTask {
            file: None,
            output: Some(Box::new(BufWriter::new(file))),
        };
        let record = |value: Value| SinkRecord {
            record: Record {
                value: SchemaAndValue {
                    schema: None,
                    value,
                },
                ..Record::default()
            },
            offset: 0,
            timestamp_type: TimestampType::CreateTime,
            original_topic: "t".into(),
            original_partition: 0,
        };
        let values = [Value::text("a line"), Value::Int32(5), Value::Null];
        task.put(&values.map(record)).expect("written");
        task.pre_commit(&Offsets::new()).expect("flushed");
        assert_eq!(
            std::fs::read_to_string(&path).expect("read"),
            "before\na line\n5\nnull\n"
        );
        std::fs::remove_file(path).expect("removed");
    }
}
