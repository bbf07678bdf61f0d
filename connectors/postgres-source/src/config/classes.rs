//! Options that name Java classes of the user's: what Debezium brings itself is here too, anything
//! else cannot be loaded and is refused by name.
//!
//! Answers for `CustomConverterRegistry`, `PostProcessorRegistryServiceProvider`,
//! `SnapshotLockProvider`, `SnapshotQueryProvider` and `Instantiator`. The words at the top of each
//! refusal are Debezium's for a class that it does not find.

use connect_api::Props;

use super::rules;
use crate::error::PgError;

/// The one post processor of Debezium.
pub const RESELECT: &str = "io.debezium.processors.reselect.ReselectColumnsPostProcessor";

/// Options with a class, and the classes that mean what is built here.
const CLASSES: &[(&str, &str)] = &[
    (
        "transaction.metadata.factory",
        "io.debezium.pipeline.txmetadata.DefaultTransactionMetadataFactory",
    ),
    (
        "sourceinfo.struct.maker",
        "io.debezium.connector.postgresql.PostgresSourceInfoStructMaker",
    ),
];

const SNAPSHOTTER: &str = "io.debezium.snapshot.SnapshotterService";

/// Modes that can be `custom`, the service that would run the class, and what it is called.
const CUSTOM: &[(&str, &str, &str)] = &[
    ("snapshot.mode", SNAPSHOTTER, "snapshotter"),
    (
        "snapshot.locking.mode",
        "io.debezium.snapshot.spi.SnapshotLock",
        "snapshot lock mode",
    ),
    (
        "snapshot.query.mode",
        "io.debezium.snapshot.spi.SnapshotQuery",
        "snapshot query mode",
    ),
];

/// The first class that Debezium looks for as soon as it reads its options, and does not find; with
/// the option that names it.
#[must_use]
pub fn unknown_class(props: &Props) -> Option<(&'static str, &str)> {
    CLASSES.iter().find_map(|(key, own)| {
        let class = props.get(*key)?.trim();
        (!class.is_empty() && class != *own).then_some((*key, class))
    })
}

/// Refuses what only a Java class of the user's could do.
///
/// # Errors
/// The option and the class.
pub fn refuse_unknown(props: &Props) -> Result<(), PgError> {
    let text = |key: &str| props.get(key).map_or("", |text| text.trim());
    if let Some((key, class)) = unknown_class(props) {
        return Err(not_found(class, key));
    }
    for (key, service, what) in CUSTOM {
        if text(key).eq_ignore_ascii_case("custom") {
            let name = text(&format!("{key}.custom.name"));
            let why = format!("Unable to find {name} {what}. Please check your configuration.");
            let mut error = PgError::Config(why);
            // The snapshotter's service makes the other two.
            if *service != SNAPSHOTTER {
                error = error.while_(format!("Unable to create service {service}"));
            }
            return Err(error.while_(format!("Unable to create service {SNAPSHOTTER}")));
        }
    }
    if let Some(name) = rules::items(text("converters"))
        .first()
        .filter(|name| !name.is_empty())
    {
        let key = format!("{name}.type");
        let service = "Unable to create service io.debezium.relational.CustomConverterRegistry";
        return Err(not_found(text(&key), &key).while_(service));
    }
    for name in rules::items(text("post.processors")) {
        let key = format!("{name}.type");
        if text(&key) != RESELECT {
            let service = "Unable to create service io.debezium.processors.PostProcessorRegistry";
            return Err(not_found(text(&key), &key).while_(service));
        }
    }
    Ok(())
}

fn not_found(class: &str, key: &str) -> PgError {
    PgError::Config(format!(
        "Unable to find class {class}: '{key}' can only name what Debezium itself brings, Java \
         classes cannot be loaded"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(entries: &[(&str, &str)]) -> Option<String> {
        let owned = |&(key, value): &(&str, &str)| (key.to_owned(), value.to_owned());
        let props = entries.iter().map(owned).collect();
        let error = refuse_unknown(&props).err()?;
        let mut text = error.to_string();
        let mut next = std::error::Error::source(&error);
        while let Some(cause) = next {
            text.push_str(&format!(" <- {cause}"));
            next = cause.source();
        }
        Some(text)
    }

    #[test]
    fn classes_of_the_users_are_refused_by_name() {
        for (entries, expected) in [
            (
                &[("converters", "c"), ("c.type", "a.B")][..],
                "CustomConverterRegistry <- Unable to find class a.B",
            ),
            (
                &[("post.processors", "p"), ("p.type", "a.B")],
                "PostProcessorRegistry <- Unable to find class a.B",
            ),
            (
                &[
                    ("snapshot.mode", "custom"),
                    ("snapshot.mode.custom.name", "n"),
                ],
                "Unable to find n snapshotter",
            ),
            (
                &[("snapshot.locking.mode", "Custom")],
                "SnapshotterService <- Unable to create service io.debezium.snapshot.spi.SnapshotLock \
                 <- Unable to find  snapshot lock mode",
            ),
            (
                &[("sourceinfo.struct.maker", "a.B")],
                "Unable to find class a.B",
            ),
        ] {
            let text = refused(entries).unwrap();
            assert!(text.contains(expected), "{text}");
        }
    }

    #[test]
    fn what_debezium_brings_is_not_refused() {
        assert_eq!(
            refused(&[("post.processors", "p"), ("p.type", RESELECT)]),
            None
        );
        assert_eq!(refused(&[("snapshot.mode", "initial")]), None);
        assert_eq!(refused(&[("converters", "")]), None);
    }
}
