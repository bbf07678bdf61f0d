//! What has to hold for each option's value, and Debezium's words where it does not.
//!
//! Looks at texts only, never at the world. Answers for `Field.Validator`s and for the checks in
//! `CommonConnectorConfig`, `RelationalDatabaseConnectorConfig` and `PostgresConnectorConfig`.
//! A value that breaks both its type and a rule of the same words is reported twice, as there.

use std::net::{IpAddr, ToSocketAddrs};

use connect_api::Props;
use connect_api::config::Type;
use connect_api::java::{Regex, parse_long};

use super::keys::Key;
use crate::change::identifier_names;

/// What has to hold for a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Rule {
    Required,
    Integer,
    Positive,
    PositiveLong,
    NonNegative,
    NonNegativeLong,
    Boolean,
    OneOf(&'static [&'static str]),
    Regexes,
    ExclusiveWith(&'static str),
    TopicPrefix,
    Hostname,
    SkippedOperations,
    OneSignalTable,
    SinkTopic,
    HttpUrl,
    KeyColumns,
    QueueSize,
    SlotName,
    ReplicaIdentities,
    NameOfCustom(&'static str),
    KeyValues,
}

const INTEGER: &str = "An integer is expected";
const LONG: &str = "A long value is expected";
const BOOLEAN: &str = "Either 'true' or 'false' is expected";
const CLASS: &str = "A Java class name is expected";
const KEY_COLUMNS: &str = r"^\s*([^:]+):([^:,]+(,[^:,]+)*)\s*$";
const REPLICA_IDENTITY: &str = r"(?i)^\s*(?<tablepredicate>[^\s:]+):(?<replicaidentity>DEFAULT|(INDEX) (?<indexname>.\w*)|FULL|NOTHING)\s*$";

/// All that is wrong with one option, in the order in which it is reported.
pub(super) fn problems(key: &Key, props: &Props) -> Vec<String> {
    let given = props
        .get(key.name)
        .map(String::as_str)
        .or_else(|| alias(key.name, props));
    let mut found: Vec<String> = type_problem(key, given).into_iter().collect();
    for rule in key.rules {
        let form = match rule {
            Rule::KeyColumns => Some((';', KEY_COLUMNS)),
            Rule::ReplicaIdentities => Some((',', REPLICA_IDENTITY)),
            _ => None,
        };
        if let Some(((separator, pattern), text)) = form.zip(given) {
            found.extend(text.is_empty().then(|| "Must not be empty".to_owned()));
            found.extend(format_problems(text, separator, pattern));
        }
        if *rule == Rule::QueueSize
            && given
                .and_then(java_number::<i64>)
                .is_some_and(|size| size <= 0)
        {
            found.push("A positive queue size is required".to_owned());
        }
        found.extend(rule.problem(given.or(key.default), props));
    }
    found
        .into_iter()
        .map(|why| format!("The '{}' value is invalid: {why}", key.name))
        .collect()
}

/// The value of another name of an option.
fn alias<'a>(name: &str, props: &'a Props) -> Option<&'a str> {
    match name {
        "legacy.snapshot.max.threads" => props
            .get("internal.legacy.snapshot.max.threads")
            .map(String::as_str),
        _ => None,
    }
}

fn type_problem(key: &Key, given: Option<&str>) -> Option<String> {
    let text = given?;
    let why = match key.kind {
        Type::Int | Type::Short if java_number::<i32>(text).is_none() => INTEGER,
        Type::Long if java_number::<i64>(text).is_none() => LONG,
        // The alias is only ever looked at by the option that it stands for.
        Type::Boolean
            if java_boolean(text).is_none()
                && key.name != "internal.legacy.snapshot.max.threads" =>
        {
            BOOLEAN
        }
        Type::Class if !is_java_name(text) => CLASS,
        _ => return None,
    };
    Some(why.to_owned())
}

/// Words that are no identifiers in Java.
const KEYWORDS: &[&str] = &[
    "_",
    "abstract",
    "assert",
    "boolean",
    "break",
    "byte",
    "case",
    "catch",
    "char",
    "class",
    "const",
    "continue",
    "default",
    "do",
    "double",
    "else",
    "enum",
    "extends",
    "false",
    "final",
    "finally",
    "float",
    "for",
    "goto",
    "if",
    "implements",
    "import",
    "instanceof",
    "int",
    "interface",
    "long",
    "native",
    "new",
    "null",
    "package",
    "private",
    "protected",
    "public",
    "return",
    "short",
    "static",
    "strictfp",
    "super",
    "switch",
    "synchronized",
    "this",
    "throw",
    "throws",
    "transient",
    "true",
    "try",
    "void",
    "volatile",
    "while",
];

/// `SourceVersion.isName`: identifiers apart by dots.
fn is_java_name(text: &str) -> bool {
    let is_identifier = |part: &str| {
        let mut characters = part.chars();
        let begins = |character: char| character.is_alphabetic() || matches!(character, '_' | '$');
        !KEYWORDS.contains(&part)
            && characters.next().is_some_and(begins)
            && characters.all(|character| begins(character) || character.is_numeric())
    };
    text.split('.').all(is_identifier)
}

