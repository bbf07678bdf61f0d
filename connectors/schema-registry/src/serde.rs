//! What a converter calls: under which schema to write data, with which schema a message was
//! written, and how both stand in the message. Answers for the steps that
//! `AbstractKafka{Avro,JsonSchema,Protobuf}{Serializer,Deserializer}` have in common.
//!
//! A converter keeps what it made of an answer (a plan, a descriptor) under its own schemas, so that
//! nothing here is in the way of a record whose schema was seen before.

use std::sync::Arc;
use std::time::Instant;

use connect_api::config::Config;
use connect_api::context::PluginContext;
use connect_api::data::Headers;
use connect_api::{Bytes, Error, Result};
use uuid::Uuid;

use crate::client::CachedRegistry;
use crate::config::{IdPlace, Settings};
use crate::converter::Dialect;
use crate::error::{Direction, Place, RegistryError};
use crate::mock::MockRegistry;
use crate::registry::{Registry, RegistrySchema, Rule, SchemaKind};
use crate::rest::HttpRegistry;
use crate::subject::Subjects;
use crate::wire::{self, Message, SchemaId};

/// The schema that data is written with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WriteSchema {
    /// Its id.
    pub id: i32,
    /// Its GUID, where the registry knows such.
    pub guid: Option<Uuid>,
    /// Its subject.
    pub subject: Arc<str>,
    /// The schema to write with, where it is not the one that was given: the latest version, the one
    /// of a given id, or what the registry answered upon registration.
    pub replaced: Option<RegistrySchema>,
    /// Until when it counts.
    pub lasts: Lasts,
}

/// The schema that a message was written with.
#[derive(Clone, Debug)]
pub struct ReadSchema {
    /// The schema.
    pub schema: Arc<RegistrySchema>,
    /// Its version under the topic's subject.
    pub version: Option<i32>,
    /// The schema to read the data as, and its version, where it is another one.
    pub latest: Option<(Arc<RegistrySchema>, Option<i32>)>,
    /// Until when they count.
    pub lasts: Lasts,
}

/// How long a latest version may be taken for the latest.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Lasts(Option<Instant>);

impl Lasts {
    /// Whether the registry has to be asked again.
    pub fn is_over(self) -> bool {
        self.0.is_some_and(|end| Instant::now() >= end)
    }
}

/// A converter's side of the registry. One per converter, used by one thread.
#[derive(Debug)]
pub struct Serde {
    settings: Settings,
    registry: CachedRegistry,
    subjects: Subjects,
    kind: SchemaKind,
    dialect: Dialect,
}

impl Serde {
    /// Connects nothing yet: the first record asks the first question.
    ///
    /// # Errors
    /// Kind Config: the options of the connection make no sense.
    pub fn new(
        kind: SchemaKind,
        config: &Config,
        is_key: bool,
        dialect: Dialect,
        context: &PluginContext,
    ) -> Result<Self> {
        let settings = Settings::new(config, is_key)?;
        let scope = settings
            .urls
            .iter()
            .find_map(|url| url.strip_prefix("mock://"));
        let registry: Box<dyn Registry> = match scope {
            Some(scope) => Box::new(MockRegistry::of_scope(scope)),
            None => Box::new(HttpRegistry::new(&settings, context)?),
        };
        Ok(Self {
            dialect,
            ..Self::over(kind, settings, registry)
        })
    }

    /// Confluent's over a given registry.
    pub fn over(kind: SchemaKind, settings: Settings, registry: Box<dyn Registry>) -> Self {
        Self {
            registry: CachedRegistry::new(registry, &settings),
            subjects: Subjects::new(
                settings.strategy.clone(),
                settings.strategy_cache_size,
                settings.is_key,
            ),
            settings,
            kind,
            dialect: Dialect::Confluent,
        }
    }

    /// Whose converter this serves.
    pub fn dialect(&self) -> Dialect {
        self.dialect
    }

