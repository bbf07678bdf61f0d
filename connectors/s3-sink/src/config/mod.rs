//! The connector's options: names, types, defaults and checks. Parsing connects to nothing.
//!
//! Answers for `S3SinkConnectorConfig`, `StorageSinkConnectorConfig`, `StorageCommonConfig` and
//! `PartitionerConfig`. The texts that explain the options are our own.

use connect_api::config::{
    ConfigDef, ConfigKey, Importance, Recommendation, Type, Width, any_of, any_of_ignoring_case,
    at_least, check_text,
};

mod checks;

pub(crate) use checks::invalid;

use self::checks::{
    acl, credentials_provider, field_names, known_class, one_of_any_case, part_size, value_of,
};
use crate::format;
use crate::partitioner::{self, zone::Zone};

/// The only storage there is.
pub(crate) const STORAGE_CLASS: &str = "io.confluent.connect.s3.storage.S3Storage";
/// `parquet.codec` values in the order in which errors list them.
const PARQUET_CODECS: &[&str] = &[
    "none", "gzip", "snappy", "lz4", "brotli", "lz4_raw", "zstd", "lzo",
];

/// Declares options under one heading after the other.
struct Sections {
    definition: ConfigDef,
    group: &'static str,
    order: i32,
}

impl Sections {
    fn group(&mut self, name: &'static str) {
        self.group = name;
        self.order = 0;
    }
    fn key(&mut self, key: ConfigKey, width: Width, label: &str, doc: &str) {
        self.order += 1;
        self.definition
            .add(key.group(self.group, self.order, width, label).doc(doc));
    }
}

/// All options of the connector.
pub(crate) fn definition() -> ConfigDef {
    let mut sections = Sections {
        definition: ConfigDef::new(),
        group: "",
        order: 0,
    };
    connector(&mut sections);
    schema(&mut sections);
    s3_bucket(&mut sections);
    s3_access(&mut sections);
    s3_output(&mut sections);
    keys_and_headers(&mut sections);
    storage(&mut sections);
    partitioner(&mut sections);
    own(&mut sections);
    sections.definition
}

/// What Confluent's sink does not have. Hidden from forms, so that these look as its own.
fn own(to: &mut Sections) {
    use Importance::Low;
    to.group("Ferroconnect");
    to.key(
        long("s3.sink.memory.bytes", Low, -1).internal(),
        Width::Medium,
        "Memory of open files",
        "What the open files of all S3 sinks of the worker may hold in memory; beyond it parts go up \
         early and small files wait on disk. -1 for a quarter of the container's memory.",
    );
    to.key(
        string("s3.sink.spill.dir", Low).default("").internal(),
        Width::Medium,
        "Spill folder",
        "Where open files wait when memory is short; the system's folder for temporary files unless given.",
    );
    to.key(
        long("rotate.size.bytes", Low, -1).internal(),
        Width::Medium,
        "Rotate Size (bytes)",
        "Commits files when one of them is so large, compressed; -1 for any size.",
    );
    to.key(
        long("rotate.idle.ms", Low, -1).internal(),
        Width::Medium,
        "Rotate Idle (ms)",
        "Commits files of a topic partition that has had no record for so long, by the wall clock; \
         -1 for never.",
    );
    to.key(
        boolean("exactly.once.schedule", false).internal(),
        Width::Short,
        "Exactly once under the wall clock",
        "Whether it is written down where files end before they are uploaded, where the wall clock \
         ends them, so that no record is in two objects.",
    );
    to.key(
        string("schema.change.policy", Low)
            .default("rotate")
            .validator(any_of(&["rotate", "keep-open"]))
            .internal(),
        Width::Short,
        "Schema Change Policy",
        "What another schema does to the open file: rotate ends it, keep-open opens another beside it.",
    );
}

