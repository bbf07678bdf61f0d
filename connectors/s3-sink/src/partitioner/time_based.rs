//! Folders by time: `year=2024/month=01/day=15/hour=10`.
//!
//! Answers for `TimeBasedPartitioner`, `DailyPartitioner` and `HourlyPartitioner`.

use std::sync::Arc;

use connect_api::record::SinkRecord;
use connect_api::{Error, Result};

use super::joda::Pattern;
use super::timestamp::Extractor;
use super::zone::Zone;
use super::{EncodeError, EncodedPartition, PartitionerSettings};
use crate::config::invalid;

const HOUR_MS: i64 = 3_600_000;
const DAY_MS: i64 = 24 * HOUR_MS;

/// Rounds a record's time down and prints it.
#[derive(Clone, Debug)]
pub(crate) struct TimeBasedPartitioner {
    duration_ms: i64,
    pattern: Pattern,
    zone: Zone,
    extractor: Extractor,
    /// The last bucket: its first instant, its end, its folder.
    last: Option<(i64, i64, EncodedPartition)>,
}

impl TimeBasedPartitioner {
    /// # Errors
    /// Kind Config: an option is missing or wrong.
    pub(crate) fn new(class: &str, settings: &PartitionerSettings) -> Result<Self> {
        let delim = &settings.directory_delim;
        let (duration_ms, path_format) = match class {
            "DailyPartitioner" => (
                DAY_MS,
                format!("'year'=YYYY{delim}'month'=MM{delim}'day'=dd"),
            ),
            "HourlyPartitioner" => (
                HOUR_MS,
                format!("'year'=YYYY{delim}'month'=MM{delim}'day'=dd{delim}'hour'=HH"),
            ),
            _ => (settings.duration_ms, settings.path_format.clone()),
        };
        let config = |key: &str, value: &str, why: &str| Error::config(invalid(key, value, why));
        if duration_ms < 0 {
            return Err(config(
                "partition.duration.ms",
                &duration_ms.to_string(),
                "Partition duration needs to be a positive.",
            ));
        }
        if duration_ms == 0 {
            return Err(Error::fatal("/ by zero: partition.duration.ms is 0"));
        }
        if path_format.trim().is_empty() || path_format == *delim {
            return Err(config(
                "path.format",
                &path_format,
                "Path format cannot be empty.",
            ));
        }
        if settings.locale.trim().is_empty() {
            return Err(config(
                "locale",
                &settings.locale,
                "Locale cannot be empty.",
            ));
        }
        if settings.timezone.trim().is_empty() {
            return Err(config(
                "timezone",
                &settings.timezone,
                "Timezone cannot be empty.",
            ));
        }
        let trimmed = path_format
            .strip_suffix(delim.as_str())
            .filter(|_| !delim.is_empty());
        let pattern = Pattern::parse(trimmed.unwrap_or(&path_format), &settings.locale)
            .map_err(|why| config("path.format", &path_format, &why))?;
        let zone = Zone::parse(&settings.timezone)
            .map_err(|why| config("timezone", &settings.timezone, &why))?;
        let extractor = Extractor::parse(&settings.timestamp_extractor, &settings.timestamp_field)
            .ok_or_else(|| {
                config(
                    "timestamp.extractor",
                    &settings.timestamp_extractor,
                    &format!(
                        "Invalid timestamp extractor: {}",
                        settings.timestamp_extractor
                    ),
                )
            })?;
        Ok(Self {
            duration_ms,
            pattern,
            zone,
            extractor,
            last: None,
        })
    }

    /// Whether a field of the value tells the time.
    pub(crate) fn reads_values(&self) -> bool {
        matches!(self.extractor, Extractor::RecordField(..))
    }

    /// Whether the time is that of writing.
    pub(crate) fn goes_by_clock(&self) -> bool {
        self.extractor == Extractor::Wallclock
    }

    /// The record's time.
    pub(crate) fn timestamp(
        &self,
        record: &SinkRecord,
        now: i64,
    ) -> Result<Option<i64>, EncodeError> {
        self.extractor.extract(record, now)
    }

