//! The connector: checks a configuration across options and gives every task a copy of it.
//! Connects to nothing.
//!
//! Answers for `io.confluent.connect.s3.S3SinkConnector` and `S3SinkConnectorValidator`.

use connect_api::config::{ConfigDef, ConfigValue};
use connect_api::connector::{Connector, ConnectorContext};
use connect_api::{Props, Result};

use crate::config::{STORAGE_CLASS, definition, invalid};
use crate::settings::schedule_zone;
use crate::{format, partitioner};

const PATH_STYLE_AND_WAN: &str = "Both accelerate mode and path style access are being enabled. \
    These options are mutually exclusive and cannot be enabled together. Please disable one of them";
const KEYS_FOR_TOMBSTONES: &str = "Writing Kafka record keys to storage is mandatory when \
    tombstone writing is enabled.";
const NO_FIELDS: &str = "Partition field name cannot be null or empty when using FieldPartitioner.";

/// The connector.
#[derive(Debug, Default)]
pub(crate) struct S3SinkConnector {
    props: Props,
}

/// The configuration with the only storage class there is, where it names none.
///
/// Differs from Confluent's, which refuses such a configuration: guides leave the key out.
pub(crate) fn with_storage_class(props: &Props) -> Props {
    let mut props = props.clone();
    props
        .entry("storage.class".to_owned())
        .or_insert_with(|| STORAGE_CLASS.to_owned());
    props
}

impl Connector for S3SinkConnector {
    fn check(&self, definition: &ConfigDef, props: &Props) -> Result<Vec<ConfigValue>> {
        let props = with_storage_class(props);
        let mut values = definition.validate(&props);
        let own = self::definition();
        let is_parsed = values
            .iter()
            .all(|value| value.errors.is_empty() || own.key(&value.name).is_none());
        if is_parsed {
            cross_check(&props, &mut values);
        }
        Ok(values)
    }

    fn start(&mut self, _context: ConnectorContext, props: &Props) -> Result<()> {
        let config = definition().parse(&with_storage_class(props))?;
        if config.int("rotate.schedule.interval.ms") > 0 {
            schedule_zone(config.string("timezone"))?;
        }
        self.props = props.clone();
        Ok(())
    }

    fn task_configs(&mut self, max_tasks: usize) -> Result<Vec<Props>> {
        Ok(vec![self.props.clone(); max_tasks])
    }

    fn alter_offsets(
        &self,
        _props: &Props,
        _offsets: &[connect_api::connector::OffsetChange],
    ) -> Result<bool> {
        // The consumer group holds them; there is nothing more to change.
        Ok(true)
    }
}

/// Adds what is wrong with options together, to each of them.
fn cross_check(props: &Props, values: &mut [ConfigValue]) {
    let Ok(config) = definition().parse(props) else {
        return;
    };
    let mut blame = |keys: &[&str], why: &str| {
        for value in values
            .iter_mut()
            .filter(|value| keys.contains(&value.name.as_str()))
        {
            let shown = value.value.clone().unwrap_or_else(|| "null".to_owned());
            value.errors.push(invalid(&value.name, &shown, why));
        }
    };
    if config.bool("s3.wan.mode") && config.bool("s3.path.style.access.enabled") {
        blame(
            &["s3.wan.mode", "s3.path.style.access.enabled"],
            PATH_STYLE_AND_WAN,
        );
    }
    let writes_tombstones = config
        .string("behavior.on.null.values")
        .eq_ignore_ascii_case("write");
    if writes_tombstones && !config.bool("store.kafka.keys") {
        blame(
            &["behavior.on.null.values", "store.kafka.keys"],
            KEYS_FOR_TOMBSTONES,
        );
    }
    if config.string("s3.compression.type") == "gzip" {
        for (what, switch, class_key) in [
            ("data", None, "format.class"),
            ("keys", Some("store.kafka.keys"), "keys.format.class"),
            (
                "headers",
                Some("store.kafka.headers"),
                "headers.format.class",
            ),
        ] {
            let class = config.string(class_key);
            if switch.is_none_or(|switch| config.bool(switch)) && !format::takes_gzip(class) {
                let why = format!(
                    "Compression Type gzip not valid for {what} format class: ( {class} )."
                );
                let mut keys = vec![class_key, "s3.compression.type"];
                keys.extend(switch);
                blame(&keys, &why);
            }
        }
    }
    if partitioner::is_field(config.string("partitioner.class"))
        && config.list("partition.field.name").is_empty()
    {
        blame(&["partition.field.name"], NO_FIELDS);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn errors(changes: &[(&str, &str)]) -> Vec<(String, String)> {
        let mut props: Props = [
            ("format.class", format::PARQUET_CLASS),
            ("flush.size", "3"),
            ("s3.bucket.name", "b"),
        ]
        .into_iter()
        .map(|(key, value)| (key.to_owned(), value.to_owned()))
        .collect();
        props.extend(
            changes
                .iter()
                .map(|&(key, value)| (key.to_owned(), value.to_owned())),
        );
        let props = with_storage_class(&props);
        let mut values = definition().validate(&props);
        cross_check(&props, &mut values);
        values
            .into_iter()
            .flat_map(|value| {
                value
                    .errors
                    .into_iter()
                    .map(move |error| (value.name.clone(), error))
            })
            .collect()
    }

    #[test]
    fn options_that_exclude_each_other_are_both_named() {
        assert_eq!(errors(&[]), []);
        let found = errors(&[("s3.wan.mode", "true")]);
        assert_eq!(found.len(), 2);
        assert!(found[0].1.ends_with(PATH_STYLE_AND_WAN), "{found:?}");
        assert_eq!(errors(&[("behavior.on.null.values", "write")]).len(), 2);
        let found = errors(&[("s3.compression.type", "gzip")]);
        assert_eq!(
            found[0].1,
            format!(
                "Invalid value {0} for configuration format.class: Compression Type gzip not valid for data format class: ( {0} ).",
                format::PARQUET_CLASS
            )
        );
        assert_eq!(
            errors(&[("partitioner.class", "FieldPartitioner")]).len(),
            1
        );
    }

    #[test]
    fn a_configuration_without_a_storage_class_is_valid() {
        let props: Props = [
            ("format.class", format::PARQUET_CLASS),
            ("flush.size", "1000"),
            ("s3.bucket.name", "b"),
        ]
        .into_iter()
        .map(|(key, value)| (key.to_owned(), value.to_owned()))
        .collect();
        let values = S3SinkConnector::default()
            .check(&definition(), &props)
            .expect("checked");
        assert!(values.iter().all(|value| value.errors.is_empty()));
    }
}
