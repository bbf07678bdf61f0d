//! The shared files: `~/.aws/credentials` and `~/.aws/config`: keys, roles, sign-ins, programs.
//!
//! Answers for `ProfileCredentialsProvider`.

use std::collections::HashMap;

use super::sso::{self, SignIn};
use super::{Absent, Role, Session, Source, Surroundings, broken, look, process, sts};

/// Roles that name each other end somewhere.
const MAX_DEPTH: usize = 8;

/// What a profile says.
type Profile = HashMap<String, String>;

/// The credentials of the profile that `AWS_PROFILE` names.
pub(super) async fn load(around: &Surroundings) -> Result<Session, Absent> {
    let name = around
        .variable("AWS_PROFILE")
        .unwrap_or_else(|| "default".to_owned());
    let home = around
        .variable("HOME")
        .map(|home| format!("{home}/.aws"))
        .unwrap_or_default();
    let read = |variable: &str, file: &str| {
        let path = around
            .variable(variable)
            .unwrap_or_else(|| format!("{home}/{file}"));
        std::fs::read_to_string(path).unwrap_or_default()
    };
    let profiles = Profiles {
        credentials: read("AWS_SHARED_CREDENTIALS_FILE", "credentials"),
        config: read("AWS_CONFIG_FILE", "config"),
        folder: home.clone(),
    };
    if profiles.get(&name).is_empty() {
        return Err(Absent::Nothing("the profile is not there"));
    }
    resolve(around, &profiles, &name, 0).await
}

struct Profiles {
    credentials: String,
    config: String,
    /// `~/.aws`.
    folder: String,
}

impl Profiles {
    /// A profile's entries; those of the credentials file go first.
    fn get(&self, name: &str) -> Profile {
        let in_config = match name {
            "default" => vec!["default".to_owned(), "profile default".to_owned()],
            name => vec![format!("profile {name}")],
        };
        let mut profile = Profile::new();
        for section in in_config {
            profile.extend(entries(&self.config, &section));
        }
        profile.extend(entries(&self.credentials, name));
        profile
    }
}

/// The `key = value` lines below `[section]`.
fn entries(text: &str, section: &str) -> Profile {
    let mut inside = false;
    let mut entries = Profile::new();
    for line in text.lines() {
        let is_nested = line.starts_with([' ', '\t']);
        let line = line.trim();
        if let Some(name) = line
            .strip_prefix('[')
            .and_then(|rest| rest.split(']').next())
        {
            let words: Vec<&str> = name.split_whitespace().collect();
            inside = words.join(" ") == section;
        } else if inside
            && !is_nested
            && !line.starts_with(['#', ';'])
            && let Some((key, value)) = line.split_once('=')
        {
            entries.insert(key.trim().to_owned(), value.trim().to_owned());
        }
    }
    entries
}

/// A profile's sign-in: in a section of its own, or all of it here.
///
/// # Errors
/// The name of an entry that is missing.
fn sign_in(profiles: &Profiles, profile: &Profile) -> Result<SignIn, &'static str> {
    let session = profile.get("sso_session");
    let shared = session
        .map(|name| entries(&profiles.config, &format!("sso-session {name}")))
        .unwrap_or_default();
    let get = |key: &'static str| {
        let found = profile.get(key).or_else(|| shared.get(key));
        found.filter(|value| !value.is_empty()).cloned().ok_or(key)
    };
    Ok(SignIn {
        token_of: match session {
            Some(name) => name.clone(),
            None => get("sso_start_url")?,
        },
        region: get("sso_region")?,
        account: get("sso_account_id")?,
        role: get("sso_role_name")?,
    })
}

fn resolve<'a>(
    around: &'a Surroundings,
    profiles: &'a Profiles,
    name: &'a str,
    depth: usize,
) -> futures::future::BoxFuture<'a, Result<Session, Absent>> {
    Box::pin(async move {
        let profile = profiles.get(name);
        let get = |key: &str| profile.get(key).filter(|value| !value.is_empty()).cloned();
        if depth > MAX_DEPTH {
            return Err(broken(format!(
                "profile {name}: source_profile goes in a circle"
            )));
        }
        let keys = (get("aws_access_key_id"), get("aws_secret_access_key"));
        let session_name = get("role_session_name").unwrap_or_else(|| "ferroconnect".to_owned());
        // A profile that is its own source has keys for the role to be asked with.
        let is_own_source = depth > 0;
        match (get("role_arn"), keys) {
            (Some(arn), _) if !is_own_source && get("web_identity_token_file").is_some() => {
                let file = get("web_identity_token_file").unwrap_or_default();
                sts::web_identity(around, &file, &arn, &session_name).await
            }
            (Some(arn), keys)
                if !(is_own_source
                    && keys.0.is_some()
                    && get("source_profile")
                        .as_deref()
                        .is_none_or(|own| own == name)) =>
            {
                let base = match (get("source_profile"), get("credential_source").as_deref()) {
                    (Some(source), _) => {
                        let session = resolve(around, profiles, &source, depth + 1).await?;
                        session.credential
                    }
                    (None, Some("Environment")) => {
                        look(&Source::Environment, around).await?.credential
                    }
                    (None, Some("EcsContainer")) => {
                        look(&Source::Container, around).await?.credential
                    }
                    (None, Some("Ec2InstanceMetadata")) => {
                        look(&Source::Instance, around).await?.credential
                    }
                    _ => {
                        return Err(broken(format!(
                            "profile {name} has a role_arn but neither source_profile nor credential_source"
                        )));
                    }
                };
                let role = Role {
                    arn,
                    session_name,
                    external_id: get("external_id").unwrap_or_default(),
                    region: get("region").unwrap_or_default(),
                    base: Source::Profile,
                };
                sts::assume_role(around, &role, &base).await
            }
            (_, (Some(key), Some(secret))) => {
                Ok(Session::forever(key, secret, get("aws_session_token")))
            }
            _ if get("sso_session").is_some() || get("sso_start_url").is_some() => {
                let sign_in = sign_in(profiles, &profile)
                    .map_err(|missing| broken(format!("profile {name} lacks {missing}")))?;
                sso::load(around, &profiles.folder, &sign_in).await
            }
            _ if get("credential_process").is_some() => {
                process::run(&get("credential_process").unwrap_or_default()).await
            }
            _ => Err(Absent::Nothing("the profile has no credentials")),
        }
    })
}
