//! Which folder a record goes to. Reads a record's fields and time; touches no store.
//!
//! Answers for `io.confluent.connect.storage.partitioner.{Default,Field,TimeBased,Daily,Hourly}Partitioner`
//! and for the wrappers that put the schema's name or `tombstone` into the path.

pub(crate) mod field;
mod iso;
pub(crate) mod joda;
mod names;
pub(crate) mod time_based;
pub(crate) mod timestamp;
pub(crate) mod zone;

use std::sync::Arc;

use connect_api::record::SinkRecord;
use connect_api::{Error, Result};

use self::field::FieldPartitioner;
use self::time_based::TimeBasedPartitioner;

/// A folder below a topic's: `partition=0`, `year=2024/month=01`.
pub(crate) type EncodedPartition = Arc<str>;

const PACKAGE: &str = "io.confluent.connect.storage.partitioner.";
/// The partitioner unless another is named.
pub(crate) const DEFAULT_CLASS: &str =
    "io.confluent.connect.storage.partitioner.DefaultPartitioner";
/// The partitioners, by simple name.
const PARTITIONERS: &[&str] = &[
    "DefaultPartitioner",
    "FieldPartitioner",
    "TimeBasedPartitioner",
    "DailyPartitioner",
    "HourlyPartitioner",
];

fn simple_name(class: &str) -> Option<&str> {
    let name = class.strip_prefix(PACKAGE).unwrap_or(class);
    PARTITIONERS.iter().find(|known| **known == name).copied()
}

/// Whether there is such a partitioner.
pub(crate) fn is_known(class: &str) -> bool {
    simple_name(class).is_some()
}

/// Whether a class is the partitioner by fields.
pub(crate) fn is_field(class: &str) -> bool {
    simple_name(class) == Some("FieldPartitioner")
}

/// Why a record has no folder; decides who hears of it.
#[derive(Debug)]
pub(crate) enum EncodeError {
    /// `PartitionException`: the record is bad, the dead letter queue takes it.
    Partition(String),
    /// `DataException`: fails the task all the same.
    Data(String),
    /// Anything else: fails the task.
    Fatal(String),
}

impl EncodeError {
    /// As the error of the task or of the dead letter queue.
    pub(crate) fn into_error(self) -> Error {
        match self {
            Self::Partition(message) => Error::data(message),
            Self::Data(message) | Self::Fatal(message) => Error::fatal(message),
        }
    }
}

/// Where the schema's name stands in the path.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Affix {
    /// Nowhere.
    #[default]
    None,
    /// `schema_name=N` first.
    Prefix,
    /// `schema_name=N` last.
    Suffix,
}

/// The options of all partitioners.
#[derive(Clone, Debug)]
pub(crate) struct PartitionerSettings {
    pub(crate) class: String,
    pub(crate) field_names: Vec<String>,
    pub(crate) duration_ms: i64,
    pub(crate) path_format: String,
    pub(crate) locale: String,
    pub(crate) timezone: String,
    pub(crate) timestamp_extractor: String,
    pub(crate) timestamp_field: String,
    pub(crate) directory_delim: String,
    pub(crate) affix: Affix,
    /// The folder of records without a value, where their keys are written.
    pub(crate) tombstone: Option<EncodedPartition>,
}

/// Divides one topic partition's records. Remembers the last answer, since it mostly is the next.
#[derive(Clone, Debug)]
pub(crate) struct Partitioner {
    scheme: Scheme,
    delim: String,
    affix: Affix,
    tombstone: Option<EncodedPartition>,
    /// The last schema name and folder, and what they made together.
    last_affixed: Option<(Option<String>, EncodedPartition, EncodedPartition)>,
}

#[derive(Clone, Debug)]
enum Scheme {
    Default(Option<(i32, EncodedPartition)>),
    Field(FieldPartitioner),
    TimeBased(Box<TimeBasedPartitioner>),
}

