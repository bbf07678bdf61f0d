//! The options as a task uses them: typed, combined, with the environment's share. Connects to nothing.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use avro_data::Options as AvroOptions;
use connect_api::config::Config;
use connect_api::data::json::DecimalFormat;
use connect_api::{Error, Props, Result};

use crate::compatibility::Compatibility;
use crate::config::{definition, invalid};
use crate::connector::with_storage_class;
use crate::format::{self, Format, FormatSettings};
use crate::object_key::ObjectKeys;
use crate::partitioner::zone::Zone;
use crate::partitioner::{Affix, Partitioner, PartitionerSettings};
use crate::rotation::Rules;
use crate::spill::default_budget;
use crate::storage::bucket::Mode;
use crate::storage::credentials::Source;
use crate::storage::{Encryption, Kind, StoreSettings};

/// `behavior.on.null.values`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NullValues {
    /// The record is passed over.
    Ignore,
    /// The task fails.
    Fail,
    /// Its key is written.
    Write,
}

/// `s3.object.tagging`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Tagging {
    /// Tags beside the offsets and the count; they go before those of the same name.
    pub(crate) extra: Vec<(String, String)>,
    /// Whether a failure fails the task.
    pub(crate) required: bool,
}

/// Everything that a task's writers share.
#[derive(Clone, Debug)]
pub(crate) struct Settings {
    pub(crate) keys: ObjectKeys,
    pub(crate) format: Arc<dyn Format>,
    /// The format of keys, where they are stored.
    pub(crate) key_format: Option<Arc<dyn Format>>,
    /// The format of headers, where they are stored.
    pub(crate) header_format: Option<Arc<dyn Format>>,
    pub(crate) partitioner: Partitioner,
    pub(crate) rules: Rules,
    pub(crate) compatibility: Compatibility,
    pub(crate) null_values: NullValues,
    pub(crate) report_null_values: bool,
    pub(crate) tombstone: Arc<str>,
    pub(crate) retry_backoff: Duration,
    pub(crate) max_open_files: Option<usize>,
    /// `max.write.duration.ms`, where there is a limit.
    pub(crate) max_write_duration: Option<Duration>,
    /// Whether objects that exist are left alone.
    pub(crate) mode: Mode,
    /// How many names are tried after an object that exists.
    pub(crate) scan_limit: usize,
    pub(crate) tagging: Option<Tagging>,
    /// `exactly.once.schedule`: where files end by the wall clock is decided before their upload.
    pub(crate) exactly_once: bool,
    /// `schema.change.policy=keep-open`: files of several schemas are open side by side.
    pub(crate) keep_open: bool,
    /// `rotate.size.bytes` where positive.
    pub(crate) rotate_size: Option<u64>,
    /// `s3.sink.memory.bytes`: what open files of the whole process may hold in memory.
    pub(crate) memory: usize,
    /// Where they spill to.
    pub(crate) spill_folder: PathBuf,
    pub(crate) store: StoreSettings,
}

