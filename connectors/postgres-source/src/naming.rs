//! Names of topics, schemas and fields.
//!
//! A topic is named after its table by a strategy, made legal for Kafka, and gives the schemas
//! their names; those and the fields' names are made legal for Avro where asked. Answers for the
//! `io.debezium.schema.*TopicNamingStrategy` classes and `SchemaNameAdjuster`. It caches nothing:
//! names are made once per table.

use connect_api::Props;
use connect_api::java::Regex;

use crate::change::TableId;
use crate::config::choice;
use crate::error::PgError;

/// Kafka allows no longer topic name.
const TOPIC_NAME_LIMIT: usize = 249;

choice! {
    /// `schema.name.adjustment.mode`, `field.name.adjustment.mode`.
    NameAdjustment {
        /// Names stay.
        None = "none",
        /// What Avro does not allow becomes `_`.
        Avro = "avro",
        /// What Avro does not allow becomes `_uXXXX`, `_` itself too.
        AvroUnicode = "avro_unicode",
    }
}

impl NameAdjustment {
    /// A schema's full name, legal for Avro if asked: dots stay.
    #[must_use]
    pub fn schema_name(self, name: &str) -> String {
        self.rule().schema_name(name)
    }

    /// A field's name, legal for Avro if asked.
    #[must_use]
    pub fn field_name(self, name: &str) -> String {
        self.rule().field_name(name)
    }

    fn rule(self) -> connect_api::data::NameAdjustment {
        match self {
            Self::None => connect_api::data::NameAdjustment::None,
            Self::Avro => connect_api::data::NameAdjustment::Avro,
            Self::AvroUnicode => connect_api::data::NameAdjustment::AvroUnicode,
        }
    }
}

fn push_unicode(text: &mut String, unit: u16) {
    text.push_str(&format!("_u{unit:04x}"));
}

#[derive(Clone, Debug)]
enum Strategy {
    /// `prefix.schema.table`.
    Schema,
    /// `prefix.table`: what Debezium calls the database is none here.
    Default,
}

/// What the strategies with a regular expression do besides: topics are renamed, and keys tell the
/// table that they came from.
#[derive(Clone, Debug)]
struct Routing {
    topic: (Regex, String),
    /// The field that is added to keys; none where `topic.key.enforce.uniqueness` is off.
    key_field: Option<String>,
    key_value: Option<(Regex, String)>,
}

/// How names are made.
#[derive(Clone, Debug)]
pub struct Naming {
    prefix: String,
    delimiter: String,
    strategy: Strategy,
    /// Illegal characters become `_uXXXX` instead of `_`.
    unicode: bool,
    routing: Option<Routing>,
    heartbeat_topic: String,
    transaction_topic: String,
    schema_names: NameAdjustment,
    field_names: NameAdjustment,
}

fn replaced((regex, replacement): &(Regex, String), text: &str) -> Result<Option<String>, PgError> {
    regex
        .replace_full(text, replacement)
        .map_err(|(_, message)| PgError::Fatal(message))
}