/// `Integer.valueOf`, `Long.valueOf`: a sign and digits, no blanks.
pub(super) fn java_number<T: TryFrom<i64>>(text: &str) -> Option<T> {
    T::try_from(parse_long(text)?).ok()
}

/// `true` or `false` in any case, no blanks.
pub(crate) fn java_boolean(text: &str) -> Option<bool> {
    if text.eq_ignore_ascii_case("true") {
        Some(true)
    } else if text.eq_ignore_ascii_case("false") {
        Some(false)
    } else {
        None
    }
}

/// Items apart by commas, blanks around each cut off; empty ones at the end are dropped.
pub(crate) fn items(text: &str) -> Vec<&str> {
    let mut items: Vec<&str> = text.split(',').map(str::trim).collect();
    while items.last().is_some_and(|item| item.is_empty()) {
        items.pop();
    }
    items
}

impl Rule {
    fn problem(self, value: Option<&str>, props: &Props) -> Option<String> {
        let text = value.unwrap_or_default();
        let given = value.is_some();
        let int = || java_number::<i32>(text);
        let long = || java_number::<i64>(text);
        let says = |why: &str| Some(why.to_owned());
        match self {
            Self::Required if text.trim().is_empty() => says("A value is required"),
            Self::Integer if given && int().is_none() => says(INTEGER),
            Self::Positive if given && int().is_none_or(|n| n <= 0) => {
                says("A positive, non-zero integer value is expected")
            }
            Self::PositiveLong if given && long().is_none_or(|n| n <= 0) => {
                says("A positive, non-zero long value is expected")
            }
            Self::NonNegative if given && int().is_none_or(|n| n < 0) => {
                says("An non-negative integer is expected")
            }
            Self::NonNegativeLong if given && long().is_none_or(|n| n < 0) => {
                says("A non-negative long value is expected")
            }
            Self::Boolean if given && java_boolean(text).is_none() => says(BOOLEAN),
            // Accepted beyond Debezium: what older lines called the modes.
            Self::OneOf(allowed)
                if allowed.contains(&"initial_only")
                    && super::legacy::snapshot_mode(text) != text =>
            {
                None
            }
            // Accepted beyond Debezium, see `config::LOCKING_MODES_BEYOND`.
            Self::OneOf(allowed)
                if allowed.contains(&"shared")
                    && super::LOCKING_MODES_BEYOND
                        .contains(&text.trim().to_ascii_lowercase().as_str()) =>
            {
                None
            }
            Self::OneOf(allowed)
                if given
                    && !allowed
                        .iter()
                        .any(|one| one.eq_ignore_ascii_case(text.trim())) =>
            {
                Some(format!("Value must be one of {}", allowed.join(", ")))
            }
            Self::Regexes => regex_list(text),
            Self::ExclusiveWith(other) if given && props.contains_key(other) => {
                Some(format!("\"{other}\" is already specified"))
            }
            Self::TopicPrefix | Self::Hostname
                if given && (self == Self::TopicPrefix || !text.trim().is_empty()) =>
            {
                let name = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
                (text.is_empty() || !text.bytes().all(name)).then(|| {
                    format!(
                        "{text} has invalid format (only the underscore, hyphen, dot and \
                         alphanumeric characters are allowed)"
                    )
                })
            }
            Self::SkippedOperations if given => skipped_operations(text),
            Self::OneSignalTable if items(text).len() > 1 => {
                says("For single task connector only one signal data collection is permitted.")
            }
            Self::SinkTopic if channel_enabled("sink", props) && text.is_empty() => says(
                "Notification topic name must be provided when kafka notification channel is enabled",
            ),
            Self::HttpUrl if channel_enabled("http", props) => http_url(text, props),
            Self::QueueSize => queue_size(text, props),
            Self::SlotName if !is_slot_name(text) => says(
                "Valid replication slot name must contain only digits, lowercase characters and underscores with length <= 63",
            ),
            Self::NameOfCustom(mode) if text.trim().is_empty() => {
                let custom = props
                    .get(mode)
                    .is_some_and(|mode| mode.trim().eq_ignore_ascii_case("custom"));
                custom.then(|| {
                    format!("{mode}.custom.name cannot be empty when {mode} 'custom' is defined")
                })
            }
            Self::KeyValues if !text.is_empty() => {
                let pair = |item: &str| {
                    item.split_once('=')
                        .is_some_and(|(key, value)| !key.is_empty() && !value.is_empty())
                };
                (!items(text).into_iter().all(pair)).then(|| {
                    "A equivalent-separated map of valid key/value pairs is expected, for example: k1=v1,k2=v2".to_owned()
                })
            }
            _ => None,
        }
    }
}

fn regex_list(text: &str) -> Option<String> {
    let patterns = crate::filter::split_list(text);
    let error = patterns
        .iter()
        .find_map(|pattern| Regex::ignoring_case(pattern).err())?;
    Some(format!(
        "A comma-separated list of valid regular expressions is expected, but {error}"
    ))
}

