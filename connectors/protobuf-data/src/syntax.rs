//! A `.proto` file's declarations, as far as data depends on them.

/// The rules that a file follows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Syntax {
    /// The language without a `syntax` line, too.
    #[default]
    Proto2,
    Proto3,
    /// `edition = "…"`.
    Edition,
}

/// A file.
#[derive(Clone, Debug, Default)]
pub(crate) struct File {
    pub(crate) syntax: Syntax,
    pub(crate) package: String,
    pub(crate) imports: Vec<String>,
    pub(crate) messages: Vec<Message>,
    pub(crate) enums: Vec<Enum>,
    pub(crate) features: Features,
}

/// A message.
#[derive(Clone, Debug, Default)]
pub(crate) struct Message {
    pub(crate) name: String,
    pub(crate) fields: Vec<Field>,
    /// Names; a field says which one it belongs to.
    pub(crate) oneofs: Vec<String>,
    pub(crate) messages: Vec<Message>,
    pub(crate) enums: Vec<Enum>,
    /// Made for a `map` field.
    pub(crate) map_entry: bool,
    pub(crate) features: Features,
}

/// How often a field comes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Label {
    #[default]
    None,
    Optional,
    Required,
    Repeated,
}

/// A field.
#[derive(Clone, Debug, Default)]
pub(crate) struct Field {
    pub(crate) label: Label,
    /// As written.
    pub(crate) type_name: String,
    pub(crate) name: String,
    pub(crate) number: u32,
    pub(crate) oneof: Option<usize>,
    /// `params` of `(confluent.field_meta)`.
    pub(crate) params: Vec<(String, String)>,
    pub(crate) group: bool,
    pub(crate) features: Features,
}

/// What editions let a file, message or field choose.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Features {
    /// `field_presence` is `IMPLICIT`, or is not.
    pub(crate) implicit_presence: Option<bool>,
    /// `message_encoding` is `DELIMITED`, or is not.
    pub(crate) delimited: Option<bool>,
    /// `field_presence` is `LEGACY_REQUIRED`.
    pub(crate) required: Option<bool>,
}

impl Features {
    /// These, with those of the surrounding declaration where they say nothing.
    pub(crate) fn inside(self, outer: Self) -> Self {
        Self {
            implicit_presence: self.implicit_presence.or(outer.implicit_presence),
            delimited: self.delimited.or(outer.delimited),
            required: self.required,
        }
    }
}

/// An enum.
#[derive(Clone, Debug, Default)]
pub(crate) struct Enum {
    pub(crate) name: String,
    pub(crate) values: Vec<(String, i32)>,
}