impl Naming {
    /// Reads the `topic.*` keys.
    ///
    /// # Errors
    /// A strategy that does not exist, or one whose own keys are missing or wrong.
    pub fn new(
        prefix: &str,
        props: &Props,
        schema_names: NameAdjustment,
        field_names: NameAdjustment,
    ) -> Result<Self, PgError> {
        let text = |key: &str| props.get(key).map(String::as_str);
        let class =
            text("topic.naming.strategy").unwrap_or("io.debezium.schema.SchemaTopicNamingStrategy");
        let name = class.trim();
        let known = name.strip_prefix("io.debezium.schema.").unwrap_or_default();
        let (strategy, unicode, regex) = match known {
            "SchemaTopicNamingStrategy" => (Strategy::Schema, false, false),
            "SchemaUnicodeTopicNamingStrategy" => (Strategy::Schema, true, false),
            "SchemaRegexTopicNamingStrategy" => (Strategy::Schema, false, true),
            "DefaultTopicNamingStrategy" => (Strategy::Default, false, false),
            "DefaultUnicodeTopicNamingStrategy" => (Strategy::Default, true, false),
            "DefaultRegexTopicNamingStrategy" => (Strategy::Default, false, true),
            _ => return Err(PgError::Config(format!("Unable to find class {name}"))),
        };
        let refuse = |why: String| {
            PgError::Config(why).while_(format!("Call to constructor of class {name} failed"))
        };
        for key in [
            "topic.delimiter",
            "topic.transaction",
            "topic.heartbeat.prefix",
            "topic.heartbeat.name",
        ] {
            if let Some(value) = text(key).filter(|value| !is_topic_text(value))
                && !(key == "topic.heartbeat.name" && value.is_empty())
            {
                return Err(refuse(format!(
                    "Unable to validate config. The '{key}' value is invalid: {value} has invalid \
                     format (only the underscore, hyphen, dot and alphanumeric characters are allowed)"
                )));
            }
        }
        let routing = regex
            .then(|| Routing::new(props))
            .transpose()
            .map_err(refuse)?;
        let delimiter = text("topic.delimiter").unwrap_or(".").trim().to_owned();
        let heartbeat_prefix = text("topic.heartbeat.prefix").unwrap_or("__debezium-heartbeat");
        let heartbeat_topic = match text("topic.heartbeat.name").filter(|name| !name.is_empty()) {
            Some(name) => name.to_owned(),
            None => [heartbeat_prefix, prefix].join(&delimiter),
        };
        let transaction = text("topic.transaction").unwrap_or("transaction");
        Ok(Self {
            prefix: prefix.to_owned(),
            heartbeat_topic,
            transaction_topic: [prefix, transaction].join(&delimiter),
            delimiter,
            strategy,
            unicode,
            routing,
            schema_names,
            field_names,
        })
    }

    /// The topic of a table's changes.
    ///
    /// # Errors
    /// The topic matches `topic.regex`, and `topic.replacement` cannot be filled in.
    pub fn table_topic(&self, id: &TableId) -> Result<String, PgError> {
        let topic = self.original_topic(id);
        let legal = self.legal_topic(&topic);
        if legal != topic {
            tracing::warn!(
                "Topic '{topic}' name isn't a valid topic name, replacing it with '{legal}'."
            );
        }
        let routed = match &self.routing {
            Some(routing) => replaced(&routing.topic, &legal)?,
            None => None,
        };
        Ok(routed.filter(|routed| !routed.is_empty()).unwrap_or(legal))
    }

    fn original_topic(&self, id: &TableId) -> String {
        let parts: &[&str] = match self.strategy {
            Strategy::Schema => &[&self.prefix, &id.schema, &id.table],
            Strategy::Default => &[&self.prefix, &id.table],
        };
        let parts: Vec<&str> = parts
            .iter()
            .copied()
            .filter(|part| !part.trim().is_empty())
            .collect();
        parts.join(&self.delimiter)
    }

    /// The field that the strategy adds to a table's keys, and its value.
    ///
    /// # Errors
    /// The name matches `topic.key.field.regex`, and the replacement cannot be filled in.
    pub fn key_augment(&self, id: &TableId) -> Result<Option<(&str, String)>, PgError> {
        let Some(routing) = &self.routing else {
            return Ok(None);
        };
        let Some(field) = routing.key_field.as_deref() else {
            return Ok(None);
        };
        let origin = self.original_topic(id);
        let value = match &routing.key_value {
            Some(rule) => replaced(rule, &origin)?,
            None => None,
        };
        Ok(Some((field, value.unwrap_or(origin))))
    }