impl Partitioner {
    /// # Errors
    /// Kind Config: an option of a time-based partitioner is missing or wrong.
    pub(crate) fn new(settings: &PartitionerSettings) -> Result<Self> {
        let scheme = match simple_name(&settings.class) {
            Some("DefaultPartitioner") => Scheme::Default(None),
            Some("FieldPartitioner") => Scheme::Field(FieldPartitioner::new(
                &settings.field_names,
                &settings.directory_delim,
            )),
            Some(name) => Scheme::TimeBased(Box::new(TimeBasedPartitioner::new(name, settings)?)),
            None => {
                return Err(Error::config(format!(
                    "partitioner.class: {} is not one of this worker's partitioners ({})",
                    settings.class,
                    PARTITIONERS.join(", ")
                )));
            }
        };
        Ok(Self {
            scheme,
            delim: settings.directory_delim.clone(),
            affix: settings.affix,
            tombstone: settings.tombstone.clone(),
            last_affixed: None,
        })
    }

    /// Whether records have a time by which files rotate.
    pub(crate) fn is_time_based(&self) -> bool {
        matches!(self.scheme, Scheme::TimeBased(_))
    }

    /// Whether it looks into records' values.
    pub(crate) fn reads_values(&self) -> bool {
        match &self.scheme {
            Scheme::Default(_) => false,
            Scheme::Field(_) => true,
            Scheme::TimeBased(time_based) => time_based.reads_values(),
        }
    }

    /// Whether folders follow the wall clock.
    pub(crate) fn goes_by_clock(&self) -> bool {
        matches!(&self.scheme, Scheme::TimeBased(time_based) if time_based.goes_by_clock())
    }

    /// The record's time, where the partitioner goes by time.
    ///
    /// # Errors
    /// The record's time cannot be read; fails the task.
    pub(crate) fn timestamp(
        &self,
        record: &SinkRecord,
        now: i64,
    ) -> Result<Option<i64>, EncodeError> {
        match &self.scheme {
            Scheme::TimeBased(time_based) => time_based.timestamp(record, now),
            _ => Ok(None),
        }
    }

    /// The record's folder. `timestamp` is what [`Self::timestamp`] gave.
    ///
    /// # Errors
    /// The record has none.
    pub(crate) fn encode(
        &mut self,
        record: &SinkRecord,
        timestamp: Option<i64>,
    ) -> Result<EncodedPartition, EncodeError> {
        if let Some(tombstone) = &self.tombstone
            && record.record.value.is_null()
        {
            return Ok(Arc::clone(tombstone));
        }
        let partition = match &mut self.scheme {
            Scheme::Default(last) => {
                let number = record.record.partition.unwrap_or(record.original_partition);
                match last {
                    Some((known, folder)) if *known == number => Arc::clone(folder),
                    _ => {
                        let folder: Arc<str> = format!("partition={number}").into();
                        *last = Some((number, Arc::clone(&folder)));
                        folder
                    }
                }
            }
            Scheme::Field(fields) => fields.encode(record)?,
            Scheme::TimeBased(time_based) => time_based.encode(record, timestamp)?,
        };
        Ok(self.affixed(record, partition))
    }

    fn affixed(&mut self, record: &SinkRecord, partition: EncodedPartition) -> EncodedPartition {
        if self.affix == Affix::None {
            return partition;
        }
        let name = record
            .record
            .value
            .schema
            .as_ref()
            .and_then(|schema| schema.name());
        if let Some((last_name, last, made)) = &self.last_affixed
            && last_name.as_deref() == name
            && *last == partition
        {
            return Arc::clone(made);
        }
        let part = format!("schema_name={}", name.unwrap_or("null"));
        let made: Arc<str> = match self.affix {
            Affix::Prefix => format!("{part}{}{partition}", self.delim).into(),
            _ => format!("{partition}{}{part}", self.delim).into(),
        };
        self.last_affixed = Some((name.map(ToOwned::to_owned), partition, Arc::clone(&made)));
        made
    }
}
