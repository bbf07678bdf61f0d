//! Signals: what users ask of a running connector, and the channels through which they ask.
//!
//! A signal is a row of the signal table (it arrives in the stream), a line of a file or a record in
//! Kafka; `jmx` is accepted and has no effect, for there is no JVM. What a signal asks for is a pure
//! function of its text; who carries it out is the stream. Answers for `SignalProcessor`,
//! `SignalRecord`, the `SignalChannelReader`s and the `SignalAction`s.

pub mod incremental;
pub mod java;

use std::path::PathBuf;
use std::time::{Duration, Instant};

use bytes::Bytes;
use connect_api::data::json::parse_schemaless;
use connect_api::data::{ConnectMap, Value};
use connect_api::java::Regex;
use connect_api::source::{TopicAccess, TopicReader};

use crate::config::PostgresConfig;
use crate::error::PgError;

/// A signal as it came.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Signal {
    /// Its id, which notifications carry.
    pub id: String,
    /// What is asked for.
    pub kind: String,
    /// The rest, as JSON.
    pub data: String,
}

/// What a signal asks for.
#[derive(Clone, Debug)]
pub enum Action {
    /// Write a message into the log.
    Log(String),
    /// Read tables again.
    Execute(Request),
    /// Leave tables out of the incremental snapshot; all of them where none is named.
    Stop(Vec<String>),
    /// Pause the incremental snapshot.
    Pause,
    /// Go on with it.
    Resume,
    /// The stream has reached the beginning of a window.
    OpenWindow,
    /// The stream has reached its end.
    CloseWindow,
}

/// Which tables to read again, and how.
#[derive(Clone, Debug)]
pub struct Request {
    /// Names of tables or regular expressions of them.
    pub collections: Vec<String>,
    /// While the stream stands still, in the manner of the initial snapshot.
    pub blocking: bool,
    /// Conditions by regular expression of the tables; in a blocking snapshot whole statements.
    pub conditions: Vec<Condition>,
    /// The column to read by instead of the key.
    pub surrogate_key: Option<String>,
}

/// A condition on the rows of some tables.
#[derive(Clone, Debug)]
pub struct Condition {
    /// The tables.
    pub tables: Regex,
    /// The condition.
    pub filter: String,
}

impl Request {
    /// The condition on a table's rows.
    #[must_use]
    pub fn condition(&self, table: &str) -> Option<&str> {
        let mut conditions = self.conditions.iter();
        let found = conditions.find(|condition| condition.tables.matches(table))?;
        Some(found.filter.as_str()).filter(|filter| !filter.is_empty())
    }
}

fn strings(data: &ConnectMap, key: &str) -> Option<Vec<String>> {
    match data.get_str(key) {
        Some(Value::Array(items)) if !items.is_empty() => items
            .iter()
            .map(|item| item.as_str().map(|text| text.trim().to_owned()))
            .collect(),
        _ => None,
    }
}

impl Signal {
    /// What it asks for; the reason where that is nothing.
    ///
    /// # Errors
    /// It is of no known kind, or lacks what it needs.
    pub fn action(&self) -> Result<Action, String> {
        let Self { id, kind, data } = self;
        let unreadable =
            || format!("Signal '{id}' has been received but the data '{data}' cannot be parsed");
        let parsed = match data.trim() {
            "" => ConnectMap::new(),
            text => match parse_schemaless(&Bytes::copy_from_slice(text.as_bytes())) {
                Ok(Value::Map(map)) => *map,
                _ => return Err(unreadable()),
            },
        };
        let text = |key: &str| parsed.get_str(key).and_then(Value::as_str);
        match kind.as_str() {
            "log" => match text("message") {
                Some(message) if !message.is_empty() => Ok(Action::Log(message.to_owned())),
                _ => Err(format!(
                    "Logging signal '{id}' has arrived but the requested field 'message' is \
                     missing from data"
                )),
            },
            "execute-snapshot" => request(&parsed).map(Action::Execute),
            "stop-snapshot" => match text("type") {
                Some(other) if !other.eq_ignore_ascii_case("incremental") => Err(format!(
                    "Detected an unexpected snapshot type '{other}'. Signal will be skipped."
                )),
                _ => Ok(Action::Stop(
                    strings(&parsed, "data-collections").unwrap_or_default(),
                )),
            },
            "pause-snapshot" => Ok(Action::Pause),
            "resume-snapshot" => Ok(Action::Resume),
            "snapshot-window-open" => Ok(Action::OpenWindow),
            "snapshot-window-close" => Ok(Action::CloseWindow),
            _ => Err(format!(
                "Signal '{id}' has been received but the type '{kind}' is not recognized"
            )),
        }
    }
}