    /// The folder of a record's time.
    pub(crate) fn encode(
        &mut self,
        record: &SinkRecord,
        timestamp: Option<i64>,
    ) -> Result<EncodedPartition, EncodeError> {
        let Some(timestamp) = timestamp else {
            return Err(EncodeError::Partition(format!(
                "Unable to determine timestamp using timestamp.extractor {} for record: \
                 SinkRecord{{kafkaOffset={}, topic='{}', kafkaPartition={}}}",
                self.extractor.class(),
                record.offset,
                record.record.topic,
                record.record.partition.unwrap_or(record.original_partition),
            )));
        };
        if let Some((start, end, folder)) = &self.last
            && (*start..*end).contains(&timestamp)
        {
            return Ok(Arc::clone(folder));
        }
        // Java's division: towards zero.
        let local = self.zone.to_local(timestamp);
        let bucket = self
            .zone
            .to_utc(local / self.duration_ms * self.duration_ms);
        let folder: EncodedPartition = self.pattern.print(bucket, self.zone).into();
        let end = bucket.saturating_add(self.duration_ms);
        // A bucket in which the clock is put forward or back is not remembered.
        let even = self.zone.offset_at(bucket) == self.zone.offset_at(end);
        self.last = (even && local >= 0).then(|| (bucket, end, Arc::clone(&folder)));
        Ok(folder)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::partitioner::{Affix, DEFAULT_CLASS};

    fn settings() -> PartitionerSettings {
        PartitionerSettings {
            class: DEFAULT_CLASS.to_owned(),
            field_names: Vec::new(),
            duration_ms: HOUR_MS,
            path_format: "'d'=YYYY/MM/dd/HH/".to_owned(),
            locale: "en-US".to_owned(),
            timezone: "America/New_York".to_owned(),
            timestamp_extractor: "Record".to_owned(),
            timestamp_field: "ts".to_owned(),
            directory_delim: "/".to_owned(),
            affix: Affix::None,
            tombstone: None,
        }
    }

    fn folder(partitioner: &mut TimeBasedPartitioner, timestamp: i64) -> String {
        let record = crate::tests::record(0, connect_api::data::Value::Null, None);
        partitioner
            .encode(&record, Some(timestamp))
            .expect("a folder")
            .to_string()
    }

    #[test]
    fn times_fall_into_buckets_of_local_time() {
        let mut hourly =
            TimeBasedPartitioner::new("TimeBasedPartitioner", &settings()).expect("valid");
        for (timestamp, expected) in [
            (1_705_314_600_000, "d=2024/01/15/05"),
            (1_705_314_600_000 + HOUR_MS, "d=2024/01/15/06"),
            (1_705_314_600_000 + 1, "d=2024/01/15/05"),
            (1_721_039_400_000, "d=2024/07/15/06"),
        ] {
            assert_eq!(folder(&mut hourly, timestamp), expected);
        }
    }

    #[test]
    fn rounding_is_towards_zero() {
        let utc = PartitionerSettings {
            timezone: "UTC".to_owned(),
            ..settings()
        };
        let mut daily = TimeBasedPartitioner::new("DailyPartitioner", &utc).expect("valid");
        assert_eq!(folder(&mut daily, -1), "year=1970/month=01/day=01");
        assert_eq!(folder(&mut daily, 0), "year=1970/month=01/day=01");
    }

    #[test]
    fn wrong_options_are_named() {
        for (change, message) in [
            (
                PartitionerSettings {
                    duration_ms: -1,
                    ..settings()
                },
                "Invalid value -1 for configuration partition.duration.ms: Partition duration needs to be a positive.",
            ),
            (
                PartitionerSettings {
                    locale: String::new(),
                    ..settings()
                },
                "Invalid value  for configuration locale: Locale cannot be empty.",
            ),
            (
                PartitionerSettings {
                    path_format: "bbb".to_owned(),
                    ..settings()
                },
                "Invalid value bbb for configuration path.format: Illegal pattern component: bbb",
            ),
        ] {
            let error =
                TimeBasedPartitioner::new("TimeBasedPartitioner", &change).expect_err("refused");
            assert_eq!(error.message(), message);
        }
    }
}