impl Settings {
    /// # Errors
    /// Kind Config: an option is wrong, or asks for what this sink does not do.
    pub(crate) fn new(props: &Props) -> Result<Self> {
        let config = definition().parse(&with_storage_class(props))?;
        check_start(&config)?;
        let formats = format_settings(&config);
        let null_values = match config
            .string("behavior.on.null.values")
            .to_ascii_lowercase()
            .as_str()
        {
            "ignore" => NullValues::Ignore,
            "write" => NullValues::Write,
            _ => NullValues::Fail,
        };
        let side_format = |what: &str| -> Result<Option<Arc<dyn Format>>> {
            if !config.bool(&format!("store.kafka.{what}")) {
                return Ok(None);
            }
            let option = format!("{what}.format.class");
            format::make(&option, config.string(&option), &formats).map(Some)
        };
        let tombstone: Arc<str> = config.string("tombstone.encoded.partition").into();
        let written_tombstone = (null_values == NullValues::Write).then(|| Arc::clone(&tombstone));
        let partitioner =
            Partitioner::new(&partitioner_settings(&config, written_tombstone.clone()))?;
        let rules = rules(&config, partitioner.is_time_based(), written_tombstone)?;
        let exactly_once = config.bool("exactly.once.schedule");
        if exactly_once && partitioner.goes_by_clock() {
            return Err(Error::config(invalid(
                "exactly.once.schedule",
                "true",
                "folders by the wall clock (timestamp.extractor=Wallclock) are others each time: use \
                 Record or RecordField",
            )));
        }
        Ok(Self {
            keys: object_keys(&config),
            format: format::make("format.class", config.string("format.class"), &formats)?,
            key_format: side_format("keys")?,
            header_format: side_format("headers")?,
            partitioner,
            rules,
            compatibility: Compatibility::parse(config.string("schema.compatibility")),
            null_values,
            report_null_values: config.bool("report.null.values.to.dlq"),
            tombstone,
            retry_backoff: millis(&config, "retry.backoff.ms"),
            max_open_files: usize::try_from(config.int("partitioner.max.open.files")).ok(),
            max_write_duration: match config.int("max.write.duration.ms") {
                i64::MAX => None,
                limit => Some(Duration::from_millis(u64::try_from(limit).unwrap_or(0))),
            },
            mode: mode(&config),
            scan_limit: usize::try_from(config.int("max.files.scan.limit")).unwrap_or(0),
            tagging: tagging(&config)?,
            exactly_once,
            keep_open: config.string("schema.change.policy") == "keep-open",
            rotate_size: u64::try_from(config.int("rotate.size.bytes"))
                .ok()
                .filter(|bytes| *bytes > 0),
            memory: usize::try_from(config.int("s3.sink.memory.bytes"))
                .ok()
                .filter(|bytes| *bytes > 0)
                .unwrap_or_else(default_budget),
            spill_folder: match config.string("s3.sink.spill.dir") {
                "" => std::env::temp_dir(),
                folder => PathBuf::from(folder),
            },
            store: store_settings(&config)?,
        })
    }
}

impl Settings {
    /// Asks for JSON objects as text, where the format writes them as such and the partitioner does
    /// not look into them.
    pub(crate) fn take_json_text(&self) -> bool {
        !self.partitioner.reads_values() && self.format.take_json_text()
    }
}

fn millis(config: &Config, key: &str) -> Duration {
    Duration::from_millis(u64::try_from(config.int(key)).unwrap_or(0))
}

/// What passes validation and fails the task at its start.
fn check_start(config: &Config) -> Result<()> {
    if config.int("filename.offset.zero.pad.width") == 0 {
        return Err(Error::fatal(
            "filename.offset.zero.pad.width: a width of 0 is no format, Flags = '0'",
        ));
    }
    if config.int("s3.part.retries") == 0 {
        return Err(Error::config(
            "s3.part.retries: maxAttempts must be positive",
        ));
    }
    Ok(())
}

/// Where the wall clock decides what an object holds, an object that is there stays as it is.
fn mode(config: &Config) -> Mode {
    // What is decided before the upload is the same each time.
    let applies = config.bool("enable.conditional.writes")
        && !config.bool("exactly.once.schedule")
        && config.int("rotate.schedule.interval.ms") != -1
        && !config.bool("store.kafka.keys")
        && !config.bool("store.kafka.headers");
    match applies {
        true => Mode::Create,
        false => Mode::Overwrite,
    }
}

/// `k:v` pairs; what follows a second colon is dropped, as there.
fn tagging(config: &Config) -> Result<Option<Tagging>> {
    let key = "s3.object.tagging.key.value.pairs";
    if !config.bool("s3.object.tagging") {
        return Ok(None);
    }
    let extra = config.list(key).iter().map(|pair| {
        let mut parts = pair.split(':');
        match (parts.next(), parts.next()) {
            (Some(name), Some(value)) => Ok((name.trim().to_owned(), value.trim().to_owned())),
            _ => Err(Error::config(invalid(
                key,
                pair,
                "a tag is written as key:value",
            ))),
        }
    });
    Ok(Some(Tagging {
        extra: extra.collect::<Result<_>>()?,
        required: config
            .string("s3.object.behavior.on.tagging.error")
            .eq_ignore_ascii_case("fail"),
    }))
}