fn string(name: &str, importance: Importance) -> ConfigKey {
    ConfigKey::new(name, Type::String, importance)
}
fn boolean(name: &str, default: bool) -> ConfigKey {
    ConfigKey::new(name, Type::Boolean, Importance::Low).default(default)
}
fn int(name: &str, importance: Importance, default: i64) -> ConfigKey {
    ConfigKey::new(name, Type::Int, importance).default(default)
}
fn long(name: &str, importance: Importance, default: i64) -> ConfigKey {
    ConfigKey::new(name, Type::Long, importance).default(default)
}

fn connector(to: &mut Sections) {
    use Importance::{High, Low, Medium};
    to.group("Connector");
    to.key(
        ConfigKey::new("format.class", Type::Class, High).validator(known_class(format::is_known)),
        Width::None,
        "Format class",
        "The format of the objects: ParquetFormat, JsonFormat, AvroFormat or ByteArrayFormat.",
    );
    to.key(
        ConfigKey::new("flush.size", Type::Int, High),
        Width::Long,
        "Flush Size",
        "How many records of a topic partition are written before its files are committed.",
    );
    to.key(
        long("rotate.interval.ms", High, -1),
        Width::Medium,
        "Rotate Interval (ms)",
        "The span of record time that a file covers at most, by the clock of the timestamp \
         extractor. Works with time-based partitioners only; -1 for no limit.",
    );
    to.key(
        long("rotate.schedule.interval.ms", Medium, -1),
        Width::Medium,
        "Rotate Schedule Interval (ms)",
        "Commits files at multiples of this interval since midnight of the time zone, by the \
         wall clock; -1 for never. Object boundaries then depend on when records arrive.",
    );
    to.key(
        int("schemas.cache.config", Low, 1000),
        Width::Long,
        "Schema Cache Size",
        "How many schemas the format's converter remembers.",
    );
    to.key(
        boolean("enhanced.avro.schema.support", true),
        Width::Short,
        "Enhanced Avro Support",
        "Whether strings that were Avro enums are written as enums again.",
    );
    to.key(
        boolean("connect.meta.data", true),
        Width::Short,
        "Connect Metadata",
        "Whether Connect's schema names, versions and parameters go into the Avro schema.",
    );
    to.key(
        long("retry.backoff.ms", Low, 5000),
        Width::Short,
        "Retry Backoff (ms)",
        "The pause after a failure of the store before the records are read and written again.",
    );
    to.key(
        long("shutdown.timeout.ms", Medium, 3000).internal(),
        Width::Medium,
        "Shutdown Timeout (ms)",
        "Accepted for old configurations; without effect.",
    );
    to.key(
        int("filename.offset.zero.pad.width", Low, 10).validator(at_least(0)),
        Width::Long,
        "Filename Offset Zero Pad Width",
        "To how many digits the start offset in an object's name is padded with zeros.",
    );
    to.key(
        string("avro.codec", Low)
            .default("null")
            .validator(any_of(&["null", "deflate", "snappy", "bzip2"])),
        Width::Long,
        "Avro Compression Codec",
        "The compression of Avro files.",
    );
    to.key(
        boolean("allow.optional.map.keys", false),
        Width::Short,
        "Allow Optional Map Keys",
        "Whether a map with optional string keys is written as an Avro map.",
    );
}

fn schema(to: &mut Sections) {
    to.group("Schema");
    to.key(
        string("schema.compatibility", Importance::High)
            .default("NONE")
            .recommender(choices(&["NONE", "BACKWARD", "FORWARD", "FULL"])),
        Width::Short,
        "Schema Compatibility",
        "Which changes of a topic's schema stay within one file, the record being projected to \
         the file's schema: NONE, BACKWARD, FORWARD or FULL.",
    );
    to.key(
        string("parquet.codec", Importance::Low)
            .default("snappy")
            .validator(value_of(PARQUET_CODECS)),
        Width::Long,
        "Parquet Compression Codec",
        "The compression of Parquet files.",
    );
}