    /// The options.
    pub fn settings(&self) -> &Settings {
        &self.settings
    }
    /// The registry, for what only one language asks: references and their versions.
    pub fn registry(&mut self) -> &mut dyn Registry {
        &mut self.registry
    }
    /// For errors of the writing converter.
    pub fn writing<'a>(&self, topic: &'a str) -> Place<'a> {
        Place {
            kind: self.kind,
            direction: Direction::Write,
            topic,
        }
    }
    /// For errors of the reading converter.
    pub fn reading<'a>(&self, topic: &'a str) -> Place<'a> {
        Place {
            kind: self.kind,
            direction: Direction::Read,
            topic,
        }
    }
    /// The name of the schema language in the serializer's own texts.
    fn noun(&self) -> &'static str {
        match self.kind {
            SchemaKind::Avro => "Avro",
            SchemaKind::Json => "JSON",
            SchemaKind::Protobuf => "Protobuf",
        }
    }

    /// The subject of a topic's data; `record` is the schema's name if it is a record's.
    ///
    /// # Errors
    /// The strategy has none for it.
    pub fn subject(
        &mut self,
        topic: &str,
        record: Option<&str>,
    ) -> std::result::Result<String, RegistryError> {
        self.subjects.subject(&mut self.registry, topic, record)
    }

    /// Under which schema to write data of `schema`: registers it or finds it, as the options say.
    /// `compatible` tells whether a reader with the given schema can read what `schema` writes.
    ///
    /// # Errors
    /// The registry's, as the converter throws them.
    pub fn write_schema(
        &mut self,
        topic: &str,
        schema: &RegistrySchema,
        record: Option<&str>,
        compatible: &dyn Fn(&RegistrySchema) -> bool,
    ) -> Result<WriteSchema> {
        let place = self.writing(topic);
        let noun = self.noun();
        let subject = match self.subject(topic, record) {
            Ok(subject) => subject,
            Err(error) => return Err(place.registry("", &error)),
        };
        let settings = &self.settings;
        let incompatible = |strict: bool, found: &RegistrySchema, option: &str| {
            if strict && !compatible(found) {
                return Err(RegistryError::io(format!(
                    "Incompatible schema of type '{}'. Set {option}=false to disable this check. \
                     See log file for more details.",
                    self.kind.name()
                )));
            }
            Ok(())
        };
        let (step, outcome) = if settings.auto_register {
            let step = format!("Error registering {noun} schema");
            let outcome = self.registry.register(&subject, schema, settings.normalize);
            (step, outcome)
        } else if let Some(guid) = settings.use_schema_guid {
            let outcome = self.registry.by_guid(guid).and_then(|found| {
                incompatible(settings.id_strict, &found, "id.compatibility.strict")?;
                let mut known = self.registry.lookup(&subject, &found, false, false)?;
                known.schema = Some(found);
                Ok(known)
            });
            (
                format!("Error retrieving schema GUID {noun} schema"),
                outcome,
            )
        } else if let Some(id) = settings.use_schema_id {
            let outcome = self.registry.by_id(id, &subject).and_then(|found| {
                incompatible(settings.id_strict, &found, "id.compatibility.strict")?;
                Ok(crate::RegisteredSchema {
                    id,
                    version: None,
                    guid: None,
                    schema: Some(found),
                })
            });
            (format!("Error retrieving schema ID {noun} schema"), outcome)
        } else if let Some(metadata) = &settings.metadata {
            let outcome = self.registry.latest_with_metadata(&subject, metadata);
            let step = format!("Error retrieving latest with metadata {noun} schema");
            (step, outcome)
        } else if settings.use_latest {
            let outcome = self.registry.latest(&subject).and_then(|found| {
                if let Some(latest) = &found.schema {
                    let strict = settings.latest_strict;
                    incompatible(strict, latest, "latest.compatibility.strict")?;
                }
                Ok(found)
            });
            let step = format!("Error retrieving latest version of {noun} schema");
            (step, outcome)
        } else {
            let outcome = self
                .registry
                .lookup(&subject, schema, settings.normalize, false);
            (format!("Error retrieving {noun} schema"), outcome)
        };
        let found =
            outcome.map_err(|error| place.registry(&format!("{step}{}", schema.text), &error))?;
        let rules = found.schema.iter().flat_map(|schema| &schema.rules);
        refuse_rules(place, rules.filter(|rule| rule.on_write))?;
        Ok(WriteSchema {
            id: found.id,
            guid: found.guid,
            subject: subject.into(),
            replaced: found.schema.filter(|found| found != schema),
            lasts: self.lasts(!self.settings.auto_register),
        })
    }

    /// How long an answer counts that has the latest version in it if `with_latest` and the options
    /// ask for that.
    fn lasts(&self, with_latest: bool) -> Lasts {
        let settings = &self.settings;
        let asked = settings.use_latest || settings.metadata.is_some();
        let ttl = settings.latest_cache_ttl.filter(|_| with_latest && asked);
        Lasts(ttl.and_then(|ttl| Instant::now().checked_add(ttl)))
    }

    /// Puts the schema's id where it belongs: appends the prefix to `out` or sets the header.
    /// `indexes` are a Protobuf message's, encoded, or empty.
    ///
    /// # Errors
    /// Kind Data: the header needs a GUID and the registry gave none.
    pub fn frame(
        &self,
        schema: &WriteSchema,
        indexes: &[u8],
        headers: &mut Headers,
        out: &mut Vec<u8>,
    ) -> Result<()> {
        match self.settings.id_place {
            IdPlace::Prefix => {
                wire::write_prefix(schema.id, out);
                out.extend_from_slice(indexes);
            }
            IdPlace::Header => {
                let guid = schema.guid.ok_or_else(|| {
                    Error::data(format!(
                        "the registry gave no GUID for schema {} of {}: HeaderSchemaIdSerializer \
                         needs one of version 8 or later",
                        schema.id, schema.subject
                    ))
                })?;
                wire::write_header(guid, indexes, self.settings.is_key, headers);
            }
        }
        Ok(())
    }

    /// Takes a message apart.
    ///
    /// # Errors
    /// Kind Data: it carries no schema id.
    pub fn unframe(&self, topic: &str, headers: &Headers, bytes: &Bytes) -> Result<Message> {
        let settings = &self.settings;
        wire::read(bytes, headers, settings.is_key, settings.id_from_header).map_err(|why| {
            self.reading(topic).data(
                crate::error::serialization("Error deserializing schema ID")
                    .with_source(crate::error::serialization(why)),
            )
        })
    }

    /// The schema of a message's id, and its version under the topic's subject. `record_of` tells
    /// the name of a schema's record, if it is one.
    ///
    /// # Errors
    /// The registry's, as the converter throws them.
    pub fn read_schema(
        &mut self,
        topic: &str,
        id: SchemaId,
        record_of: &dyn Fn(&RegistrySchema) -> Option<String>,
    ) -> Result<ReadSchema> {
        let place = self.reading(topic);
        let side = if self.settings.is_key { "key" } else { "value" };
        let noun = self.noun();
        let step = format!("Error retrieving {noun} {side} schema for id {id}");
        let failed = |error: &RegistryError| place.registry(&step, error);

        // A name that depends on the record is known only once the schema is.
        let early = if self.subjects.needs_record() {
            String::new()
        } else {
            self.subject(topic, None).map_err(|error| failed(&error))?
        };
        let fetched = match id {
            SchemaId::Id(id) => self.registry.by_id(id, &early),
            SchemaId::Guid(guid) => self.registry.by_guid(guid),
        };
        let schema = fetched.map_err(|error| failed(&error))?;
        if schema.kind != self.kind {
            return Err(
                place.data(
                    crate::error::serialization(step).with_source(Error::data(format!(
                        "schema {id} is one of {}, not of {}",
                        schema.kind.name(),
                        self.kind.name()
                    ))),
                ),
            );
        }
        refuse_rules(place, schema.rules.iter().filter(|rule| rule.on_read))?;
        let subject = if early.is_empty() {
            let record = record_of(&schema);
            self.subject(topic, record.as_deref())
                .map_err(|error| failed(&error))?
        } else {
            early
        };
        let mut read = ReadSchema {
            schema: Arc::new(schema),
            version: None,
            latest: None,
            lasts: self.lasts(true),
        };
        if self.dialect == Dialect::Apicurio {
            // It knows nothing of versions, and reads data as they were written.
            return Ok(read);
        }
        let known = self.registry.lookup(&subject, &read.schema, false, true);
        let known = known.map_err(|error| {
            let step = format!("Error retrieving {noun} {side} schema version for id {id}");
            place.registry(&step, &error)
        })?;
        read.version = known.version;
        let latest = self.latest_to_read(&subject).map_err(|error| {
            let step = format!("Error retrieving latest version of {noun} schema");
            place.registry(&step, &error)
        })?;
        if let Some(found) = latest
            && let Some(latest) = found.schema
        {
            refuse_rules(place, latest.rules.iter().filter(|rule| rule.on_read))?;
            if let (Some(from), Some(to)) = (known.version, found.version) {
                self.refuse_migrations(place, &subject, from, to)?;
            }
            read.latest = (latest != *read.schema).then(|| (Arc::new(latest), found.version));
        }
        Ok(read)
    }

    /// The version that data is to be read as, where the options name one.
    fn latest_to_read(
        &mut self,
        subject: &str,
    ) -> std::result::Result<Option<crate::RegisteredSchema>, RegistryError> {
        if let Some(metadata) = &self.settings.metadata {
            return self
                .registry
                .latest_with_metadata(subject, metadata)
                .map(Some);
        }
        if self.settings.use_latest {
            return self.registry.latest(subject).map(Some);
        }
        Ok(None)
    }

    /// Refuses what the versions on the way from one to the other would have to be migrated by.
    fn refuse_migrations(
        &mut self,
        place: Place<'_>,
        subject: &str,
        from: i32,
        to: i32,
    ) -> Result<()> {
        for version in from.min(to) + 1..=from.max(to) {
            let found = match self.registry.version(subject, version) {
                Ok(found) => found,
                Err(error) if error.is_not_found() => continue,
                Err(error) => {
                    return Err(place.registry("Error retrieving schemas between versions", &error));
                }
            };
            let rules = found.schema.iter().flat_map(|schema| &schema.rules);
            let is_due = |rule: &&Rule| match from < to {
                true => rule.on_upgrade,
                false => rule.on_downgrade,
            };
            refuse_rules(place, rules.filter(is_due))?;
        }
        Ok(())
    }

    /// The schemas that a schema refers to, those they refer to before them; each once.
    ///
    /// # Errors
    /// The registry does not have one.
    pub fn resolve(
        &mut self,
        schema: &RegistrySchema,
    ) -> std::result::Result<Vec<(crate::Reference, RegistrySchema)>, RegistryError> {
        let mut resolved = Vec::new();
        self.resolve_into(schema, &mut resolved, 0)?;
        Ok(resolved)
    }

    fn resolve_into(
        &mut self,
        schema: &RegistrySchema,
        resolved: &mut Vec<(crate::Reference, RegistrySchema)>,
        depth: usize,
    ) -> std::result::Result<(), RegistryError> {
        /// Deeper nesting of references is a circle.
        const MAX_DEPTH: usize = 64;
        if depth > MAX_DEPTH {
            return Err(RegistryError::Serialization(
                "the schema's references go round in a circle".to_owned(),
            ));
        }
        for reference in &schema.references {
            if resolved
                .iter()
                .any(|(known, _)| known.name == reference.name)
            {
                continue;
            }
            let found = self
                .registry
                .version(&reference.subject, reference.version)?;
            let found = found.schema.ok_or_else(|| {
                RegistryError::Serialization(format!(
                    "the registry answered version {} of {} without its schema",
                    reference.version, reference.subject
                ))
            })?;
            self.resolve_into(&found, resolved, depth + 1)?;
            resolved.push((reference.clone(), found));
        }
        Ok(())
    }
}

