//! The options of the unwrapping.
//!
//! Answers for `io.debezium.transforms.ExtractNewRecordStateConfigDefinition`.

use connect_api::config::{ConfigDef, ConfigKey, Importance, Type, Width, check_text};

pub(super) const HANDLING: &str = "delete.tombstone.handling.mode";
pub(super) const ADD_FIELDS: &str = "add.fields";
pub(super) const ADD_FIELDS_PREFIX: &str = "add.fields.prefix";
pub(super) const ADD_HEADERS: &str = "add.headers";
pub(super) const ADD_HEADERS_PREFIX: &str = "add.headers.prefix";
pub(super) const ROUTE_BY_FIELD: &str = "route.by.field";
pub(super) const DROP_FIELDS_HEADER: &str = "drop.fields.header.name";
pub(super) const DROP_FIELDS_FROM_KEY: &str = "drop.fields.from.key";
pub(super) const DROP_FIELDS_KEEP_COMPATIBLE: &str = "drop.fields.keep.schema.compatible";

pub(super) fn definition() -> ConfigDef {
    let key = |name: &str, kind, width, display: &str, doc: &str| {
        let mut key = ConfigKey::new(name, kind, Importance::Low)
            .display(width, display)
            .doc(doc);
        key.order_in_group = 1;
        key
    };
    let mut handling = key(
        HANDLING,
        Type::String,
        Width::Medium,
        "Handle delete and tombstone records",
        "What becomes of a delete event and of the tombstone that follows it: drop leaves both \
         out; tombstone (the default) makes the delete event a record without value and leaves \
         the tombstone out; rewrite gives the row's old state with the field __deleted and leaves \
         the tombstone out; rewrite-with-tombstone does the same and keeps the tombstone; \
         delete-to-tombstone makes the delete event a tombstone, without schema too.",
    )
    .default("tombstone")
    .validator(check_text(|text| match DeleteHandling::parse(text) {
        Some(_) => Ok(()),
        None => Err(format!(
            "Value must be one of {}",
            DeleteHandling::NAMES.join(", ")
        )),
    }));
    handling.importance = Importance::Medium;
    ConfigDef::new()
        .define(handling)
        .define(
            key(
                ROUTE_BY_FIELD,
                Type::String,
                Width::Long,
                "Route by field name",
                "The column whose value becomes the record's topic.",
            )
            .default(""),
        )
        .define(
            key(
                ADD_FIELDS_PREFIX,
                Type::String,
                Width::Short,
                "Field prefix to be added to each field.",
                "What the names of added fields begin with.",
            )
            .default("__"),
        )
        .define(
            key(
                ADD_FIELDS,
                Type::List,
                Width::Long,
                "Adds the specified field(s) to the message if they exist.",
                "Parts of the envelope that are added to the row, such as op, source.ts_ms or \
                 source.lsn:position; the latter with a name of its own.",
            )
            .default(""),
        )
        .define(
            key(
                ADD_HEADERS_PREFIX,
                Type::String,
                Width::Short,
                "Header prefix to be added to each header.",
                "What the names of added headers begin with.",
            )
            .default("__"),
        )
        .define(
            key(
                ADD_HEADERS,
                Type::List,
                Width::Long,
                "Adds the specified fields to the header if they exist.",
                "Parts of the envelope that are added as headers, written as for add.fields.",
            )
            .default(""),
        )
        .define(
            key(
                DROP_FIELDS_HEADER,
                Type::String,
                Width::Short,
                "Specifies a header that contains a list of field names to be removed",
                "The header that lists fields to leave out of the value.",
            )
            .default_null(),
        )
        .define(
            key(
                DROP_FIELDS_FROM_KEY,
                Type::Boolean,
                Width::Short,
                "Specifies whether the fields to be dropped should also be omitted from the key",
                "Whether those fields are left out of the key too.",
            )
            .default(false),
        )
        .define(
            key(
                DROP_FIELDS_KEEP_COMPATIBLE,
                Type::Boolean,
                Width::Short,
                "Specifies if fields are dropped, will the event's schemas be compatible",
                "Whether only optional fields are left out, so that readers of the old schema can \
                 go on.",
            )
            .default(true),
        )
}

/// `delete.tombstone.handling.mode`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum DeleteHandling {
    Drop,
    #[default]
    Tombstone,
    RewriteWithTombstone,
    Rewrite,
    DeleteToTombstone,
}

impl DeleteHandling {
    pub(super) const NAMES: [&'static str; 5] = [
        "drop",
        "tombstone",
        "rewrite-with-tombstone",
        "rewrite",
        "delete-to-tombstone",
    ];

    pub(super) fn parse(text: &str) -> Option<Self> {
        let modes = [
            Self::Drop,
            Self::Tombstone,
            Self::RewriteWithTombstone,
            Self::Rewrite,
            Self::DeleteToTombstone,
        ];
        let text = text.trim();
        Self::NAMES
            .iter()
            .zip(modes)
            .find_map(|(name, mode)| name.eq_ignore_ascii_case(text).then_some(mode))
    }

    pub(super) fn rewrites(self) -> bool {
        matches!(self, Self::Rewrite | Self::RewriteWithTombstone)
    }
}