fn s3_bucket(to: &mut Sections) {
    use Importance::{High, Low, Medium};
    to.group("S3");
    to.key(
        string("s3.bucket.name", High),
        Width::Long,
        "S3 Bucket",
        "The bucket that is written to.",
    );
    to.key(
        string("s3.region", Medium)
            .default("us-west-2")
            .validator(check_text(|region| match region.is_empty() {
                true => Err("region must not be blank or empty.".to_owned()),
                false => Ok(()),
            })),
        Width::Long,
        "AWS region",
        "The region of the bucket.",
    );
    to.key(
        int("s3.part.size", High, 25 * 1024 * 1024).validator(part_size()),
        Width::Long,
        "S3 Part Size",
        "The size of the parts of a multipart upload, in bytes.",
    );
    to.key(
        boolean("s3.object.tagging", false),
        Width::Long,
        "S3 Object Tagging",
        "Whether objects are tagged with their offsets and their number of records.",
    );
    to.key(
        ConfigKey::new("s3.object.tagging.key.value.pairs", Type::List, Low).default(""),
        Width::Long,
        "S3 Object Tagging Extra Pairs",
        "Further tags, as key:value.",
    );
    to.key(
        string("s3.object.behavior.on.tagging.error", Low)
            .default("ignore")
            .validator(any_of_ignoring_case(&["ignore", "fail"])),
        Width::Short,
        "Behavior on Tagging Error",
        "What happens when an object cannot be tagged.",
    );
}

fn s3_access(to: &mut Sections) {
    use Importance::{High, Low, Medium};
    to.key(
        ConfigKey::new("s3.credentials.provider.class", Type::Class, Low)
            .default("software.amazon.awssdk.auth.credentials.DefaultCredentialsProvider")
            .validator(credentials_provider()),
        Width::Long,
        "AWS Credentials Provider Class",
        "Where credentials come from: environment, profile file, web identity, container or \
         instance metadata, unless an access key is given.",
    );
    to.key(
        string("aws.access.key.id", High).default(""),
        Width::Long,
        "AWS Access Key ID",
        "The access key; together with aws.secret.access.key.",
    );
    to.key(
        ConfigKey::new("aws.secret.access.key", Type::Password, High).default_null(),
        Width::Long,
        "AWS Secret Access Key",
        "The secret of the access key.",
    );
    to.key(
        string("s3.ssea.name", Low).default("").validator(any_of(&[
            "",
            "AES256",
            "aws:kms",
            "aws:kms:dsse",
        ])),
        Width::Long,
        "S3 Server Side Encryption Algorithm",
        "How the store encrypts objects.",
    );
    to.key(
        ConfigKey::new("s3.sse.customer.key", Type::Password, Low).default_null(),
        Width::Long,
        "S3 Server Side Encryption Customer-Provided Key",
        "A key of the customer's own: 32 bytes in base64.",
    );
    to.key(
        string("s3.sse.kms.key.id", Low).default(""),
        Width::Long,
        "S3 Server Side Encryption Key",
        "The key in AWS KMS.",
    );
    to.key(
        string("s3.acl.canned", Low).default_null().validator(acl()),
        Width::Long,
        "S3 Canned ACL",
        "A canned ACL for the objects.",
    );
    to.key(
        ConfigKey::new("s3.wan.mode", Type::Boolean, Medium).default(false),
        Width::Long,
        "S3 accelerated endpoint enabled",
        "Whether S3's transfer acceleration is used.",
    );
    to.key(
        string("s3.compression.type", Low)
            .default("none")
            .validator(value_of(&["none", "gzip"])),
        Width::Long,
        "Compression type",
        "Compression of JSON and byte array objects: none or gzip.",
    );
    to.key(
        int("s3.compression.level", Low, -1).validator(connect_api::config::between(-1, 9)),
        Width::Short,
        "Compression level",
        "The level of gzip, 0 to 9; -1 for its default.",
    );
    to.key(
        string("json.decimal.format", Medium)
            .default("BASE64")
            .validator(any_of_ignoring_case(&["NUMERIC", "BASE64"])),
        Width::Medium,
        "Decimal Format",
        "How JSON shows decimals: as base64 of their bytes or as numbers.",
    );
}

