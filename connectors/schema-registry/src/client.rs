//! The caches over a registry: what was registered, found or fetched once is not asked for again.
//! Failures are not kept, but for the negative caches that options turn on.
//!
//! Answers for `CachedSchemaRegistryClient`.

use std::time::{Duration, Instant};

use uuid::Uuid;

use crate::cache::Bounded;
use crate::config::Settings;
use crate::error::RegistryError;
use crate::registry::{RegisteredSchema, Registry, RegistrySchema, Result};

type SchemaKey = (String, RegistrySchema, bool);

/// A registry behind caches.
pub(crate) struct CachedRegistry {
    registry: Box<dyn Registry>,
    registered: Bounded<SchemaKey, RegisteredSchema>,
    found: Bounded<(SchemaKey, bool), RegisteredSchema>,
    by_id: Bounded<(i32, String), RegistrySchema>,
    by_guid: Bounded<Uuid, RegistrySchema>,
    versions: Bounded<(String, i32), RegisteredSchema>,
    latest: Bounded<String, (Instant, RegisteredSchema)>,
    /// How long a latest version holds; `None` for good.
    latest_ttl: Option<Duration>,
    missing_ids: Missing<i32>,
    missing_schemas: Missing<SchemaKey>,
    missing_versions: Missing<(String, i32)>,
}

impl std::fmt::Debug for CachedRegistry {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("CachedRegistry")
    }
}

/// What the registry said it does not have, for as long as an option says.
#[derive(Debug)]
struct Missing<K> {
    entries: Bounded<K, (Instant, RegistryError)>,
    ttl: Duration,
}

impl<K: std::hash::Hash + Eq> Missing<K> {
    fn new(size: usize, ttl: Duration) -> Self {
        Self {
            entries: Bounded::new(size),
            ttl,
        }
    }
    fn check(&mut self, key: &K) -> Result<()> {
        if self.ttl.is_zero() {
            return Ok(());
        }
        match self.entries.get(key) {
            Some((since, error)) if since.elapsed() < self.ttl => Err(error.clone()),
            Some(_) => {
                self.entries.remove(key);
                Ok(())
            }
            None => Ok(()),
        }
    }
    fn note<T>(&mut self, key: K, result: &Result<T>) {
        if let Err(error) = result
            && !self.ttl.is_zero()
            && error.is_not_found()
        {
            self.entries.insert(key, (Instant::now(), error.clone()));
        }
    }
}

impl CachedRegistry {
    pub(crate) fn new(registry: Box<dyn Registry>, settings: &Settings) -> Self {
        let size = settings.max_schemas_per_subject;
        let missing = settings.missing_cache_size;
        Self {
            registry,
            registered: Bounded::new(size),
            found: Bounded::new(size),
            by_id: Bounded::new(size),
            by_guid: Bounded::new(size),
            versions: Bounded::new(size),
            latest: Bounded::new(settings.latest_cache_size),
            latest_ttl: settings.latest_cache_ttl,
            missing_ids: Missing::new(missing, settings.missing_id_ttl),
            missing_schemas: Missing::new(missing, settings.missing_schema_ttl),
            missing_versions: Missing::new(missing, settings.missing_version_ttl),
        }
    }
}

/// What a cache has, or else what `$make` answers, kept from then on.
macro_rules! cached {
    ($cache:expr, $key:expr, $make:expr) => {{
        let key = $key;
        match $cache.get(&key) {
            Some(known) => Ok(known.clone()),
            None => {
                let made = $make?;
                $cache.insert(key, made.clone());
                Ok(made)
            }
        }
    }};
}

impl Registry for CachedRegistry {
    fn register(
        &mut self,
        subject: &str,
        schema: &RegistrySchema,
        normalize: bool,
    ) -> Result<RegisteredSchema> {
        let key = (subject.to_owned(), schema.clone(), normalize);
        cached!(
            self.registered,
            key,
            self.registry.register(subject, schema, normalize)
        )
    }

    fn lookup(
        &mut self,
        subject: &str,
        schema: &RegistrySchema,
        normalize: bool,
        deleted: bool,
    ) -> Result<RegisteredSchema> {
        let key = (subject.to_owned(), schema.clone(), normalize);
        cached!(self.found, (key.clone(), deleted), {
            self.missing_schemas.check(&key)?;
            let found = self.registry.lookup(subject, schema, normalize, deleted);
            self.missing_schemas.note(key, &found);
            found
        })
    }

    fn latest(&mut self, subject: &str) -> Result<RegisteredSchema> {
        if let Some((since, known)) = self.latest.get(subject)
            && self.latest_ttl.is_none_or(|ttl| since.elapsed() < ttl)
        {
            return Ok(known.clone());
        }
        let latest = self.registry.latest(subject)?;
        self.latest
            .insert(subject.to_owned(), (Instant::now(), latest.clone()));
        Ok(latest)
    }

    fn latest_with_metadata(
        &mut self,
        subject: &str,
        metadata: &[(String, String)],
    ) -> Result<RegisteredSchema> {
        // One converter has one set of metadata, so the subject is key enough; it cannot be mixed
        // up with a plain latest version, since a converter asks for one or the other.
        if let Some((since, known)) = self.latest.get(subject)
            && self.latest_ttl.is_none_or(|ttl| since.elapsed() < ttl)
        {
            return Ok(known.clone());
        }
        let latest = self.registry.latest_with_metadata(subject, metadata)?;
        self.latest
            .insert(subject.to_owned(), (Instant::now(), latest.clone()));
        Ok(latest)
    }

    fn version(&mut self, subject: &str, version: i32) -> Result<RegisteredSchema> {
        let key = (subject.to_owned(), version);
        cached!(self.versions, key.clone(), {
            self.missing_versions.check(&key)?;
            let found = self.registry.version(subject, version);
            self.missing_versions.note(key, &found);
            found
        })
    }

    fn by_id(&mut self, id: i32, subject: &str) -> Result<RegistrySchema> {
        cached!(self.by_id, (id, subject.to_owned()), {
            self.missing_ids.check(&id)?;
            let found = self.registry.by_id(id, subject);
            self.missing_ids.note(id, &found);
            found
        })
    }

    fn by_guid(&mut self, guid: Uuid) -> Result<RegistrySchema> {
        cached!(self.by_guid, guid, self.registry.by_guid(guid))
    }

    fn associated_subjects(
        &mut self,
        namespace: &str,
        topic: &str,
        is_key: bool,
    ) -> Result<Vec<String>> {
        self.registry.associated_subjects(namespace, topic, is_key)
    }
}