fn request(data: &ConnectMap) -> Result<Request, String> {
    let collections = strings(data, "data-collections").ok_or(
        "Execute snapshot signal has arrived but the requested field 'data-collections' is \
         missing from data, is empty or contains a non-string data collection",
    )?;
    let text =
        |map: &ConnectMap, key: &str| map.get_str(key).and_then(Value::as_str).map(str::to_owned);
    let blocking = match text(data, "type") {
        None => false,
        Some(kind) if kind.eq_ignore_ascii_case("incremental") => false,
        Some(kind) if kind.eq_ignore_ascii_case("blocking") => true,
        Some(kind) => {
            return Err(format!(
                "Detected an unexpected snapshot type '{kind}'. Signal will be skipped."
            ));
        }
    };
    let mut conditions = Vec::new();
    if let Some(Value::Array(items)) = data.get_str("additional-conditions") {
        for item in items.iter().filter_map(Value::as_map) {
            let tables = text(item, "data-collection").unwrap_or_default();
            conditions.push(Condition {
                tables: Regex::ignoring_case(&tables)
                    .map_err(|error| format!("the condition's data-collection: {error}"))?,
                filter: text(item, "filter").unwrap_or_default(),
            });
        }
    }
    Ok(Request {
        collections,
        blocking,
        conditions,
        surrogate_key: text(data, "surrogate-key").filter(|key| !key.trim().is_empty()),
    })
}

/// The channels that have to be asked.
pub struct Channels {
    source: bool,
    interval: Duration,
    next: Instant,
    prefix: String,
    file: Option<PathBuf>,
    kafka: Option<Box<dyn TopicReader>>,
}

impl std::fmt::Debug for Channels {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Channels")
            .field("source", &self.source)
            .field("file", &self.file)
            .field("kafka", &self.kafka.is_some())
            .finish_non_exhaustive()
    }
}

impl Channels {
    /// The channels of `signal.enabled.channels`; unknown ones are passed over.
    ///
    /// # Errors
    /// The Kafka channel lacks its broker.
    pub fn open(
        config: &PostgresConfig,
        topics: Option<&dyn TopicAccess>,
    ) -> Result<Self, PgError> {
        let props = config.originals();
        let enabled = |name: &str| {
            let mut channels = config.signal_enabled_channels.iter();
            channels.any(|channel| channel.trim() == name)
        };
        if enabled("jmx") {
            tracing::warn!("the signal channel jmx is accepted and has no effect");
        }
        let file = enabled("file").then(|| {
            let path = props
                .get("signal.file")
                .map_or("file-signals.txt", String::as_str);
            tracing::info!("File signal channel is active, reading signals from '{path}'");
            PathBuf::from(path)
        });
        let kafka = match enabled("kafka") {
            true => Some(kafka_reader(config, topics)?),
            false => None,
        };
        Ok(Self {
            source: enabled("source"),
            interval: config.signal_poll_interval,
            next: Instant::now(),
            prefix: config.topic_prefix.clone(),
            file,
            kafka,
        })
    }

    /// Whether rows of the signal table are signals.
    #[must_use]
    pub fn reads_source(&self) -> bool {
        self.source
    }

    /// How long until the channels are asked; none if there are none to ask.
    #[must_use]
    pub fn until_due(&self) -> Option<Duration> {
        let any = self.file.is_some() || self.kafka.is_some();
        any.then(|| self.next.saturating_duration_since(Instant::now()))
    }

    /// The signals that came since the last time, once `signal.poll.interval.ms` has passed.
    pub fn poll(&mut self) -> Vec<Signal> {
        if self.until_due().is_none_or(|left| !left.is_zero()) {
            return Vec::new();
        }
        self.next = Instant::now() + self.interval;
        let mut signals = Vec::new();
        if let Some(path) = &self.file {
            match read_file(path) {
                Ok(found) => signals.extend(found),
                Err(error) => tracing::error!(
                    path = %path.display(), %error, "Failed to read signal file"
                ),
            }
        }
        if let Some(reader) = &mut self.kafka {
            match reader.poll() {
                Ok(records) => {
                    for (key, value) in records {
                        if key.as_deref() != Some(self.prefix.as_bytes()) {
                            tracing::info!(
                                "Signal key '{}' doesn't match the connector's name '{}'",
                                key.as_deref()
                                    .map_or_else(|| "null".into(), String::from_utf8_lossy),
                                self.prefix
                            );
                            continue;
                        }
                        signals.extend(value.as_ref().and_then(parse));
                    }
                }
                Err(error) => tracing::error!(%error, "Failed to read the signal topic"),
            }
        }
        signals
    }
}