fn s3_output(to: &mut Sections) {
    use Importance::{Low, Medium};
    to.key(
        int("s3.part.retries", Medium, 3).validator(at_least(0)),
        Width::Long,
        "S3 Part Upload Retries",
        "How often a request is tried in all before the failure is reported.",
    );
    to.key(
        long("s3.retry.backoff.ms", Low, 200).validator(at_least(0)),
        Width::Short,
        "Retry Backoff (ms)",
        "The pause before a request's first retry; it grows with every further one.",
    );
    to.key(
        string("format.bytearray.extension", Low).default(".bin"),
        Width::Long,
        "Output file extension for ByteArrayFormat",
        "The extension of byte array objects.",
    );
    to.key(
        string("format.bytearray.separator", Low).default_null(),
        Width::Long,
        "Line separator ByteArrayFormat",
        "What follows each record in byte array objects; a line break unless given.",
    );
    to.key(
        string("s3.proxy.url", Low).default(""),
        Width::Long,
        "S3 Proxy Settings",
        "A proxy between the worker and the store.",
    );
    to.key(
        string("s3.proxy.user", Low).default_null(),
        Width::Long,
        "S3 Proxy User",
        "The proxy's user.",
    );
    to.key(
        ConfigKey::new("s3.proxy.password", Type::Password, Low).default_null(),
        Width::Long,
        "S3 Proxy Password",
        "The proxy's password.",
    );
    to.key(
        boolean("s3.http.send.expect.continue", true),
        Width::Short,
        "S3 HTTP Send Uses Expect Continue",
        "Whether uploads say that they would wait for a 100 Continue; they go on without it.",
    );
    to.key(
        string("behavior.on.null.values", Low)
            .default("fail")
            .validator(one_of_any_case(&["ignore", "fail", "write"])),
        Width::Short,
        "Behavior for null-valued records",
        "What happens to records without a value: they are passed over, fail the task, or have \
         their keys written.",
    );
    to.key(
        boolean("report.null.values.to.dlq", true),
        Width::Short,
        "Report null values to the dead letter queue",
        "Whether ignored records without a value are reported.",
    );
    to.key(
        long("max.write.duration.ms", Low, i64::MAX),
        Width::Long,
        "Max write duration",
        "How long one call may write records of a topic partition before others have their turn.",
    );
    to.key(
        boolean("rotate.file.on.partition.change", true),
        Width::Short,
        "Rotate files on partition change",
        "Whether rotate.interval.ms also commits files when a record goes to another partition.",
    );
    to.key(
        string("tombstone.encoded.partition", Low).default("tombstone"),
        Width::Short,
        "Tombstone Encoded Partition",
        "The folder of the keys of records without a value.",
    );
    to.key(
        string("s3.schema.partition.affix.type", Low)
            .default("NONE")
            .validator(any_of(&["SUFFIX", "PREFIX", "NONE"])),
        Width::Long,
        "Schema Partition Affix Type",
        "Where the schema's name stands in the object's path: before the partition, after it, nowhere.",
    );
    to.key(
        boolean("s3.send.digest", false),
        Width::Short,
        "Send Upload Message Digest",
        "Whether uploads carry a digest of their content.",
    );
    to.key(
        boolean("enable.conditional.writes", true),
        Width::Short,
        "Enable Conditional Writes",
        "Whether objects that exist are left alone where the wall clock rotates files.",
    );
    to.key(
        int("max.files.scan.limit", Low, 100).internal(),
        Width::Short,
        "Max Files Scan Limit",
        "How many names are tried after an object that exists already.",
    );
}

