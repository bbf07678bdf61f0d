//! Where credentials come from: an access key, or a provider by the class name that configurations
//! have. They are fetched when first needed, kept, and fetched anew before they run out.
//!
//! Answers for the providers of `software.amazon.awssdk.auth.credentials` (and their namesakes of
//! SDK v1, `com.amazonaws.auth`) and for `io.confluent.connect.s3.auth.AwsAssumeRoleCredentialsProvider`.

mod metadata;
mod process;
mod profile;
mod sso;
mod sts;

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use connect_api::{Error, Props, Result};
use futures::future::BoxFuture;
use object_store::aws::AwsCredential;
use tokio::sync::Mutex;

use super::bucket::StoreError;
use super::http::Http;

/// Confluent's provider that assumes a role.
pub(crate) const ASSUME_ROLE_CLASS: &str =
    "io.confluent.connect.s3.auth.AwsAssumeRoleCredentialsProvider";
/// The prefix of a provider's own options.
pub(crate) const PREFIX: &str = "s3.credentials.provider.";
/// So long before they run out credentials are fetched anew.
const MARGIN: Duration = Duration::from_secs(300);
/// How long a metadata service or STS may take; those that are there answer at once.
const TIMEOUT: Duration = Duration::from_secs(10);

/// One place to look for credentials.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Source {
    /// An access key and its secret.
    Static(String, String),
    /// Requests go unsigned.
    Anonymous,
    /// `AWS_ACCESS_KEY_ID` and its companions.
    Environment,
    /// A token file and a role (`AWS_WEB_IDENTITY_TOKEN_FILE`), as Kubernetes service accounts have.
    WebIdentity,
    /// The shared configuration and credentials files.
    Profile,
    /// The metadata service of ECS or of EKS Pod Identity.
    Container,
    /// The metadata service of EC2.
    Instance,
    /// The first of these that has any.
    First(Vec<Source>),
    /// A role, by another source's credentials.
    AssumeRole(Box<Role>),
}

/// What is needed to assume a role.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Role {
    pub(crate) arn: String,
    pub(crate) session_name: String,
    pub(crate) external_id: String,
    /// Whose endpoint is asked; the global one where it is empty.
    pub(crate) region: String,
    pub(crate) base: Source,
}

/// Simple class names of both SDKs and what they mean here.
fn by_class(class: &str) -> Option<Source> {
    let v2 = class.strip_prefix("software.amazon.awssdk.auth.credentials.");
    let v1 = class.strip_prefix("com.amazonaws.auth.");
    Some(match (v2.or(v1)?, v1.is_some()) {
        ("DefaultCredentialsProvider", false) | ("DefaultAWSCredentialsProviderChain", true) => {
            default_chain()
        }
        ("EnvironmentVariableCredentialsProvider", _) => Source::Environment,
        ("WebIdentityTokenFileCredentialsProvider", false)
        | ("WebIdentityTokenCredentialsProvider", true) => Source::WebIdentity,
        ("ProfileCredentialsProvider", false) | ("profile.ProfileCredentialsProvider", true) => {
            Source::Profile
        }
        ("ContainerCredentialsProvider", _) => Source::Container,
        ("EC2ContainerCredentialsProviderWrapper", true) => {
            Source::First(vec![Source::Container, Source::Instance])
        }
        ("InstanceProfileCredentialsProvider", _) => Source::Instance,
        ("AnonymousCredentialsProvider", false) => Source::Anonymous,
        _ => return None,
    })
}

fn default_chain() -> Source {
    Source::First(vec![
        Source::Environment,
        Source::WebIdentity,
        Source::Profile,
        Source::Container,
        Source::Instance,
    ])
}

/// Whether a provider of this class is known.
pub(crate) fn is_known(class: &str) -> bool {
    class == ASSUME_ROLE_CLASS || by_class(class).is_some()
}

impl Source {
    /// The source that a configuration asks for. An access key goes before every provider but the
    /// one that assumes a role, which takes it to ask with.
    ///
    /// # Errors
    /// Kind Config: the class is none of those known, or lacks an option.
    pub(crate) fn new(class: &str, originals: &Props, key: &str, secret: &str) -> Result<Self> {
        let fixed = (!key.trim().is_empty() && !secret.trim().is_empty())
            .then(|| Self::Static(key.to_owned(), secret.to_owned()));
        if class == ASSUME_ROLE_CLASS {
            return assume_role(originals, fixed);
        }
        let source = by_class(class).ok_or_else(|| {
            Error::config(format!(
                "s3.credentials.provider.class: {class} is not one of this worker's providers; \
                 code of one's own cannot be loaded"
            ))
        })?;
        Ok(fixed.unwrap_or(source))
    }
}

fn assume_role(originals: &Props, fixed: Option<Source>) -> Result<Source> {
    let option = |name: &str| {
        originals
            .get(&format!("{PREFIX}{name}"))
            .map_or("", |value| value.trim())
            .to_owned()
    };
    let required = |name: &str| {
        Some(option(name)).filter(|value| !value.is_empty()).ok_or_else(|| {
            Error::config(format!(
                "Missing required configuration \"{name}\" which has no default value. (of {ASSUME_ROLE_CLASS}, \
                 written {PREFIX}{name})"
            ))
        })
    };
    // Without a key of its own the default chain asks, and the region is the environment's.
    let region = match &fixed {
        Some(_) => option("sts.region"),
        None => String::new(),
    };
    Ok(Source::AssumeRole(Box::new(Role {
        arn: required("sts.role.arn")?,
        session_name: required("sts.role.session.name")?,
        external_id: required("sts.role.external.id")?,
        region,
        base: fixed.unwrap_or_else(default_chain),
    })))
}

