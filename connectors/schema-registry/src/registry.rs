//! What a schema registry can be asked, as a trait, and what it answers with. Does no I/O.
//!
//! Answers for `SchemaRegistryClient`, `ParsedSchema`'s text form and `SchemaReference`.

use std::sync::Arc;

use uuid::Uuid;

use crate::error::RegistryError;

/// A result whose error is a [`RegistryError`].
pub type Result<T, E = RegistryError> = std::result::Result<T, E>;

/// The language of a schema.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum SchemaKind {
    /// Avro.
    Avro,
    /// JSON Schema.
    Json,
    /// Protocol Buffers.
    Protobuf,
}

impl SchemaKind {
    /// `schemaType` of a request.
    pub fn name(self) -> &'static str {
        match self {
            Self::Avro => "AVRO",
            Self::Json => "JSON",
            Self::Protobuf => "PROTOBUF",
        }
    }
    /// The language that `schemaType` of an answer names.
    pub fn of(name: &str) -> Option<Self> {
        [Self::Avro, Self::Json, Self::Protobuf]
            .into_iter()
            .find(|kind| kind.name() == name)
    }
}

/// Another schema that a schema names.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Reference {
    /// How the schema names it: a full name, an import path, a `$ref`.
    pub name: Arc<str>,
    /// The subject that has it.
    pub subject: Arc<str>,
    /// Its version there.
    pub version: i32,
}

/// A schema as the registry holds it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct RegistrySchema {
    /// Its language.
    pub kind: SchemaKind,
    /// Its text.
    pub text: Arc<str>,
    /// The schemas it names.
    pub references: Vec<Reference>,
    /// What has to be done to its data: the rules of a data contract that are in force.
    pub rules: Vec<Rule>,
}

/// One rule of a data contract.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Rule {
    /// Its name.
    pub name: Arc<str>,
    /// Who executes it: `CEL`, `ENCRYPT`, …
    pub executor: Arc<str>,
    /// Whether data has to pass it when it is written.
    pub on_write: bool,
    /// Whether data has to pass it when it is read.
    pub on_read: bool,
    /// Whether it makes data of the version before into data of this one.
    pub on_upgrade: bool,
    /// Whether it makes data of this version into data of the one before.
    pub on_downgrade: bool,
}

impl RegistrySchema {
    /// A schema that names no others.
    pub fn new(kind: SchemaKind, text: impl Into<Arc<str>>) -> Self {
        Self {
            kind,
            text: text.into(),
            references: Vec::new(),
            rules: Vec::new(),
        }
    }
}

/// What the registry knows of a schema. Older registries answer with the id alone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RegisteredSchema {
    /// The id, the same for equal schemas in all subjects.
    pub id: i32,
    /// The version in the subject that was asked about.
    pub version: Option<i32>,
    /// The identity that is the same in every registry.
    pub guid: Option<Uuid>,
    /// The schema, where the answer has it; a registry that normalises may answer another one.
    pub schema: Option<RegistrySchema>,
}

/// A registry. Implementations may block; one is used by one thread.
pub trait Registry: Send {
    /// Registers a schema under a subject, or finds it there.
    ///
    /// # Errors
    /// The registry refuses it, or does not answer.
    fn register(
        &mut self,
        subject: &str,
        schema: &RegistrySchema,
        normalize: bool,
    ) -> Result<RegisteredSchema>;
    /// Finds a schema under a subject, among deleted versions too if `deleted`.
    ///
    /// # Errors
    /// It is not there, or the registry does not answer.
    fn lookup(
        &mut self,
        subject: &str,
        schema: &RegistrySchema,
        normalize: bool,
        deleted: bool,
    ) -> Result<RegisteredSchema>;
    /// The latest version of a subject, its schema always filled in.
    ///
    /// # Errors
    /// There is none, or the registry does not answer.
    fn latest(&mut self, subject: &str) -> Result<RegisteredSchema>;
    /// The latest version of a subject whose metadata has these properties.
    ///
    /// # Errors
    /// There is none, or the registry does not answer.
    fn latest_with_metadata(
        &mut self,
        subject: &str,
        metadata: &[(String, String)],
    ) -> Result<RegisteredSchema>;
    /// One version of a subject, deleted or not, its schema always filled in.
    ///
    /// # Errors
    /// There is none, or the registry does not answer.
    fn version(&mut self, subject: &str, version: i32) -> Result<RegisteredSchema>;
    /// The schema of an id; `subject` helps a registry that has several contexts.
    ///
    /// # Errors
    /// There is none, or the registry does not answer.
    fn by_id(&mut self, id: i32, subject: &str) -> Result<RegistrySchema>;
    /// The schema of a GUID.
    ///
    /// # Errors
    /// There is none, or the registry does not answer.
    fn by_guid(&mut self, guid: Uuid) -> Result<RegistrySchema>;
    /// The subjects that are associated with a topic's keys or values.
    ///
    /// # Errors
    /// The registry does not answer, or knows no associations (404).
    fn associated_subjects(
        &mut self,
        namespace: &str,
        topic: &str,
        is_key: bool,
    ) -> Result<Vec<String>>;
}
