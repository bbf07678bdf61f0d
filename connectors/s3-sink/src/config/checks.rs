//! What has to hold for single options, in the words that clients see.
//!
//! Answers for the validators of `S3SinkConnectorConfig` and `PartitionerConfig`.

use std::sync::Arc;

use connect_api::config::{Parsed, Validator, check_text};

use crate::storage::credentials;

/// Smallest part that S3 takes, but for the last.
const MIN_PART_BYTES: i64 = 5 * 1024 * 1024;
const CANNED_ACLS: &[&str] = &[
    "private",
    "public-read",
    "public-read-write",
    "authenticated-read",
    "aws-exec-read",
    "bucket-owner-read",
    "bucket-owner-full-control",
];

/// `Invalid value V for configuration K: WHY`.
pub(crate) fn invalid(name: &str, value: &str, why: &str) -> String {
    format!("Invalid value {value} for configuration {name}: {why}")
}

pub(super) fn known_class(is_known: fn(&str) -> bool) -> Validator {
    check_text(move |class| match is_known(class) {
        true => Ok(()),
        false => Err(format!("Class {class} could not be found.")),
    })
}

/// `Value must be one of: [a, b]`.
pub(super) fn value_of(allowed: &'static [&'static str]) -> Validator {
    check_text(move |text| match allowed.contains(&text) {
        true => Ok(()),
        false => Err(format!("Value must be one of: [{}]", allowed.join(", "))),
    })
}

pub(super) fn one_of_any_case(allowed: &'static [&'static str]) -> Validator {
    check_text(
        move |text| match allowed.iter().any(|known| known.eq_ignore_ascii_case(text)) {
            true => Ok(()),
            false => Err(format!("String must be one of: {}", allowed.join(", "))),
        },
    )
}

pub(super) fn acl() -> Validator {
    value_of(CANNED_ACLS)
}

pub(super) fn part_size() -> Validator {
    Arc::new(|name, value| match value {
        Some(Parsed::Int(size)) if *size < MIN_PART_BYTES => Err(invalid(
            name,
            &size.to_string(),
            "Part size must be at least: 5242880 bytes (5MB)",
        )),
        Some(_) => Ok(()),
        None => Err(invalid(name, "null", "Part size must be non-null")),
    })
}

/// Providers are known by their names; code of one's own cannot be loaded.
pub(super) fn credentials_provider() -> Validator {
    check_text(|class| {
        if credentials::is_known(class) {
            return Ok(());
        }
        // Java finds its own classes and sees that they are no providers.
        Err(match class.starts_with("java.") || class.starts_with("org.apache.kafka.") {
            true => "Class must extend: interface software.amazon.awssdk.auth.credentials.AwsCredentialsProvider".to_owned(),
            false => format!("Class {class} could not be found."),
        })
    })
}

pub(super) fn field_names() -> Validator {
    Arc::new(|name, value| {
        let Some(Parsed::List(items)) = value else {
            return Ok(());
        };
        let shown = || format!("[{}]", items.join(", "));
        for item in items {
            if item.trim().is_empty() {
                return Err(invalid(
                    name,
                    &shown(),
                    "Field name cannot be null or empty",
                ));
            }
            if item.split('.').any(|segment| segment.trim().is_empty()) {
                return Err(invalid(
                    name,
                    &shown(),
                    "Field name cannot contain an empty or whitespace-only path segment",
                ));
            }
        }
        Ok(())
    })
}
