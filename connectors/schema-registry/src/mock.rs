//! A registry in this process: what `mock://scope` addresses, and what tests use. Registries of the
//! same scope share their schemas; ids are dense. Checks neither texts nor compatibility.
//!
//! Answers for `MockSchemaRegistry` and `MockSchemaRegistryClient`.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use uuid::Uuid;

use crate::error::RegistryError;
use crate::registry::{RegisteredSchema, Registry, RegistrySchema, Result};

#[derive(Debug, Default)]
struct State {
    /// The schema of id n stands at n - 1 - forgotten.
    schemas: Vec<RegistrySchema>,
    /// How many schemas stood before these.
    forgotten: usize,
    /// Ids by version; version n stands at n - 1.
    subjects: HashMap<String, Vec<i32>>,
    /// How often each kind of request was made.
    requests: HashMap<&'static str, usize>,
    associations: HashMap<(String, bool), Vec<String>>,
}

/// A registry in memory. Clones share their content.
#[derive(Clone, Debug, Default)]
pub struct MockRegistry(Arc<Mutex<State>>);

impl MockRegistry {
    /// An empty registry of its own.
    pub fn new() -> Self {
        Self::default()
    }
    /// The registry of a scope, which all converters of the process with that scope share.
    pub fn of_scope(scope: &str) -> Self {
        static SCOPES: OnceLock<Mutex<HashMap<String, MockRegistry>>> = OnceLock::new();
        let scopes = SCOPES.get_or_init(Mutex::default);
        let mut scopes = scopes.lock().unwrap_or_else(PoisonError::into_inner);
        scopes.entry(scope.to_owned()).or_default().clone()
    }
    /// How often a request of this kind was made: `register`, `lookup`, `latest`, `by_id`, ….
    pub fn requests(&self, kind: &str) -> usize {
        self.state().requests.get(kind).copied().unwrap_or(0)
    }
    /// Associates subjects with a topic.
    pub fn associate(&self, topic: &str, is_key: bool, subjects: Vec<String>) {
        self.state()
            .associations
            .insert((topic.to_owned(), is_key), subjects);
    }

