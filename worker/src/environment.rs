//! Environment variables in place of a properties file, as the common Connect images map them.
//!
//! `CONNECT_FOO_BAR` is the property `foo.bar` (`__` for `_`, `___` for `-`), as in Confluent's
//! image, and wins over the file. The bare names of Debezium's image (`BOOTSTRAP_SERVERS`,
//! `GROUP_ID`) fill in what neither gives. Reads what it is handed; never the process's environment.

use connect_api::Props;

use crate::logging::log4j::{self, Levels};

const PREFIX: &str = "CONNECT_";

/// Debezium's names and the properties they stand for.
const DEBEZIUM: [(&str, &str); 13] = [
    ("BOOTSTRAP_SERVERS", "bootstrap.servers"),
    ("GROUP_ID", "group.id"),
    ("CONFIG_STORAGE_TOPIC", "config.storage.topic"),
    ("OFFSET_STORAGE_TOPIC", "offset.storage.topic"),
    ("STATUS_STORAGE_TOPIC", "status.storage.topic"),
    ("KEY_CONVERTER", "key.converter"),
    ("VALUE_CONVERTER", "value.converter"),
    ("OFFSET_FLUSH_INTERVAL_MS", "offset.flush.interval.ms"),
    ("OFFSET_FLUSH_TIMEOUT_MS", "offset.flush.timeout.ms"),
    ("SHUTDOWN_TIMEOUT", "task.shutdown.graceful.timeout.ms"),
    ("ADVERTISED_HOST_NAME", "rest.advertised.host.name"),
    ("ADVERTISED_PORT", "rest.advertised.port"),
    ("LISTENERS", "listeners"),
];

/// What Debezium's image sets where nothing else does.
const DEBEZIUM_DEFAULTS: [(&str, &str); 5] = [
    ("group.id", "1"),
    ("status.storage.topic", "connect-status"),
    (
        "key.converter",
        "org.apache.kafka.connect.json.JsonConverter",
    ),
    (
        "value.converter",
        "org.apache.kafka.connect.json.JsonConverter",
    ),
    ("task.shutdown.graceful.timeout.ms", "10000"),
];

/// Properties with the environment's on top. `from_file`: whether there was a file at all; without
/// one, Debezium's defaults apply too.
pub fn complete(mut props: Props, from_file: bool, environment: &[(String, String)]) -> Props {
    for (name, value) in environment {
        if let Some(key) = property(name) {
            props.insert(key, value.clone());
        }
    }
    let value_of = |name: &str| {
        environment
            .iter()
            .find(|(known, _)| known == name)
            .map(|(_, value)| value)
    };
    for (name, key) in DEBEZIUM {
        if let Some(value) = value_of(name).filter(|value| !value.is_empty()) {
            props.entry(key.to_owned()).or_insert_with(|| value.clone());
        }
    }
    if !from_file {
        if let Some(port) = value_of("REST_PORT") {
            let host = value_of("REST_HOST_NAME").map_or("", String::as_str);
            props
                .entry("listeners".to_owned())
                .or_insert_with(|| format!("http://{host}:{port}"));
        }
        for (key, value) in DEBEZIUM_DEFAULTS {
            props
                .entry(key.to_owned())
                .or_insert_with(|| value.to_owned());
        }
    }
    props
}

/// The property that a `CONNECT_*` variable stands for; none for those that set up logging.
fn property(name: &str) -> Option<String> {
    let rest = name.strip_prefix(PREFIX).filter(|rest| !rest.is_empty())?;
    if rest.starts_with("LOG4J_") || rest == "PROPERTIES_DIR" {
        return None;
    }
    // Longest first, through characters that no variable's name has.
    let key = rest
        .to_lowercase()
        .replace("___", "\u{1}")
        .replace("__", "\u{2}")
        .replace('_', ".");
    Some(key.replace('\u{1}', "-").replace('\u{2}', "_"))
}

/// The file with log4j's configuration, where the JVM's options name one.
pub fn log4j_file(environment: &[(String, String)]) -> Option<&str> {
    ["KAFKA_LOG4J_OPTS", "KAFKA_OPTS"]
        .iter()
        .find_map(|wanted| {
            let options = environment.iter().find(|(name, _)| name == wanted);
            log4j::file_of(&options?.1)
        })
}

/// The filter of log lines: `CONNECT_LOG4J_ROOT_LOGLEVEL` or `LOG_LEVEL`, and
/// `CONNECT_LOG4J_LOGGERS` (`org.apache.kafka.connect=DEBUG,...`), on top of what `file` says; Java's
/// loggers as the modules that answer for them.
pub fn log_filter(environment: &[(String, String)], file: &Levels) -> String {
    let value_of = |name: &str| {
        environment
            .iter()
            .find(|(known, _)| known == name)
            .map(|(_, value)| value.as_str())
    };
    if let Some(filter) = value_of("FERROCONNECT_LOG") {
        return filter.to_owned();
    }
    let root = value_of("CONNECT_LOG4J_ROOT_LOGLEVEL")
        .or_else(|| value_of("LOG_LEVEL"))
        .or(file.root.as_deref())
        .unwrap_or("INFO");
    let mut filter = level(root).to_owned();
    let of_file = file
        .loggers
        .iter()
        .map(|(logger, wanted)| (logger.as_str(), wanted.as_str()));
    let named = value_of("CONNECT_LOG4J_LOGGERS")
        .unwrap_or_default()
        .split(',')
        .filter_map(|pair| pair.split_once('='));
    for (logger, wanted) in of_file.chain(named) {
        for module in modules(logger.trim()) {
            filter.push_str(&format!(",{module}={}", level(wanted)));
        }
    }
    filter
}