/// The options of names.
pub(crate) fn object_keys(config: &Config) -> ObjectKeys {
    ObjectKeys {
        topics_dir: config.string("topics.dir").to_owned(),
        directory_delim: config.string("directory.delim").to_owned(),
        file_delim: config.string("file.delim").to_owned(),
        pad_width: usize::try_from(config.int("filename.offset.zero.pad.width")).unwrap_or(0),
    }
}

/// `format.bytearray.separator`, taken as it was written: it may be white space.
pub(crate) fn separator(config: &Config) -> Vec<u8> {
    config
        .originals()
        .get("format.bytearray.separator")
        .map_or_else(|| b"\n".to_vec(), |text| text.as_bytes().to_vec())
}

/// The options of formats.
pub(crate) fn format_settings(config: &Config) -> FormatSettings {
    let gzip = (config.string("s3.compression.type") == "gzip").then(|| {
        // zlib's -1 is its level 6.
        u32::try_from(config.int("s3.compression.level")).unwrap_or(6)
    });
    FormatSettings {
        gzip,
        decimal_format: match config
            .string("json.decimal.format")
            .eq_ignore_ascii_case("numeric")
        {
            true => DecimalFormat::Numeric,
            false => DecimalFormat::Base64,
        },
        schema_cache_size: usize::try_from(config.int("schemas.cache.config"))
            .unwrap_or(1)
            .max(1),
        parquet_codec: config.string("parquet.codec").to_owned(),
        avro_codec: config.string("avro.codec").to_owned(),
        byte_array_extension: config.string("format.bytearray.extension").to_owned(),
        byte_array_separator: separator(config),
        avro: AvroOptions {
            connect_meta_data: config.bool("connect.meta.data"),
            enhanced_schema_support: config.bool("enhanced.avro.schema.support"),
            allow_optional_map_keys: config.bool("allow.optional.map.keys"),
            ..AvroOptions::default()
        },
    }
}

fn partitioner_settings(config: &Config, tombstone: Option<Arc<str>>) -> PartitionerSettings {
    let text = |key: &str| config.string(key).to_owned();
    PartitionerSettings {
        class: text("partitioner.class"),
        field_names: config.list("partition.field.name").to_vec(),
        duration_ms: config.int("partition.duration.ms"),
        path_format: text("path.format"),
        locale: text("locale"),
        timezone: text("timezone"),
        timestamp_extractor: text("timestamp.extractor"),
        timestamp_field: text("timestamp.field"),
        directory_delim: text("directory.delim"),
        affix: match config.string("s3.schema.partition.affix.type") {
            "PREFIX" => Affix::Prefix,
            "SUFFIX" => Affix::Suffix,
            _ => Affix::None,
        },
        tombstone,
    }
}

fn rules(config: &Config, is_time_based: bool, tombstone: Option<Arc<str>>) -> Result<Rules> {
    let interval = config.int("rotate.interval.ms");
    if interval > 0 && !is_time_based {
        tracing::warn!("rotate.interval.ms has no effect without a time-based partitioner");
    }
    let scheduled = config.int("rotate.schedule.interval.ms");
    let schedule = match scheduled > 0 {
        true => Some((scheduled, schedule_zone(config.string("timezone"))?)),
        false => None,
    };
    Ok(Rules {
        flush_size: config.int("flush.size"),
        interval_ms: (interval > 0 && is_time_based).then_some(interval),
        on_partition_change: config.bool("rotate.file.on.partition.change"),
        schedule,
        idle_ms: Some(config.int("rotate.idle.ms")).filter(|idle| *idle > 0),
        tombstone,
    })
}

/// The zone of scheduled rotation.
///
/// # Errors
/// Kind Config: there is none.
pub(crate) fn schedule_zone(timezone: &str) -> Result<Zone> {
    if timezone.is_empty() {
        return Err(Error::config(invalid(
            "timezone",
            timezone,
            "timezone configuration must be set when using rotate.schedule.interval.ms",
        )));
    }
    Zone::parse(timezone).map_err(|why| Error::config(invalid("timezone", timezone, &why)))
}

