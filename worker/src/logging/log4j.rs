//! Levels out of log4j's configuration files, so that an image's or operator's file goes on working.
//! Appenders and layouts are log4j's own and passed over.
//!
//! Reads log4j2's YAML, JSON, XML and properties, and log4j 1's properties. Answers for what
//! `-Dlog4j2.configurationFile` does to levels.

use connect_api::Props;
use connect_api::java::parse_properties;
use serde_json::Value as Json;

/// The levels that a file sets.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Levels {
    /// The root's.
    pub root: Option<String>,
    /// Loggers with their levels, in the order of the file.
    pub loggers: Vec<(String, String)>,
}

/// The file that options of a JVM name, as `KAFKA_LOG4J_OPTS` holds them; the last one counts.
pub fn file_of(options: &str) -> Option<&str> {
    const NAMES: [&str; 3] = [
        "-Dlog4j2.configurationFile=",
        "-Dlog4j.configurationFile=",
        "-Dlog4j.configuration=",
    ];
    let named = |word| {
        NAMES
            .iter()
            .find_map(|name| str::strip_prefix(word, name))
            .map(|file| file.trim_matches(['"', '\'']))
    };
    let file = options.split_whitespace().filter_map(named).next_back()?;
    // Several files may be named; levels are in the first.
    let file = file.split(',').next().unwrap_or(file);
    let path = file.strip_prefix("file:").unwrap_or(file);
    // file:///x is /x.
    Some(path.strip_prefix("//").unwrap_or(path))
}

impl Levels {
    /// The levels of a file's text; its kind shows in its beginning.
    pub fn read(text: &str) -> Self {
        let start = text.trim_start();
        if start.starts_with('<') {
            return Self::of_xml(text);
        }
        if let Some(json) = start
            .starts_with('{')
            .then(|| serde_json::from_str::<Json>(text).ok())
            .flatten()
        {
            return Self::of_json(&json);
        }
        if text.lines().any(|line| line.trim_end() == "Configuration:") {
            return Self::of_yaml(text);
        }
        parse_properties(text).map_or_else(|_| Self::default(), |props| Self::of_properties(&props))
    }

    fn add(&mut self, name: Option<&str>, level: &str) {
        match name {
            None | Some("" | "root") => self.root = Some(level.to_owned()),
            Some(name) => self.loggers.push((name.to_owned(), level.to_owned())),
        }
    }

    /// `rootLogger.level`, `logger.x.name` and `.level`; `log4j.rootLogger`, `log4j.logger.NAME`.
    fn of_properties(props: &Props) -> Self {
        let mut levels = Self::default();
        let level_of = |value: &str| {
            let level = value.split(',').next().unwrap_or_default().trim();
            resolved(level, props)
        };
        for (key, value) in props {
            if matches!(
                key.as_str(),
                "rootLogger.level" | "rootLogger" | "log4j.rootLogger"
            ) {
                levels.add(None, &level_of(value));
            } else if let Some(name) = key.strip_prefix("log4j.logger.") {
                levels.add(Some(name), &level_of(value));
            } else if let Some(id) = key
                .strip_prefix("logger.")
                .and_then(|rest| rest.strip_suffix(".level"))
                && let Some(name) = props.get(&format!("logger.{id}.name"))
            {
                levels.add(Some(name.trim()), &level_of(value));
            }
        }
        levels
    }

    fn of_json(json: &Json) -> Self {
        let mut levels = Self::default();
        let text = |value: &Json, key: &str| value[key].as_str().map(str::to_owned);
        let loggers = &json["Configuration"]["Loggers"];
        let loggers = match loggers {
            Json::Null => &json["configuration"]["loggers"],
            found => found,
        };
        let either = |name: &str| match &loggers[name] {
            Json::Null => loggers[name.to_lowercase()].clone(),
            found => found.clone(),
        };
        if let Some(level) = text(&either("Root"), "level") {
            levels.add(None, &level);
        }
        let items = match either("Logger") {
            Json::Array(items) => items,
            one => vec![one],
        };
        for item in items {
            if let (Some(name), Some(level)) = (text(&item, "name"), text(&item, "level")) {
                levels.add(Some(&name), &level);
            }
        }
        levels
    }

    /// Of YAML only what such a file consists of: keys by indentation, lists by dashes.
    fn of_yaml(text: &str) -> Self {
        let mut levels = Self::default();
        // Whose level comes: (is root, name, level) of the item that is being read.
        let mut item: (bool, Option<String>, Option<String>) = (false, None, None);
        let mut in_loggers = false;
        let mut finish =
            |item: &mut (bool, Option<String>, Option<String>)| match std::mem::take(item) {
                (true, _, Some(level)) => levels.add(None, &level),
                (_, Some(name), Some(level)) => levels.add(Some(&name), &level),
                _ => {}
            };
        for line in text.lines() {
            let line = line.split(" #").next().unwrap_or_default().trim();
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            if line == "Loggers:" {
                in_loggers = true;
            }
            if !in_loggers {
                continue;
            }
            let (is_new, entry) = match line.strip_prefix("- ") {
                Some(entry) => (true, entry.trim()),
                None => (false, line),
            };
            let Some((key, value)) = entry.split_once(':') else {
                continue;
            };
            let value = value.trim().trim_matches(['"', '\'']).to_owned();
            match key.trim() {
                "Root" | "AsyncRoot" => {
                    finish(&mut item);
                    item = (true, None, None);
                }
                "Logger" | "AsyncLogger" => finish(&mut item),
                "name" => {
                    if is_new {
                        finish(&mut item);
                    }
                    item.1 = Some(value);
                }
                "level" => {
                    if is_new {
                        finish(&mut item);
                    }
                    item.2 = Some(value);
                }
                _ => {}
            }
        }
        finish(&mut item);
        levels
    }