fn keys_and_headers(to: &mut Sections) {
    to.group("Keys and Headers");
    for (what, classes) in [
        ("keys", format::CLASSES),
        ("headers", format::HEADER_CLASSES),
    ] {
        to.key(
            boolean(&format!("store.kafka.{what}"), false),
            Width::Short,
            &format!("Store Kafka {what}"),
            &format!("Whether the records' {what} are written to objects of their own."),
        );
        to.key(
            ConfigKey::new(format!("{what}.format.class"), Type::Class, Importance::Low)
                .default(format::AVRO_CLASS)
                .validator(known_class(format::is_known))
                .recommender(choices(classes)),
            Width::None,
            &format!("{what} format class"),
            &format!("The format of the objects that hold {what}."),
        );
    }
    to.key(
        boolean("s3.path.style.access.enabled", true),
        Width::Short,
        "Enable Path Style Access to S3",
        "Whether the bucket stands in the path rather than in the host name.",
    );
    to.key(
        boolean("s3.elastic.buffer.enable", false),
        Width::Short,
        "Enable elastic buffer",
        "Accepted; buffers always grow with their content.",
    );
    to.key(
        int("s3.elastic.buffer.init.capacity", Importance::Low, 131_072).validator(at_least(4096)),
        Width::Long,
        "Elastic buffer initial capacity",
        "Accepted; buffers always grow with their content.",
    );
    to.key(
        int("partitioner.max.open.files", Importance::Low, -1).internal(),
        Width::Long,
        "Partitioner max open files",
        "How many files of a topic partition may be open before all are committed; -1 for any.",
    );
}

fn storage(to: &mut Sections) {
    use Importance::{High, Medium};
    to.group("Storage");
    to.key(
        ConfigKey::new("storage.class", Type::Class, High)
            .validator(known_class(|class| class == STORAGE_CLASS)),
        Width::None,
        "Storage Class",
        "The storage layer: S3Storage.",
    );
    to.key(
        string("topics.dir", High).default("topics"),
        Width::None,
        "Topics directory",
        "The folder above all topics' folders.",
    );
    to.key(
        string("store.url", High).default_null(),
        Width::None,
        "Store URL",
        "The endpoint of an S3-compatible store, in place of the region's.",
    );
    to.key(
        string("directory.delim", Medium).default("/"),
        Width::None,
        "Directory Delimiter",
        "What stands between folders in an object's name.",
    );
    to.key(
        string("file.delim", Medium).default("+"),
        Width::None,
        "File Delimiter",
        "What stands between topic, partition and offset in an object's name.",
    );
}

fn partitioner(to: &mut Sections) {
    use Importance::{High, Medium};
    to.group("Partitioner");
    to.key(
        ConfigKey::new("partitioner.class", Type::Class, High)
            .default(partitioner::DEFAULT_CLASS)
            .validator(known_class(partitioner::is_known))
            .dependents(&[
                "partition.field.name",
                "partition.duration.ms",
                "path.format",
                "locale",
                "timezone",
            ]),
        Width::Long,
        "Partitioner Class",
        "How records are divided among folders.",
    );
    to.key(
        ConfigKey::new("partition.field.name", Type::List, Medium)
            .default("")
            .validator(field_names()),
        Width::None,
        "Partition Field Name",
        "The fields whose values name the folders of the FieldPartitioner.",
    );
    to.key(
        long("partition.duration.ms", Medium, -1),
        Width::None,
        "Partition Duration (ms)",
        "The span of time that one folder of a time-based partitioner covers.",
    );
    to.key(
        string("path.format", Medium).default(""),
        Width::Long,
        "Path Format",
        "The pattern of a time-based partitioner's folders, in Joda-Time's letters.",
    );
    to.key(
        string("locale", Medium).default(""),
        Width::Medium,
        "Locale",
        "The locale of names of months and days in time-based folders.",
    );
    to.key(
        string("timezone", Medium)
            .default("")
            .validator(check_text(|id| {
                Zone::parse(id)
                    .map(|_| ())
                    .or_else(|why| if id.is_empty() { Ok(()) } else { Err(why) })
            })),
        Width::Medium,
        "Timezone",
        "The time zone of time-based folders and of the rotation schedule.",
    );
    to.key(
        string("timestamp.extractor", Medium).default("Wallclock"),
        Width::Long,
        "Timestamp Extractor",
        "Which time a record belongs to: Wallclock, Record or RecordField.",
    );
    to.key(
        string("timestamp.field", Medium).default("timestamp"),
        Width::None,
        "Record Field for Timestamp Extractor",
        "The field that RecordField reads, with dots for nested ones.",
    );
}