    /// Drops all schemas and subjects; their ids are not given again. For tests that are about what
    /// others keep.
    pub fn forget(&self) {
        let mut state = self.state();
        state.forgotten += state.schemas.len();
        state.schemas.clear();
        state.subjects.clear();
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
    fn count(&self, kind: &'static str) -> MutexGuard<'_, State> {
        let mut state = self.state();
        *state.requests.entry(kind).or_default() += 1;
        state
    }
}

fn not_found(code: i32, message: String) -> RegistryError {
    RegistryError::Rest {
        status: 404,
        code,
        message,
    }
}

impl State {
    fn find(&self, subject: &str, schema: &RegistrySchema) -> Option<RegisteredSchema> {
        let ids = self.subjects.get(subject)?;
        let version = ids.iter().position(|id| self.schema(*id) == Some(schema))?;
        Some(Self::answer(ids[version], version))
    }
    fn schema(&self, id: i32) -> Option<&RegistrySchema> {
        let position = usize::try_from(id).ok()?.checked_sub(1 + self.forgotten)?;
        self.schemas.get(position)
    }
    fn answer(id: i32, position: usize) -> RegisteredSchema {
        RegisteredSchema {
            id,
            version: i32::try_from(position + 1).ok(),
            guid: Some(Uuid::from_u128(id.unsigned_abs().into())),
            schema: None,
        }
    }
    fn at(&self, subject: &str, position: Option<usize>) -> Result<RegisteredSchema> {
        let ids = self
            .subjects
            .get(subject)
            .ok_or_else(|| not_found(40401, format!("Subject '{subject}' not found.")))?;
        let position = position.unwrap_or_else(|| ids.len().saturating_sub(1));
        let id = *ids
            .get(position)
            .ok_or_else(|| not_found(40402, format!("Version {} not found.", position + 1)))?;
        Ok(RegisteredSchema {
            schema: self.schema(id).cloned(),
            ..Self::answer(id, position)
        })
    }
}

impl Registry for MockRegistry {
    fn register(
        &mut self,
        subject: &str,
        schema: &RegistrySchema,
        _normalize: bool,
    ) -> Result<RegisteredSchema> {
        let mut state = self.count("register");
        if let Some(known) = state.find(subject, schema) {
            return Ok(known);
        }
        let position = match state.schemas.iter().position(|known| known == schema) {
            Some(position) => position,
            None => {
                state.schemas.push(schema.clone());
                state.schemas.len() - 1
            }
        };
        let id = i32::try_from(state.forgotten + position + 1)
            .map_err(|error| RegistryError::Serialization(error.to_string()))?;
        let versions = state.subjects.entry(subject.to_owned()).or_default();
        versions.push(id);
        Ok(State::answer(id, versions.len() - 1))
    }

    fn lookup(
        &mut self,
        subject: &str,
        schema: &RegistrySchema,
        _normalize: bool,
        _deleted: bool,
    ) -> Result<RegisteredSchema> {
        let state = self.count("lookup");
        if !state.subjects.contains_key(subject) {
            return Err(not_found(40401, format!("Subject '{subject}' not found.")));
        }
        state
            .find(subject, schema)
            .ok_or_else(|| not_found(40403, "Schema not found".to_owned()))
    }

    fn latest(&mut self, subject: &str) -> Result<RegisteredSchema> {
        self.count("latest").at(subject, None)
    }

    fn latest_with_metadata(
        &mut self,
        subject: &str,
        _metadata: &[(String, String)],
    ) -> Result<RegisteredSchema> {
        self.count("latest_with_metadata").at(subject, None)
    }

    fn version(&mut self, subject: &str, version: i32) -> Result<RegisteredSchema> {
        let position = usize::try_from(version).ok().and_then(|n| n.checked_sub(1));
        self.count("version").at(subject, position)
    }

    fn by_id(&mut self, id: i32, _subject: &str) -> Result<RegistrySchema> {
        let state = self.count("by_id");
        state
            .schema(id)
            .cloned()
            .ok_or_else(|| not_found(40403, format!("Schema {id} not found")))
    }

    fn by_guid(&mut self, guid: Uuid) -> Result<RegistrySchema> {
        let state = self.count("by_guid");
        i32::try_from(guid.as_u128())
            .ok()
            .and_then(|id| state.schema(id).cloned())
            .ok_or_else(|| not_found(40403, format!("Schema {guid} not found")))
    }

    fn associated_subjects(
        &mut self,
        _namespace: &str,
        topic: &str,
        is_key: bool,
    ) -> Result<Vec<String>> {
        let state = self.count("associated_subjects");
        let key = (topic.to_owned(), is_key);
        Ok(state.associations.get(&key).cloned().unwrap_or_default())
    }
}

/// Has a converter write and read ever new schemas, and checks that the process stops growing once
/// the converter's caches are full. `DISTINCT_SCHEMAS` says how many (3,000); with a million it says
/// most alone in its process.
///
/// # Panics
/// A round fails or loses the 7 that it is to write, or the process grows.
pub fn check_bounded(
    registry: &MockRegistry,
    mut round: impl FnMut(usize) -> connect_api::Result<connect_api::data::SchemaAndValue>,
) {
    /// Beyond what the caches hold by then; other tests of the process have a part in it.
    const GROWTH_MIB: usize = 64;
    let rounds = std::env::var("DISTINCT_SCHEMAS")
        .ok()
        .and_then(|text| text.parse().ok())
        .unwrap_or(3_000);
    let mut full = None;
    for number in 0..rounds {
        let back = round(number);
        let seven = connect_api::data::Value::Int64(7);
        assert!(
            back.as_ref().is_ok_and(|back| {
                let inside = back.value.as_struct();
                inside.is_some_and(|inside| inside.values == [seven])
            }),
            "round {number}: {back:?}"
        );
        if number % 100 == 99 {
            registry.forget();
        }
        // The default caches hold 1,000.
        if number == rounds.min(20_000) / 2 {
            full = resident_mib();
        }
    }
    if let (Some(full), Some(end)) = (full, resident_mib()) {
        assert!(
            end < full + GROWTH_MIB,
            "{full} MiB became {end} MiB in {rounds} schemas"
        );
    }
}

/// What of this process is in memory, where the system tells.
fn resident_mib() -> Option<usize> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmRSS:"))?;
    line.trim()
        .strip_suffix("kB")?
        .trim()
        .parse()
        .ok()
        .map(|kib: usize| kib / 1024)
}