/// Data whose contract has rules does not pass without them: the one who executes them is missing
/// here, and what they encrypt or check would go through in clear and unseen.
fn refuse_rules<'a>(place: Place<'_>, mut rules: impl Iterator<Item = &'a Rule>) -> Result<()> {
    let Some(rule) = rules.next() else {
        return Ok(());
    };
    let missing = Error::data(format!(
        "Could not find rule executor of type {}",
        rule.executor
    ));
    let failed = crate::error::serialization(format!("Rule failed: {}", rule.name));
    Err(place.data(failed.with_source(missing)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::definition;
    use connect_api::ErrorKind;

    fn serde(entries: &[(&str, &str)], registry: &MockRegistry) -> Serde {
        let mut props = connect_api::Props::new();
        props.insert("schema.registry.url".to_owned(), "http://unused".to_owned());
        for &(key, value) in entries {
            props.insert(key.to_owned(), value.to_owned());
        }
        let config = definition().parse(&props).expect("valid");
        let settings = Settings::new(&config, false).expect("valid");
        Serde::over(SchemaKind::Avro, settings, Box::new(registry.clone()))
    }
    fn avro(text: &str) -> RegistrySchema {
        RegistrySchema::new(SchemaKind::Avro, text)
    }

    #[test]
    fn a_schema_is_registered_once() {
        let registry = MockRegistry::new();
        let mut serde = serde(&[], &registry);
        for _ in 0..3 {
            let written = serde
                .write_schema("t", &avro("\"int\""), None, &|_| true)
                .expect("registered");
            assert_eq!((written.id, &*written.subject), (1, "t-value"));
            assert_eq!(written.replaced, None);
        }
        assert_eq!(registry.requests("register"), 1);
    }

    #[test]
    fn without_registration_the_schema_must_be_there() {
        let registry = MockRegistry::new();
        let mut serde = serde(&[("auto.register.schemas", "false")], &registry);
        let error = serde
            .write_schema("t", &avro("\"int\""), None, &|_| true)
            .expect_err("unknown");
        assert_eq!(error.kind(), ErrorKind::Data);
        assert!(error.trace().contains(
            "Caused by: org.apache.kafka.common.errors.SerializationException: Error retrieving Avro schema\"int\"\n"
        ));
        assert!(
            error
                .trace()
                .contains("Subject 't-value' not found.; error code: 40401")
        );
    }

    #[test]
    fn the_latest_version_is_written_with_unless_it_is_incompatible() {
        let registry = MockRegistry::new();
        let latest = avro("\"long\"");
        registry
            .clone()
            .register("t-value", &latest, false)
            .expect("registered");
        let options = [
            ("auto.register.schemas", "false"),
            ("use.latest.version", "true"),
        ];
        let mut strict = serde(&options, &registry);
        let written = strict
            .write_schema("t", &avro("\"int\""), None, &|_| true)
            .expect("compatible");
        assert_eq!(written.replaced, Some(latest));
        let error = strict
            .write_schema("t", &avro("\"int\""), None, &|_| false)
            .expect_err("incompatible");
        assert!(
            error
                .message()
                .contains("Incompatible schema of type 'AVRO'")
        );
    }

    #[test]
    fn a_read_schema_has_the_subjects_version() {
        let registry = MockRegistry::new();
        let mut other = registry.clone();
        other
            .register("t-value", &avro("\"int\""), false)
            .expect("registered");
        other
            .register("t-value", &avro("\"long\""), false)
            .expect("registered");
        let mut serde = serde(&[], &registry);
        for _ in 0..2 {
            let read = serde
                .read_schema("t", SchemaId::Id(2), &|_| None)
                .expect("known");
            assert_eq!((&*read.schema.text, read.version), ("\"long\"", Some(2)));
            assert!(read.latest.is_none());
        }
        assert_eq!(registry.requests("by_id"), 1);
        assert_eq!(registry.requests("lookup"), 1);
        serde
            .read_schema("other", SchemaId::Id(2), &|_| None)
            .expect_err("the id resolves, the subject does not");
        serde
            .read_schema("t", SchemaId::Id(9), &|_| None)
            .expect_err("unknown");
    }

    #[test]
    fn data_is_read_as_the_latest_version_where_that_is_asked_for() {
        let mut registry = MockRegistry::new();
        for text in ["\"int\"", "\"long\""] {
            registry
                .register("t-value", &avro(text), false)
                .expect("registered");
        }
        let mut serde = serde(
            &[
                ("use.latest.version", "true"),
                ("latest.cache.ttl.sec", "0"),
            ],
            &registry,
        );
        let mut read = |id| {
            let read = serde.read_schema("t", SchemaId::Id(id), &|_| None);
            read.expect("known")
        };
        let old = read(1);
        let (latest, version) = old.latest.expect("another one");
        assert_eq!((&*latest.text, version), ("\"long\"", Some(2)));
        assert_eq!(old.version, Some(1));
        assert!(read(2).latest.is_none(), "it is the latest");
        assert!(old.lasts.is_over());
        registry
            .register("t-value", &avro("\"double\""), false)
            .expect("registered");
        let (latest, _) = read(2).latest.expect("a newer one");
        assert_eq!(&*latest.text, "\"double\"");
    }

    #[test]
    fn data_on_whose_way_to_the_latest_version_is_a_migration_is_refused() {
        let mut registry = MockRegistry::new();
        let mut second = avro("\"long\"");
        second.rules.push(Rule {
            name: "split".into(),
            executor: "JSONATA".into(),
            on_write: false,
            on_read: false,
            on_upgrade: true,
            on_downgrade: false,
        });
        for schema in [avro("\"int\""), second, avro("\"double\"")] {
            registry
                .register("t-value", &schema, false)
                .expect("registered");
        }
        let mut latest = serde(&[("use.latest.version", "true")], &registry);
        let error = latest
            .read_schema("t", SchemaId::Id(1), &|_| None)
            .expect_err("from the first to the third, over the second");
        assert!(error.trace().contains("Rule failed: split"), "{error}");
        latest
            .read_schema("t", SchemaId::Id(2), &|_| None)
            .expect("written as the second");
        serde(&[], &registry)
            .read_schema("t", SchemaId::Id(1), &|_| None)
            .expect("read as it was written");
    }

    #[test]
    fn a_schema_of_another_language_is_refused() {
        let registry = MockRegistry::new();
        registry
            .clone()
            .register(
                "t-value",
                &RegistrySchema::new(SchemaKind::Json, "{}"),
                false,
            )
            .expect("registered");
        let error = serde(&[], &registry)
            .read_schema("t", SchemaId::Id(1), &|_| None)
            .expect_err("JSON");
        assert_eq!(error.kind(), ErrorKind::Data);
    }
}