fn choices(
    values: &'static [&'static str],
) -> impl Fn(&str, &connect_api::config::Values) -> Recommendation + Send + Sync {
    move |_, _| Recommendation {
        values: values.iter().map(|&value| value.to_owned()).collect(),
        visible: true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use connect_api::Props;

    pub(crate) fn minimal() -> Props {
        [
            ("format.class", format::JSON_CLASS),
            ("flush.size", "3"),
            ("s3.bucket.name", "b"),
            ("storage.class", STORAGE_CLASS),
        ]
        .into_iter()
        .map(|(key, value)| (key.to_owned(), value.to_owned()))
        .collect()
    }

    #[test]
    fn four_options_are_required() {
        let required: Vec<String> = definition()
            .validate(&Props::new())
            .into_iter()
            .filter(|value| !value.errors.is_empty())
            .map(|value| value.name)
            .collect();
        assert_eq!(
            required,
            [
                "format.class",
                "flush.size",
                "s3.bucket.name",
                "storage.class"
            ]
        );
    }

    #[test]
    fn wrong_values_are_refused_in_kafka_connects_words() {
        for (key, value, message) in [
            (
                "s3.part.size",
                "5",
                "Invalid value 5 for configuration s3.part.size: Part size must be at least: 5242880 bytes (5MB)",
            ),
            (
                "s3.compression.type",
                "GZIP",
                "Invalid value GZIP for configuration s3.compression.type: Value must be one of: [none, gzip]",
            ),
            (
                "s3.compression.level",
                "10",
                "Invalid value 10 for configuration s3.compression.level: Value must be no more than 9",
            ),
            (
                "parquet.codec",
                "uncompressed",
                "Invalid value uncompressed for configuration parquet.codec: Value must be one of: [none, gzip, snappy, lz4, brotli, lz4_raw, zstd, lzo]",
            ),
            (
                "s3.ssea.name",
                "aes256",
                "Invalid value aes256 for configuration s3.ssea.name: String must be one of: , AES256, aws:kms, aws:kms:dsse",
            ),
            (
                "behavior.on.null.values",
                "skip",
                "Invalid value skip for configuration behavior.on.null.values: String must be one of: ignore, fail, write",
            ),
            (
                "json.decimal.format",
                "x",
                "Invalid value x for configuration json.decimal.format: String must be one of (case insensitive): NUMERIC, BASE64",
            ),
            (
                "format.class",
                "com.foo.Bar",
                "Invalid value com.foo.Bar for configuration format.class: Class com.foo.Bar could not be found.",
            ),
            (
                "timezone",
                "Mars/X",
                "Invalid value Mars/X for configuration timezone: The datetime zone id 'Mars/X' is not recognised",
            ),
            (
                "timezone",
                "+5",
                "Invalid value +5 for configuration timezone: Invalid format: \"+5\" is malformed at \"5\"",
            ),
            (
                "partition.field.name",
                "a,,b",
                "Invalid value [a, , b] for configuration partition.field.name: Field name cannot be null or empty",
            ),
        ] {
            let mut props = minimal();
            props.insert(key.to_owned(), value.to_owned());
            let found: Vec<String> = definition()
                .validate(&props)
                .into_iter()
                .flat_map(|value| value.errors)
                .collect();
            assert_eq!(found, [message]);
        }
    }

    #[test]
    fn the_defaults_are_confluents() {
        let config = definition().parse(&minimal()).expect("valid");
        assert_eq!(config.int("s3.part.size"), 26_214_400);
        assert_eq!(config.string("s3.region"), "us-west-2");
        assert_eq!(config.int("rotate.interval.ms"), -1);
        assert_eq!(config.string("timestamp.extractor"), "Wallclock");
        assert!(config.bool("s3.path.style.access.enabled"));
        assert_eq!(config.string_opt("store.url"), None);
    }
}