/// How log lines look: `FERROCONNECT_LOG_FORMAT`.
pub fn log_lines(environment: &[(String, String)]) -> crate::logging::Lines {
    let format = environment
        .iter()
        .find(|(name, _)| name == "FERROCONNECT_LOG_FORMAT");
    crate::logging::Lines::of(format.map(|(_, value)| value.as_str()))
}

/// A level of log4j as one of ours.
pub(crate) fn level(text: &str) -> &'static str {
    match text.trim().to_ascii_uppercase().as_str() {
        "OFF" => "off",
        "FATAL" | "ERROR" => "error",
        "WARN" => "warn",
        "DEBUG" => "debug",
        "TRACE" | "ALL" => "trace",
        _ => "info",
    }
}

/// The modules that answer for a Java logger: the first line whose package holds it.
pub(crate) fn modules(logger: &str) -> &'static [&'static str] {
    const LOGGERS: [(&str, &[&str]); 8] = [
        (
            "org.apache.kafka.connect.runtime.rest",
            &["worker::rest", "rest"],
        ),
        (
            "org.apache.kafka.connect.runtime.distributed",
            &["worker::herder"],
        ),
        ("org.apache.kafka.connect.storage", &["worker::store"]),
        ("org.apache.kafka.connect", &["worker"]),
        ("org.apache.kafka.clients", &["worker::kafka", "rdkafka"]),
        ("org.apache.kafka", &["worker", "rdkafka"]),
        ("io.debezium", &["postgres_source"]),
        ("io.confluent", &["s3_sink"]),
    ];
    LOGGERS
        .iter()
        .find(|(package, _)| {
            logger
                .strip_prefix(package)
                .is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
        })
        .map_or(&[], |(_, modules)| modules)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn environment(entries: &[(&str, &str)]) -> Vec<(String, String)> {
        entries
            .iter()
            .map(|&(name, value)| (name.to_owned(), value.to_owned()))
            .collect()
    }

    #[test]
    fn connect_variables_name_properties() {
        let check = |name: &str, expected: Option<&str>| {
            assert_eq!(property(name).as_deref(), expected);
        };
        check("CONNECT_BOOTSTRAP_SERVERS", Some("bootstrap.servers"));
        check("CONNECT_A__B___C_D", Some("a_b-c.d"));
        check("CONNECT_LOG4J_ROOT_LOGLEVEL", None);
        check("OTHER", None);
    }

    #[test]
    fn the_environment_wins_over_the_file_and_bare_names_only_fill_in() {
        let file: Props = [
            ("group.id".to_owned(), "file".to_owned()),
            ("client.id".to_owned(), "file".to_owned()),
        ]
        .into_iter()
        .collect();
        let variables = environment(&[
            ("CONNECT_CLIENT_ID", "env"),
            ("GROUP_ID", "env"),
            ("BOOTSTRAP_SERVERS", "b:1"),
        ]);
        let props = complete(file, true, &variables);
        assert_eq!(props["client.id"], "env");
        assert_eq!(props["group.id"], "file");
        assert_eq!(props["bootstrap.servers"], "b:1");
        assert_eq!(props.get("key.converter"), None);
    }

    #[test]
    fn without_a_file_debeziums_defaults_apply() {
        let props = complete(
            Props::new(),
            false,
            &environment(&[("CONFIG_STORAGE_TOPIC", "c"), ("REST_PORT", "9")]),
        );
        assert_eq!(
            props["key.converter"],
            "org.apache.kafka.connect.json.JsonConverter"
        );
        assert_eq!(props["listeners"], "http://:9");
        assert_eq!(props["group.id"], "1");
    }

    #[test]
    fn java_loggers_set_the_levels_of_our_modules() {
        let variables = environment(&[
            ("CONNECT_LOG4J_ROOT_LOGLEVEL", "WARN"),
            (
                "CONNECT_LOG4J_LOGGERS",
                "io.debezium=DEBUG,org.apache.kafka.connect.runtime.rest=ERROR,x=INFO",
            ),
        ]);
        let none = Levels::default();
        assert_eq!(
            log_filter(&variables, &none),
            "warn,postgres_source=debug,worker::rest=error,rest=error"
        );
        assert_eq!(log_filter(&[], &none), "info");
        let file = Levels {
            root: Some("ERROR".to_owned()),
            loggers: vec![("io.debezium".to_owned(), "TRACE".to_owned())],
        };
        assert_eq!(log_filter(&[], &file), "error,postgres_source=trace");
        // The variables come last, and the last one counts.
        assert!(
            log_filter(&variables, &file)
                .starts_with("warn,postgres_source=trace,postgres_source=debug")
        );
    }
}