/// The options of the store alone; for what reads a bucket without writing to it, too.
pub(crate) fn store_settings(config: &Config) -> Result<StoreSettings> {
    let customer_key = config.string_opt("s3.sse.customer.key").unwrap_or_default();
    let kms_key = config.string("s3.sse.kms.key.id");
    // The combinations that Confluent's sink sends; others are the bucket's own default there, too.
    let encryption = match config.string("s3.ssea.name") {
        "AES256" if !customer_key.trim().is_empty() => {
            Encryption::Customer(customer_key.to_owned())
        }
        "AES256" => Encryption::S3,
        "aws:kms" if !kms_key.trim().is_empty() => Encryption::Kms(kms_key.to_owned()),
        _ => Encryption::BucketDefault,
    };
    let url = config.string_opt("store.url").unwrap_or_default().trim();
    let (kind, named) = match (url.strip_prefix("gs://"), url.strip_prefix("az://")) {
        (Some(bucket), _) => (Kind::Google, bucket),
        (_, Some(container)) => (Kind::Azure, container),
        _ => (Kind::S3, ""),
    };
    // `gs://bucket` names it, too.
    let bucket = match named.trim_matches('/') {
        "" => config.string("s3.bucket.name"),
        bucket => bucket,
    };
    let endpoint = match kind {
        Kind::S3 => endpoint(url)?,
        Kind::Google | Kind::Azure => None,
    };
    let credentials = Source::new(
        config.string("s3.credentials.provider.class"),
        config.originals(),
        config.string("aws.access.key.id"),
        config
            .string_opt("aws.secret.access.key")
            .unwrap_or_default(),
    )?;
    Ok(StoreSettings {
        kind,
        bucket: bucket.to_owned(),
        region: config.string("s3.region").to_owned(),
        endpoint,
        path_style: config.bool("s3.path.style.access.enabled"),
        accelerate: config.bool("s3.wan.mode"),
        credentials,
        part_size: usize::try_from(config.int("s3.part.size")).unwrap_or(usize::MAX),
        attempts: usize::try_from(config.int("s3.part.retries")).unwrap_or(1),
        backoff: millis(config, "s3.retry.backoff.ms"),
        encryption,
        acl: config
            .string_opt("s3.acl.canned")
            .filter(|acl| !acl.is_empty())
            .map(ToOwned::to_owned),
        proxy: proxy(config)?,
        digest: config.bool("s3.send.digest"),
        expect_continue: config.bool("s3.http.send.expect.continue"),
    })
}

/// `store.url`, else what AWS's clients read from the environment, else the region's own.
fn endpoint(store_url: &str) -> Result<Option<String>> {
    let from_environment = || {
        ["AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL"]
            .iter()
            .find_map(|name| {
                std::env::var(name)
                    .ok()
                    .filter(|value| !value.trim().is_empty())
            })
    };
    let given = Some(store_url.to_owned()).filter(|url| !url.trim().is_empty());
    let Some(url) = given.or_else(from_environment) else {
        return Ok(None);
    };
    let url = url.trim().trim_end_matches('/').to_owned();
    if url.contains("://") {
        return match url.starts_with("http://") || url.starts_with("https://") {
            true => Ok(Some(url)),
            false => Err(Error::config(format!(
                "store.url: {url} is neither http nor https"
            ))),
        };
    }
    match url.contains(':') {
        true => Err(Error::config(format!(
            "store.url: Illegal character in scheme name at index 0: {url}; write http:// or https:// before the host"
        ))),
        false => Ok(Some(format!("https://{url}"))),
    }
}