    fn of_xml(text: &str) -> Self {
        let mut levels = Self::default();
        for tag in text.split('<').skip(1) {
            let tag = tag.split('>').next().unwrap_or_default();
            let attribute = |name: &str| {
                let (_, rest) = tag.split_once(&format!(" {name}="))?;
                let quote = rest.chars().next().filter(|quote| "\"'".contains(*quote))?;
                rest.get(1..)?.split(quote).next()
            };
            let kind = tag.split_whitespace().next().unwrap_or_default();
            let kind = kind.trim_end_matches('/').to_ascii_lowercase();
            let Some(level) = attribute("level") else {
                continue;
            };
            match kind.as_str() {
                "root" | "asyncroot" => levels.add(None, level),
                "logger" | "asynclogger" => levels.add(attribute("name"), level),
                _ => {}
            }
        }
        levels
    }
}

/// `${name}` and `${name:-default}` by the file's own properties.
fn resolved(text: &str, props: &Props) -> String {
    let Some(inner) = text
        .strip_prefix("${")
        .and_then(|rest| rest.strip_suffix('}'))
    else {
        return text.to_owned();
    };
    let (name, default) = inner.split_once(":-").unwrap_or((inner, "INFO"));
    let found = props
        .get(name)
        .or_else(|| props.get(&format!("property.{name}")));
    found.map_or(default, |text| text.trim()).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, root: &str, loggers: &[(&str, &str)]) {
        let found = Levels::read(text);
        assert_eq!(found.root.as_deref(), Some(root), "{text}");
        let expected: Vec<(String, String)> = loggers
            .iter()
            .map(|&(name, level)| (name.to_owned(), level.to_owned()))
            .collect();
        assert_eq!(found.loggers, expected, "{text}");
    }

    #[test]
    fn levels_are_found_in_every_kind_of_file() {
        let loggers = [("org.reflections", "ERROR"), ("io.debezium", "DEBUG")];
        check(
            "# like Kafka's own\nConfiguration:\n  Properties:\n    Property:\n      - name: \"p\"\n        \
             value: \"%m\"\n  Appenders:\n    Console:\n      name: STDOUT\n  Loggers:\n    Root:\n      \
             level: WARN # quiet\n      AppenderRef:\n        - ref: STDOUT\n    Logger:\n      # each\n      \
             - name: org.reflections\n        level: ERROR\n      - level: \"DEBUG\"\n        name: io.debezium\n",
            "WARN",
            &loggers,
        );
        check(
            r#"{"Configuration": {"Loggers": {"Root": {"level": "WARN"}, "Logger": [
               {"name": "org.reflections", "level": "ERROR"}, {"name": "io.debezium", "level": "DEBUG"}]}}}"#,
            "WARN",
            &loggers,
        );
        check(
            "<?xml version=\"1.0\"?><Configuration><Loggers><Logger name=\"org.reflections\" level=\"ERROR\"/>\
             <Logger level='DEBUG' name='io.debezium'><AppenderRef ref=\"x\"/></Logger>\
             <Root level=\"WARN\"/></Loggers></Configuration>",
            "WARN",
            &loggers,
        );
        check(
            "rootLogger.level=${level:-WARN}\nlogger.a.name = org.reflections\nlogger.a.level = ERROR\n\
             logger.b.name = io.debezium\nlogger.b.level = DEBUG\nappender.x.type=Console\n",
            "WARN",
            &loggers,
        );
        check(
            "connect.level=WARN\nlog4j.rootLogger=${connect.level}, CONSOLE\n\
             log4j.logger.org.reflections=ERROR\nlog4j.logger.io.debezium=DEBUG, FILE\n",
            "WARN",
            &loggers,
        );
    }

    #[test]
    fn the_file_is_named_as_the_jvm_is_told() {
        let options = "-Xmx1g -Dlog4j2.configurationFile=file:/opt/kafka/log4j2.yaml -Dx=y";
        assert_eq!(file_of(options), Some("/opt/kafka/log4j2.yaml"));
        let options = "-Dlog4j.configuration=file:///etc/kafka/log4j.properties";
        assert_eq!(file_of(options), Some("/etc/kafka/log4j.properties"));
        assert_eq!(file_of("-Dlog4j2.configurationFile=\"/a,/b\""), Some("/a"));
        assert_eq!(file_of("-Xmx1g"), None);
    }
}