fn skipped_operations(text: &str) -> Option<String> {
    let operations: Vec<&str> = split(text, ',').map(str::trim).collect();
    let none = operations.contains(&"none");
    for operation in &operations {
        // Reads can be named; a snapshot is taken all the same.
        if !matches!(*operation, "r" | "c" | "u" | "d" | "t" | "none") {
            return Some("Invalid operation".to_owned());
        }
    }
    (none && operations.iter().any(|operation| *operation != "none"))
        .then(|| "'none' cannot be specified with other skipped operation types".to_owned())
}

/// An option that makes the reading of all fail, whatever else is wrong: a list that ends in the middle
/// of an escape.
pub(super) fn unterminated(key: &Key, props: &Props) -> bool {
    let text = props.get(key.name).map_or("", String::as_str);
    let escapes = text.len() - text.trim_end_matches('\\').len();
    key.rules.contains(&Rule::Regexes) && escapes % 2 == 1
}

/// What `EnumSet.copyOf` says of operations that pass their rule, class and text.
pub(super) fn unusable_operations(text: &str) -> Option<(&'static str, &'static str)> {
    if text.trim() == "none" {
        return None;
    }
    let mut operations = split(text, ',').map(str::trim).peekable();
    if operations.peek().is_none() {
        return Some(("java.lang.IllegalArgumentException", "Collection is empty"));
    }
    operations.any(|operation| operation == "none").then_some((
        "java.lang.NullPointerException",
        "Cannot invoke \"java.lang.Enum.getDeclaringClass()\" because \"e\" is null",
    ))
}

/// What Debezium says of the signalling table when it is no identifier, class and text.
pub(super) fn unusable_table(text: &str) -> Option<(&'static str, String)> {
    let names = match identifier_names(text) {
        Ok(names) => names,
        Err(why) => return Some(("java.lang.IllegalArgumentException", why)),
    };
    // Without a schema it becomes an expression all the same.
    let [only] = &names[..] else { return None };
    let error = Regex::ignoring_case(&format!("null.{only}")).err()?;
    Some(("java.util.regex.PatternSyntaxException", error.to_string()))
}

fn channel_enabled(channel: &str, props: &Props) -> bool {
    props
        .get("notification.enabled.channels")
        .is_some_and(|text| items(text).contains(&channel))
}

fn http_url(text: &str, props: &Props) -> Option<String> {
    if text.is_empty() {
        return Some(
            "HTTP notification URL must be provided when the 'http' notification channel is enabled"
                .to_owned(),
        );
    }
    let rest = text
        .strip_prefix("http://")
        .or_else(|| text.strip_prefix("https://"));
    let authority = rest
        .and_then(|rest| rest.split(['/', '?', '#']).next())
        .unwrap_or_default();
    let host = authority.rsplit('@').next().unwrap_or_default();
    let host = match host.strip_prefix('[') {
        Some(v6) => v6.split(']').next().unwrap_or_default(),
        None => host.split(':').next().unwrap_or_default(),
    };
    if host.is_empty() {
        return Some("HTTP notification URL must be a valid http(s) URL with a host".to_owned());
    }
    let allowed = props
        .get("notification.http.allow.private.networks")
        .is_some_and(|text| java_boolean(text) == Some(true));
    if allowed {
        return None;
    }
    let addresses = (host, 80).to_socket_addrs().ok()?;
    let private = |address: &IpAddr| match address {
        IpAddr::V4(v4) => {
            v4.is_loopback() || v4.is_private() || v4.is_link_local() || v4.is_unspecified()
        }
        IpAddr::V6(v6) => {
            v6.is_loopback()
                || v6.is_unspecified()
                || v6.is_unicast_link_local()
                || v6.is_unique_local()
        }
    };
    let address = addresses.map(|address| address.ip()).find(private)?;
    Some(format!("URL resolves to non-public address: {address}"))
}

/// Each entry that is not of the pattern's form.
fn format_problems(text: &str, separator: char, pattern: &str) -> Vec<String> {
    let Ok(regex) = Regex::new(pattern) else {
        return Vec::new();
    };
    let wrong = |entry: &&str| !regex.find(entry);
    let told = |entry| format!("{entry} has an invalid format (expecting '{pattern}')");
    split(text, separator).filter(wrong).map(told).collect()
}

/// `String.split`: what is empty at the end is dropped, and all of a text of separators.
fn split(text: &str, separator: char) -> impl Iterator<Item = &str> {
    let kept = text.trim_end_matches(separator);
    let some = text.is_empty() || !kept.is_empty();
    some.then(|| kept.split(separator)).into_iter().flatten()
}

fn queue_size(text: &str, props: &Props) -> Option<String> {
    let size: i64 = java_number(text)?;
    let batch: i64 = match props.get("max.batch.size") {
        Some(text) => java_number::<i32>(text).map_or(super::MAX_BATCH_SIZE, i64::from),
        None => super::MAX_BATCH_SIZE,
    };
    (size <= batch).then(|| "Must be larger than the maximum batch size".to_owned())
}

fn is_slot_name(text: &str) -> bool {
    let legal = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_';
    (1..=63).contains(&text.len()) && text.bytes().all(legal)
}