    fn legal_topic(&self, topic: &str) -> String {
        let mut legal = String::with_capacity(topic.len());
        for unit in topic.encode_utf16() {
            let ascii = u8::try_from(unit).ok().map(char::from);
            match ascii.filter(|&character| match character {
                '_' => !self.unicode,
                '.' | '-' => true,
                _ => character.is_ascii_alphanumeric(),
            }) {
                Some(character) => legal.push(character),
                None if self.unicode => push_unicode(&mut legal, unit),
                None => legal.push('_'),
            }
        }
        legal.truncate(TOPIC_NAME_LIMIT);
        match (legal.as_str(), self.unicode) {
            ("." | "..", false) => legal.replace('.', "_"),
            ("." | "..", true) => legal.replace('.', "_u002e"),
            _ => legal,
        }
    }

    /// The topic of heartbeats.
    #[must_use]
    pub fn heartbeat_topic(&self) -> &str {
        &self.heartbeat_topic
    }

    /// The topic of transaction metadata.
    #[must_use]
    pub fn transaction_topic(&self) -> &str {
        &self.transaction_topic
    }

    /// The topic of logical decoding messages: whatever the delimiter, with a dot.
    #[must_use]
    pub fn message_topic(&self) -> String {
        format!("{}.message", self.prefix)
    }

    /// A schema's name, adjusted as `schema.name.adjustment.mode` says.
    #[must_use]
    pub fn schema_name(&self, name: &str) -> String {
        self.schema_names.schema_name(name)
    }

    /// A field's name, adjusted as `field.name.adjustment.mode` says.
    #[must_use]
    pub fn field_name(&self, name: &str) -> String {
        self.field_names.field_name(name)
    }
}

impl Routing {
    fn new(props: &Props) -> Result<Self, String> {
        let pair = |pattern_key: &str, replacement_key: &str| {
            let text = |key: &str| props.get(key).map_or("", |text| text.trim());
            let (pattern, replacement) = (text(pattern_key), text(replacement_key));
            if pattern.is_empty() {
                return Ok(None);
            }
            if replacement.is_empty() {
                return Err(format!(
                    "Unable to validate config. {replacement_key} must be non-empty if \
                     {pattern_key} is set."
                ));
            }
            let regex = Regex::new(pattern).map_err(|error| {
                format!("Unable to validate config. The '{pattern_key}' value is invalid: {error}")
            })?;
            Ok(Some((regex, replacement.to_owned())))
        };
        let topic = pair("topic.regex", "topic.replacement")?.ok_or_else(|| {
            "Unable to validate config. The 'topic.regex' value is invalid: A value is required"
                .to_owned()
        })?;
        let unique = props
            .get("topic.key.enforce.uniqueness")
            .is_none_or(|text| text.trim().eq_ignore_ascii_case("true"));
        let name = props.get("topic.key.field.name").map(String::as_str);
        let name = name.unwrap_or("__dbz__physicalTableIdentifier");
        Ok(Self {
            topic,
            key_field: unique.then(|| name.to_owned()),
            key_value: pair("topic.key.field.regex", "topic.key.field.replacement")?,
        })
    }
}