fn proxy(config: &Config) -> Result<Option<String>> {
    let url = config.string("s3.proxy.url").trim();
    if url.is_empty() {
        return Ok(None);
    }
    let (scheme, rest) = url.split_once("://").unwrap_or(("", url));
    if !matches!(scheme, "http" | "https") {
        return Err(Error::config(format!(
            "s3.proxy.url: unknown protocol: {scheme}"
        )));
    }
    let user = config
        .string_opt("s3.proxy.user")
        .filter(|user| !user.is_empty());
    Ok(Some(match user {
        Some(user) => {
            let password = config.string_opt("s3.proxy.password").unwrap_or_default();
            let host = rest.rsplit_once('@').map_or(rest, |(_, host)| host);
            format!("{scheme}://{user}:{password}@{host}")
        }
        None => url.to_owned(),
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_endpoint_needs_a_scheme_where_it_has_a_port() {
        assert_eq!(
            endpoint("http://127.0.0.1:9000/").expect("fine").as_deref(),
            Some("http://127.0.0.1:9000")
        );
        assert_eq!(
            endpoint("minio.local").expect("fine").as_deref(),
            Some("https://minio.local")
        );
        endpoint("127.0.0.1:29000").expect_err("no scheme");
    }

    fn settings(changes: &[(&str, &str)]) -> Result<Settings> {
        let minimal = [
            ("format.class", format::JSON_CLASS),
            ("flush.size", "3"),
            ("s3.bucket.name", "b"),
        ];
        let props = minimal
            .iter()
            .chain(changes)
            .map(|&(key, value)| (key.to_owned(), value.to_owned()));
        Settings::new(&props.collect())
    }

    #[test]
    fn other_stores_are_named_by_their_url() {
        for (url, kind, bucket) in [
            ("gs://lake", Kind::Google, "lake"),
            ("gs://", Kind::Google, "b"),
            ("az://box/", Kind::Azure, "box"),
            ("http://s3.local:9000", Kind::S3, "b"),
        ] {
            let store = settings(&[("store.url", url)]).expect("valid").store;
            assert_eq!((store.kind, store.bucket.as_str()), (kind, bucket), "{url}");
        }
    }

    #[test]
    fn only_combinations_that_confluents_sink_sends_encrypt() {
        let encryption =
            |changes: &[(&str, &str)]| settings(changes).expect("valid").store.encryption;
        let name = |value: &'static str| ("s3.ssea.name", value);
        assert_eq!(encryption(&[name("AES256")]), Encryption::S3);
        assert_eq!(encryption(&[name("aws:kms")]), Encryption::BucketDefault);
        assert_eq!(
            encryption(&[name("aws:kms"), ("s3.sse.kms.key.id", "k")]),
            Encryption::Kms("k".to_owned())
        );
        assert_eq!(
            encryption(&[name("aws:kms:dsse"), ("s3.sse.kms.key.id", "k")]),
            Encryption::BucketDefault
        );
        assert_eq!(
            encryption(&[name("AES256"), ("s3.sse.customer.key", "c")]),
            Encryption::Customer("c".to_owned())
        );
    }

    #[test]
    fn options_of_the_store_arrive_there() {
        let store = settings(&[
            ("s3.acl.canned", "public-read"),
            ("s3.part.retries", "7"),
            ("s3.retry.backoff.ms", "11"),
            ("s3.part.size", "6000000"),
            ("s3.send.digest", "true"),
            ("s3.http.send.expect.continue", "false"),
            ("s3.proxy.url", "http://proxy:3128"),
            ("s3.proxy.user", "u"),
            ("s3.proxy.password", "p"),
            ("s3.path.style.access.enabled", "false"),
            ("s3.wan.mode", "true"),
            ("s3.region", "eu-west-1"),
        ])
        .expect("valid")
        .store;
        assert_eq!(store.region, "eu-west-1");
        assert_eq!(store.acl.as_deref(), Some("public-read"));
        assert_eq!((store.attempts, store.part_size), (7, 6_000_000));
        assert_eq!(store.backoff, Duration::from_millis(11));
        assert!(store.digest && !store.expect_continue && !store.path_style && store.accelerate);
        assert_eq!(store.proxy.as_deref(), Some("http://u:p@proxy:3128"));
    }

    #[test]
    fn what_fails_a_task_at_its_start_names_its_option() {
        for (key, value) in [
            ("filename.offset.zero.pad.width", "0"),
            ("s3.part.retries", "0"),
            ("s3.proxy.url", "ftp://x"),
            ("store.url", "ftp://x"),
            ("parquet.codec", "brotli"),
        ] {
            let changes = [("format.class", format::PARQUET_CLASS), (key, value)];
            let error = settings(&changes).expect_err(key);
            assert!(error.message().contains(key), "{error}");
        }
    }
}