fn kafka_reader(
    config: &PostgresConfig,
    topics: Option<&dyn TopicAccess>,
) -> Result<Box<dyn TopicReader>, PgError> {
    let invalid = || {
        PgError::Config(
            "Signal channel kafka configuration is invalid. See logs for details.".to_owned(),
        )
    };
    let props = config.originals();
    let text = |key: &str| {
        props
            .get(key)
            .map(|text| text.trim())
            .filter(|text| !text.is_empty())
    };
    let Some(servers) = text("signal.kafka.bootstrap.servers") else {
        tracing::error!(
            "The 'signal.kafka.bootstrap.servers' value is invalid: A value is required"
        );
        return Err(invalid());
    };
    // It has no effect, and is refused where the JVM refuses it.
    let timeout = props.get("signal.kafka.poll.timeout.ms");
    if timeout.is_some_and(|text| !text.trim().parse::<i32>().is_ok_and(|ms| ms >= 0)) {
        tracing::error!(
            "The 'signal.kafka.poll.timeout.ms' value is invalid: An non-negative integer is expected"
        );
        return Err(invalid());
    }
    let topic = text("signal.kafka.topic")
        .map_or_else(|| format!("{}-signal", config.topic_prefix), str::to_owned);
    let group = text("signal.kafka.groupId").unwrap_or("kafka-signal");
    let mut settings = connect_api::config::props_with_prefix(props, "signal.consumer.");
    for (key, value) in [("bootstrap.servers", servers), ("group.id", group)] {
        settings
            .entry(key.to_owned())
            .or_insert_with(|| value.to_owned());
    }
    let topics = topics.ok_or_else(|| {
        PgError::Config("the signal channel kafka needs a worker that reads topics".to_owned())
    })?;
    tracing::info!("Subscribing to signals topic '{topic}'");
    topics.open(&settings, &topic).map_err(|error| {
        tracing::error!(%error, "the signal topic cannot be read");
        invalid()
    })
}

/// A signal from a file or from Kafka.
fn parse(json: &Bytes) -> Option<Signal> {
    let skipped = |why: &str| {
        tracing::warn!("Skipped signal due to a parse error: {why}");
        None
    };
    let Ok(Value::Map(map)) = parse_schemaless(json) else {
        return skipped("it is not a JSON object");
    };
    let text = |key: &str| map.get_str(key).and_then(Value::as_str).map(str::to_owned);
    let (Some(id), Some(kind)) = (text("id"), text("type")) else {
        return skipped("it has no id or no type");
    };
    let mut data = Vec::new();
    let value = map.get_str("data").unwrap_or(&Value::Null);
    match value {
        Value::Null => {}
        value => connect_api::data::json::write_schemaless(value, &mut data).ok()?,
    }
    Some(Signal {
        id,
        kind,
        data: String::from_utf8(data).ok()?,
    })
}

/// The file's lines; it is emptied.
fn read_file(path: &std::path::Path) -> std::io::Result<Vec<Signal>> {
    if !path.is_file() {
        return Ok(Vec::new());
    }
    let text = std::fs::read(path)?;
    if text.is_empty() {
        return Ok(Vec::new());
    }
    std::fs::write(path, b"")?;
    let lines = text.split(|&byte| byte == b'\n');
    let lines = lines.filter(|line| !line.trim_ascii().is_empty());
    Ok(lines
        .filter_map(|line| parse(&Bytes::copy_from_slice(line)))
        .collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn action(kind: &str, data: &str) -> Result<Action, String> {
        let (id, kind, data) = ("s1".to_owned(), kind.to_owned(), data.to_owned());
        Signal { id, kind, data }.action()
    }

    #[test]
    fn a_snapshot_is_incremental_unless_it_says_otherwise() {
        let data = r#"{"data-collections": ["public.a ", "b\\..*"], "surrogate-key": "k",
            "additional-conditions": [{"data-collection": "PUBLIC\\..*", "filter": "x > 1"}]}"#;
        let Ok(Action::Execute(request)) = action("execute-snapshot", data) else {
            panic!("a request")
        };
        assert!(!request.blocking);
        assert_eq!(request.collections, ["public.a", r"b\..*"]);
        assert_eq!(request.surrogate_key.as_deref(), Some("k"));
        assert_eq!(request.condition("public.a"), Some("x > 1"));
        assert_eq!(request.condition("other.a"), None);
        let data = r#"{"data-collections": ["a"], "type": "blocking"}"#;
        let Ok(Action::Execute(request)) = action("execute-snapshot", data) else {
            panic!("a request")
        };
        assert!(request.blocking);
    }

    #[test]
    fn what_asks_for_nothing_says_why() {
        for (kind, data, why) in [
            ("nonsense", "{}", "the type 'nonsense' is not recognized"),
            ("log", "{}", "the requested field 'message' is missing"),
            ("log", "{", "cannot be parsed"),
            ("execute-snapshot", "{}", "'data-collections' is missing"),
            (
                "execute-snapshot",
                r#"{"data-collections":[1]}"#,
                "non-string",
            ),
            (
                "execute-snapshot",
                r#"{"data-collections":["a"],"type":"x"}"#,
                "unexpected snapshot type 'x'",
            ),
        ] {
            let found = action(kind, data).expect_err(kind);
            assert!(found.contains(why), "{kind}: {found}");
        }
    }

    #[test]
    fn a_file_is_read_line_by_line_and_emptied() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("signals");
        std::fs::write(
            &path,
            "{\"id\":\"1\",\"type\":\"log\",\"data\":{\"message\":\"m\"}}\n\nnot json\n",
        )
        .unwrap();
        let signals = read_file(&path).unwrap();
        assert_eq!(signals.len(), 1);
        assert!(matches!(signals[0].action(), Ok(Action::Log(text)) if text == "m"));
        assert_eq!(std::fs::read(&path).unwrap(), b"");
        assert_eq!(read_file(&path).unwrap(), []);
    }
}