/// Environment variables, or a test's.
pub(crate) type Variables = Arc<dyn Fn(&str) -> Option<String> + Send + Sync>;

/// What providers find around them.
#[derive(Clone)]
pub(crate) struct Surroundings {
    pub(crate) variables: Variables,
    pub(crate) http: Http,
}

impl Surroundings {
    /// The process's own.
    ///
    /// # Errors
    /// TLS cannot be set up.
    pub(crate) fn real() -> Result<Self, StoreError> {
        Ok(Self {
            variables: Arc::new(|name| std::env::var(name).ok()),
            http: Http::new(TIMEOUT, None)?,
        })
    }

    /// A variable that is set and not blank.
    fn variable(&self, name: &str) -> Option<String> {
        (self.variables)(name)
            .map(|value| value.trim().to_owned())
            .filter(|value| !value.is_empty())
    }
}

impl fmt::Debug for Surroundings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Surroundings")
    }
}

/// Credentials with their end.
#[derive(Clone)]
struct Session {
    credential: Arc<AwsCredential>,
    expires: Option<SystemTime>,
}

impl Session {
    fn forever(key: String, secret: String, token: Option<String>) -> Self {
        Self {
            credential: Arc::new(AwsCredential {
                key_id: key,
                secret_key: secret,
                token,
            }),
            expires: None,
        }
    }
    fn is_fresh(&self, now: SystemTime) -> bool {
        self.expires.is_none_or(|end| now + MARGIN < end)
    }
}

/// Nothing here, or something that does not work.
enum Absent {
    /// The next source is asked.
    Nothing(&'static str),
    /// Looking further would hide what is wrong.
    Broken(StoreError),
}

impl From<StoreError> for Absent {
    fn from(error: StoreError) -> Self {
        Self::Broken(error)
    }
}

fn broken(text: impl Into<String>) -> Absent {
    Absent::Broken(StoreError {
        status: Some(400),
        code: None,
        text: text.into(),
    })
}

/// Credentials that are kept until they run out.
pub(crate) struct Credentials {
    source: Source,
    surroundings: Surroundings,
    session: Mutex<Option<Session>>,
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Never the secrets.
        f.write_str("Credentials")
    }
}

impl Credentials {
    pub(crate) fn new(source: Source, surroundings: Surroundings) -> Self {
        Self {
            source,
            surroundings,
            session: Mutex::default(),
        }
    }

    /// The credentials to sign with; `None` for requests that go unsigned.
    ///
    /// # Errors
    /// No source has any, or the one that should does not answer.
    pub(crate) async fn get(&self) -> Result<Option<Arc<AwsCredential>>, StoreError> {
        if self.source == Source::Anonymous {
            return Ok(None);
        }
        let now = SystemTime::now();
        let mut kept = self.session.lock().await;
        if let Some(session) = kept.as_ref().filter(|session| session.is_fresh(now)) {
            return Ok(Some(Arc::clone(&session.credential)));
        }
        match look(&self.source, &self.surroundings).await {
            Ok(session) => {
                let credential = Arc::clone(&session.credential);
                *kept = Some(session);
                Ok(Some(credential))
            }
            Err(absent) => {
                // What is nearly over is better than nothing.
                if let Some(session) = kept.as_ref()
                    && session.expires.is_none_or(|end| now < end)
                {
                    return Ok(Some(Arc::clone(&session.credential)));
                }
                Err(match absent {
                    Absent::Broken(error) => error,
                    Absent::Nothing(why) => StoreError {
                        status: Some(403),
                        code: None,
                        text: format!("Unable to load credentials: {why}"),
                    },
                })
            }
        }
    }

    /// The store says that they ran out.
    pub(crate) async fn forget(&self) {
        *self.session.lock().await = None;
    }
}

fn look<'a>(
    source: &'a Source,
    around: &'a Surroundings,
) -> BoxFuture<'a, Result<Session, Absent>> {
    Box::pin(async move {
        match source {
            Source::Static(key, secret) => Ok(Session::forever(key.clone(), secret.clone(), None)),
            Source::Anonymous => Err(Absent::Nothing("requests are not signed")),
            Source::Environment => environment(around),
            Source::WebIdentity => sts::web_identity_of_environment(around).await,
            Source::Profile => profile::load(around).await,
            Source::Container => metadata::container(around).await,
            Source::Instance => metadata::instance(around).await,
            Source::First(sources) => {
                for source in sources {
                    match look(source, around).await {
                        Err(Absent::Nothing(_)) => {}
                        found => return found,
                    }
                }
                Err(Absent::Nothing(
                    "neither the environment, a web identity, a profile, a container nor an \
                     instance has any",
                ))
            }
            Source::AssumeRole(role) => {
                let base = look(&role.base, around).await?;
                sts::assume_role(around, role, &base.credential).await
            }
        }
    })
}

fn environment(around: &Surroundings) -> Result<Session, Absent> {
    let key = around
        .variable("AWS_ACCESS_KEY_ID")
        .or_else(|| around.variable("AWS_ACCESS_KEY"));
    let secret = around
        .variable("AWS_SECRET_ACCESS_KEY")
        .or_else(|| around.variable("AWS_SECRET_KEY"));
    match (key, secret) {
        (Some(key), Some(secret)) => Ok(Session::forever(
            key,
            secret,
            around.variable("AWS_SESSION_TOKEN"),
        )),
        _ => Err(Absent::Nothing(
            "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY are not set",
        )),
    }
}

/// `2024-01-15T10:30:00Z`.
fn instant(text: &str) -> Option<SystemTime> {
    chrono::DateTime::parse_from_rfc3339(text.trim())
        .ok()
        .map(SystemTime::from)
}

#[cfg(test)]
pub(crate) mod tests;
