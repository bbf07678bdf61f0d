//! Where credentials come from when the configuration names none: the environment, then the
//! shared credentials file, then web identity, container and instance metadata.
//!
//! Answers for AWS's `DefaultCredentialsProvider`; the latter three are the client library's.

use std::path::PathBuf;

use object_store::aws::AmazonS3Builder;

/// A builder that finds credentials as AWS's default chain does.
pub(crate) fn from_surroundings() -> AmazonS3Builder {
    let mut builder = AmazonS3Builder::new();
    // Only credentials: endpoint and region are the connector's own options.
    for (name, value) in std::env::vars() {
        let relevant = matches!(
            name.as_str(),
            "AWS_ACCESS_KEY_ID"
                | "AWS_SECRET_ACCESS_KEY"
                | "AWS_SESSION_TOKEN"
                | "AWS_WEB_IDENTITY_TOKEN_FILE"
                | "AWS_ROLE_ARN"
                | "AWS_ROLE_SESSION_NAME"
                | "AWS_ENDPOINT_URL_STS"
                | "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI"
                | "AWS_CONTAINER_CREDENTIALS_FULL_URI"
                | "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE"
        );
        if relevant && let Ok(key) = name.to_ascii_lowercase().parse() {
            builder = builder.with_config(key, value);
        }
    }
    if std::env::var_os("AWS_ACCESS_KEY_ID").is_some()
        || std::env::var_os("AWS_WEB_IDENTITY_TOKEN_FILE").is_some()
    {
        return builder;
    }
    let profile = std::env::var("AWS_PROFILE").unwrap_or_else(|_| "default".to_owned());
    match credentials_file().and_then(|path| std::fs::read_to_string(path).ok()) {
        Some(text) => with_profile(builder, &text, &profile),
        None => builder,
    }
}

fn credentials_file() -> Option<PathBuf> {
    std::env::var_os("AWS_SHARED_CREDENTIALS_FILE")
        .map(PathBuf::from)
        .or_else(|| {
            std::env::var_os("HOME")
                .map(|home| PathBuf::from(home).join(".aws").join("credentials"))
        })
}

fn with_profile(mut builder: AmazonS3Builder, text: &str, profile: &str) -> AmazonS3Builder {
    for (key, value) in profile_entries(text, profile) {
        builder = match key {
            "aws_access_key_id" => builder.with_access_key_id(value),
            "aws_secret_access_key" => builder.with_secret_access_key(value),
            "aws_session_token" => builder.with_token(value),
            _ => builder,
        };
    }
    builder
}

/// The `key = value` lines below `[profile]`.
fn profile_entries<'a>(text: &'a str, profile: &str) -> Vec<(&'a str, &'a str)> {
    let mut inside = false;
    let mut entries = Vec::new();
    for line in text.lines().map(str::trim) {
        if let Some(name) = line
            .strip_prefix('[')
            .and_then(|rest| rest.strip_suffix(']'))
        {
            inside = name.trim() == profile;
        } else if inside
            && !line.starts_with(['#', ';'])
            && let Some((key, value)) = line.split_once('=')
        {
            entries.push((key.trim(), value.trim()));
        }
    }
    entries
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_profile_is_read_from_the_shared_file() {
        let text = "[other]\naws_access_key_id = no\n[default]\n# note\naws_access_key_id=AK\naws_secret_access_key = s=1\n";
        assert_eq!(
            profile_entries(text, "default"),
            [
                ("aws_access_key_id", "AK"),
                ("aws_secret_access_key", "s=1")
            ]
        );
        assert_eq!(profile_entries(text, "missing"), []);
    }
}