/// Whether Kafka allows all of these characters in a topic's name.
fn is_topic_text(text: &str) -> bool {
    let legal = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
    !text.is_empty() && text.bytes().all(legal)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn naming(keys: &[(&str, &str)]) -> Naming {
        let props = keys
            .iter()
            .map(|&(key, value)| (key.to_owned(), value.to_owned()))
            .collect();
        Naming::new("P", &props, NameAdjustment::None, NameAdjustment::None).unwrap()
    }

    fn topic(keys: &[(&str, &str)], schema: &str, table: &str) -> String {
        let id = id(schema, table);
        naming(keys).table_topic(&id).expect("a topic")
    }

    fn id(schema: &str, table: &str) -> TableId {
        TableId {
            schema: schema.to_owned(),
            table: table.to_owned(),
        }
    }

    #[test]
    fn a_replacement_that_cannot_be_filled_in_is_an_error_where_it_is_needed() {
        let strategy = "io.debezium.schema.SchemaRegexTopicNamingStrategy";
        let keys = [
            ("topic.naming.strategy", strategy),
            ("topic.regex", "(.*)\\.b"),
            ("topic.replacement", "$1.${nope}"),
            ("topic.key.field.regex", "(.*)\\.a"),
            ("topic.key.field.replacement", "$3"),
        ];
        let naming = naming(&keys);
        let (a, b) = (id("s", "a"), id("s", "b"));
        assert_eq!(naming.table_topic(&a).ok().as_deref(), Some("P.s.a"));
        let error = naming.table_topic(&b).expect_err("no such group");
        assert_eq!(error.to_string(), "No group with name {nope}");
        let error = naming.key_augment(&a).expect_err("no such group");
        assert_eq!(error.to_string(), "No group 3");
        assert!(naming.key_augment(&b).is_ok());
    }

    #[test]
    fn a_topic_is_named_after_its_table_and_made_legal() {
        assert_eq!(topic(&[], "public", "t"), "P.public.t");
        assert_eq!(topic(&[], "My-Schema", "T$x"), "P.My-Schema.T_x");
        assert_eq!(topic(&[], "public", "We ird.Näme"), "P.public.We_ird.N_me");
        assert_eq!(
            topic(&[("topic.delimiter", "_")], "public", "t"),
            "P_public_t"
        );
        let strategy = (
            "topic.naming.strategy",
            "io.debezium.schema.DefaultTopicNamingStrategy",
        );
        assert_eq!(topic(&[strategy], "public", "t"), "P.t");
        let strategy = (
            "topic.naming.strategy",
            "io.debezium.schema.SchemaRegexTopicNamingStrategy",
        );
        let route = [
            strategy,
            ("topic.regex", "(.*)t_\\d+"),
            ("topic.replacement", "$1all"),
        ];
        assert_eq!(topic(&route, "public", "t_7"), "P.public.all");
        assert_eq!(topic(&route, "public", "u"), "P.public.u");
        assert_eq!(
            topic(&[], "public", &"x".repeat(300)).len(),
            TOPIC_NAME_LIMIT
        );
    }

    #[test]
    fn an_unknown_strategy_is_an_error() {
        let props = [("topic.naming.strategy".to_owned(), "nope.Nope".to_owned())]
            .into_iter()
            .collect();
        let error =
            Naming::new("P", &props, NameAdjustment::None, NameAdjustment::None).unwrap_err();
        assert_eq!(error.to_string(), "Unable to find class nope.Nope");
    }

    #[test]
    fn other_topics_have_names_of_their_own() {
        let names = naming(&[("topic.delimiter", "_")]);
        assert_eq!(names.heartbeat_topic(), "__debezium-heartbeat_P");
        assert_eq!(names.transaction_topic(), "P_transaction");
        assert_eq!(names.message_topic(), "P.message");
        assert_eq!(
            naming(&[("topic.heartbeat.name", "hb")]).heartbeat_topic(),
            "hb"
        );
    }

    #[test]
    fn names_become_legal_for_avro() {
        use NameAdjustment::{Avro, AvroUnicode};
        for (name, avro, unicode) in [
            ("a.b", "a_b", "a_u002eb"),
            ("1st-col", "_1st_col", "_u0031st_u002dcol"),
            ("Mixed Col", "Mixed_Col", "Mixed_u0020Col"),
            ("ü", "_", "_u00fc"),
            ("a_b", "a_b", "a_u005fb"),
        ] {
            assert_eq!(Avro.field_name(name), avro);
            assert_eq!(AvroUnicode.field_name(name), unicode);
        }
        assert_eq!(Avro.schema_name("my-p.public.a"), "my_p.public.a");
        assert_eq!(
            AvroUnicode.schema_name("dzc7_uni.public.a"),
            "dzc7_u005funi.public.a"
        );
    }
}
