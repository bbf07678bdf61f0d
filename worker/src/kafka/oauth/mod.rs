//! Tokens of SASL OAUTHBEARER: claims of one's own without a signature, or what an endpoint or a
//! file gives.
//!
//! A librdkafka configuration carries the name of a [`Login`] (`sasl.oauthbearer.config`), never its
//! secrets; clients of equal settings share one, and so its token. A token is renewed when it is
//! asked for late in its life, as librdkafka does at four fifths of it. Nothing here is logged but
//! who a token is for. Answers for `OAuthBearerRefreshingLogin` and the callback handlers of
//! `org.apache.kafka.common.security.oauthbearer`.

mod endpoint;
mod jwt;
mod unsecured;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use connect_api::{Error, Props, Result};
use rdkafka::ClientConfig;

use super::jaas::LoginModule;

/// The setting of librdkafka that names a login.
const HANDLE: &str = "sasl.oauthbearer.config";

/// A new client's wish for a token is there at once.
const GREETING: Duration = Duration::from_millis(20);

const PACKAGE: &str = "org.apache.kafka.common.security.oauthbearer.";

/// A token with what clients need to know of it.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Token {
    /// The token as it goes to the broker.
    pub(crate) value: String,
    /// Whom it stands for.
    pub(crate) principal: String,
    /// From when it is good, in milliseconds since the epoch, where it says so.
    start: Option<i64>,
    /// Until when, the same.
    pub(crate) expires: i64,
}

impl std::fmt::Debug for Token {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Token")
            .field("principal", &self.principal)
            .field("expires", &self.expires)
            .finish_non_exhaustive()
    }
}

/// Where tokens come from.
#[derive(Clone, PartialEq, Eq)]
enum Source {
    Unsecured(unsecured::Claims),
    Endpoint(Box<endpoint::Endpoint>),
    File(std::path::PathBuf, jwt::Names),
}

/// `sasl.login.refresh.*`.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Refresh {
    /// At which part of its life a token is renewed.
    factor: f64,
    /// That much later at most, by chance.
    jitter: f64,
    /// Not sooner than this after it came.
    min_period: Duration,
    /// Not later than this before its end.
    buffer: Duration,
}

/// Settings of a login and the token that they gave last.
struct Login {
    source: Source,
    refresh: Refresh,
    /// What it gave last.
    held: Mutex<Option<Held>>,
}

struct Held {
    token: Token,
    renew_at: i64,
}

static LOGINS: Mutex<Vec<Arc<Login>>> = Mutex::new(Vec::new());

fn logins() -> MutexGuard<'static, Vec<Arc<Login>>> {
    LOGINS.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Sets what librdkafka needs for a login by the settings of a Java client.
///
/// # Errors
/// Kind Config: a setting is missing or cannot be honoured.
pub(super) fn apply(props: &Props, module: &LoginModule, config: &mut ClientConfig) -> Result<()> {
    let settings = Settings { props, module };
    let (source, refresh) = (settings.source()?, settings.refresh()?);
    let mut logins = logins();
    let known = logins
        .iter()
        .position(|login| login.source == source && login.refresh == refresh);
    let number = known.unwrap_or(logins.len());
    if known.is_none() {
        logins.push(Arc::new(Login {
            source,
            refresh,
            held: Mutex::new(None),
        }));
    }
    config
        .set("sasl.mechanism", "OAUTHBEARER")
        .set(HANDLE, number.to_string());
    Ok(())
}

/// The name of the login that a client's configuration has.
pub(crate) fn handle(config: &ClientConfig) -> Option<&str> {
    config.get(HANDLE)
}

/// Lets a new client have its first token: it asks for one where it is polled, and some clients are
/// put questions before that.
pub(super) fn greet(config: &ClientConfig, poll: impl FnOnce(Duration)) {
    if handle(config).is_some() {
        poll(GREETING);
    }
}

/// The present token of a login. Blocks while one is fetched.
///
/// # Errors
/// There is none to be had.
pub(crate) fn token(handle: &str) -> Result<Token> {
    let login = handle
        .parse::<usize>()
        .ok()
        .and_then(|number| logins().get(number).map(Arc::clone))
        .ok_or_else(|| Error::fatal("a login that was not set up"))?;
    let mut held = login.held.lock().unwrap_or_else(PoisonError::into_inner);
    let now = now();
    match &*held {
        Some(held) if now < held.renew_at => return Ok(held.token.clone()),
        _ => {}
    }
    match login.source.fetch(now) {
        Ok(token) => {
            let renew_at = login.refresh.moment(now, &token, chance(now));
            tracing::info!(
                principal = token.principal,
                seconds = (token.expires - now) / 1000,
                "a token to log in with"
            );
            *held = Some(Held {
                token: token.clone(),
                renew_at,
            });
            Ok(token)
        }
        Err(error) => match &*held {
            // It is good for a while yet; the next question tries again.
            Some(held) if now < held.token.expires => {
                tracing::warn!(error = %connect_api::error::Chain(&error), "no new token to log in with");
                Ok(held.token.clone())
            }
            _ => Err(error),
        },
    }
}

fn now() -> i64 {
    let since = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}

/// A number from 0 to 1 that differs from worker to worker.
fn chance(now: i64) -> f64 {
    #[expect(clippy::cast_precision_loss, reason = "a number below 997")]
    let part = (now.wrapping_add(i64::from(std::process::id())) % 997) as f64;
    part / 997.0
}

impl Source {
    fn fetch(&self, now: i64) -> Result<Token> {
        match self {
            Self::Unsecured(claims) => claims.token(now),
            Self::Endpoint(endpoint) => {
                // On a thread of its own: whoever asks may be in an async runtime.
                std::thread::scope(|scope| scope.spawn(|| endpoint.fetch()).join())
                    .unwrap_or_else(|_panic| Err(Error::fatal("fetching a token panicked")))
            }
            Self::File(path, names) => {
                let text = std::fs::read_to_string(path).map_err(|error| {
                    Error::fatal(format!("reading the token in {}", path.display()))
                        .with_source(error)
                })?;
                names.read(text.trim())
            }
        }
    }
}

impl Refresh {
    /// When a token that came now is renewed (`ExpiringCredentialRefreshingLogin.refreshMs`).
    fn moment(&self, now: i64, token: &Token, chance: f64) -> i64 {
        let part = self.factor + self.jitter * chance;
        let millis = |time: Duration| i64::try_from(time.as_millis()).unwrap_or(i64::MAX);
        let (min, buffer) = (millis(self.min_period), millis(self.buffer));
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_precision_loss,
            reason = "a share of a time"
        )]
        let share = |life: i64| (life as f64 * part) as i64;
        if now.saturating_add(min).saturating_add(buffer) > token.expires {
            return now + share(token.expires - now);
        }
        let start = token.start.unwrap_or(now);
        let proposed = start + share(token.expires - start);
        let first = now + min;
        proposed.min(token.expires - buffer).max(first)
    }
}

/// The settings of a Java client and the options of its login module.
struct Settings<'a> {
    props: &'a Props,
    module: &'a LoginModule,
}

fn refuse(key: &str, value: &str, hint: &str) -> Error {
    Error::config(format!(
        "the setting {key}={value} cannot be honoured: {hint}"
    ))
}

impl<'a> Settings<'a> {
    fn get(&self, key: &str) -> Option<&'a str> {
        self.props
            .get(key)
            .map(|value| value.trim())
            .filter(|value| !value.is_empty())
    }

    /// The setting, or the login module's option of older clients.
    fn either(&self, key: &str, option: &str) -> Option<&'a str> {
        self.get(key).or_else(|| {
            let option = self.module.options.get(option)?.trim();
            (!option.is_empty()).then_some(option)
        })
    }

    fn number<T: std::str::FromStr>(&self, key: &str, default: T) -> Result<T> {
        match self.get(key) {
            None => Ok(default),
            Some(text) => text
                .parse()
                .map_err(|_not_a_number| refuse(key, text, "it is no number of its kind")),
        }
    }

    fn refresh(&self) -> Result<Refresh> {
        Ok(Refresh {
            factor: self.number("sasl.login.refresh.window.factor", 0.8)?,
            jitter: self.number("sasl.login.refresh.window.jitter", 0.05)?,
            min_period: Duration::from_secs(
                self.number("sasl.login.refresh.min.period.seconds", 60)?,
            ),
            buffer: Duration::from_secs(self.number("sasl.login.refresh.buffer.seconds", 300)?),
        })
    }

    fn source(&self) -> Result<Source> {
        let extension = self.module.options.keys().find(|option| {
            option.starts_with("extension_") || option.starts_with("unsecuredLoginExtension_")
        });
        if let Some(option) = extension {
            return Err(refuse(
                "sasl.jaas.config",
                &format!("...{option}..."),
                "the Kafka client has no SASL extensions",
            ));
        }
        let key = "sasl.login.callback.handler.class";
        let handler = self.get(key).unwrap_or_default();
        let name = handler.strip_prefix(PACKAGE).unwrap_or(handler);
        match name {
            "" | "internals.unsecured.OAuthBearerUnsecuredLoginCallbackHandler" => {
                unsecured::Claims::of(&self.module.options).map(Source::Unsecured)
            }
            "OAuthBearerLoginCallbackHandler" | "secured.OAuthBearerLoginCallbackHandler" => {
                self.secured()
            }
            _ => Err(refuse(key, handler, super::security::NO_CLASSES)),
        }
    }

    fn secured(&self) -> Result<Source> {
        let key = "sasl.oauthbearer.jwt.retriever.class";
        let retriever = self.get(key).unwrap_or_default();
        let known = retriever.strip_prefix(PACKAGE).unwrap_or(retriever);
        if !matches!(
            known,
            "" | "DefaultJwtRetriever" | "ClientCredentialsJwtRetriever" | "FileJwtRetriever"
        ) {
            return Err(refuse(key, retriever, super::security::NO_CLASSES));
        }
        let names = jwt::Names {
            scope: self
                .get("sasl.oauthbearer.scope.claim.name")
                .unwrap_or("scope")
                .to_owned(),
            sub: self
                .get("sasl.oauthbearer.sub.claim.name")
                .unwrap_or("sub")
                .to_owned(),
        };
        let key = "sasl.oauthbearer.token.endpoint.url";
        let url = self.get(key).ok_or_else(|| {
            Error::config(format!(
                "The OAuth configuration option {key} value is required"
            ))
        })?;
        let parsed = reqwest::Url::parse(url).map_err(|error| {
            Error::config(format!(
                "The OAuth configuration option {key} contains a URL ({url}) that is malformed"
            ))
            .with_source(error)
        })?;
        if parsed.scheme() == "file" {
            let path = parsed
                .to_file_path()
                .map_err(|()| refuse(key, url, "it names no file"))?;
            return Ok(Source::File(path, names));
        }
        if !matches!(parsed.scheme(), "http" | "https") {
            return Err(refuse(key, url, "http, https and file are known"));
        }
        let required = |key: &str, option: &str| {
            self.either(key, option).map(str::to_owned).ok_or_else(|| {
                Error::config(format!(
                    "The OAuth configuration option {key} (or {option} of sasl.jaas.config) is \
                     required"
                ))
            })
        };
        let urlencode = self
            .get("sasl.oauthbearer.header.urlencode")
            .is_some_and(|text| text.eq_ignore_ascii_case("true"));
        let optional_limit = |key: &str| -> Result<Option<Duration>> {
            let given: Option<u64> = match self.get(key) {
                None => None,
                Some(_) => Some(self.number(key, 0)?),
            };
            Ok(given.map(Duration::from_millis))
        };
        let tls = self
            .module
            .options
            .iter()
            .filter(|(option, _)| option.starts_with("ssl."))
            .map(|(option, value)| (option.clone(), value.clone()))
            .collect();
        let endpoint = endpoint::Endpoint {
            url: url.to_owned(),
            id: required("sasl.oauthbearer.client.credentials.client.id", "clientId")?,
            secret: required(
                "sasl.oauthbearer.client.credentials.client.secret",
                "clientSecret",
            )?,
            scope: self
                .either("sasl.oauthbearer.scope", "scope")
                .map(str::to_owned),
            urlencode,
            connect_limit: optional_limit("sasl.login.connect.timeout.ms")?,
            read_limit: optional_limit("sasl.login.read.timeout.ms")?,
            backoff: Duration::from_millis(self.number("sasl.login.retry.backoff.ms", 100)?),
            backoff_max: Duration::from_millis(
                self.number("sasl.login.retry.backoff.max.ms", 10_000)?,
            ),
            tls,
            names,
        };
        // What is wrong with its stores is said now, not when the first token is wanted.
        endpoint.check()?;
        Ok(Source::Endpoint(Box::new(endpoint)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kafka::jaas;

    fn applied(jaas: &str, entries: &[(&str, &str)]) -> Result<ClientConfig> {
        let props = entries
            .iter()
            .map(|&(key, value)| (key.to_owned(), value.to_owned()))
            .collect();
        let module = jaas::parse(jaas).expect("well formed");
        let mut config = ClientConfig::new();
        apply(&props, &module, &mut config)?;
        Ok(config)
    }

    const UNSECURED: &str = "x.OAuthBearerLoginModule required unsecuredLoginStringClaim_sub=ann;";
    const CREDENTIALS: &str =
        "x.OAuthBearerLoginModule required clientId=me clientSecret=\"hush\" scope=\"a b\";";
    const SECURED: (&str, &str) = (
        "sasl.login.callback.handler.class",
        "org.apache.kafka.common.security.oauthbearer.OAuthBearerLoginCallbackHandler",
    );

    #[test]
    fn equal_settings_share_a_login_and_its_token() {
        let one = applied(UNSECURED, &[]).expect("valid");
        let other = applied(UNSECURED, &[]).expect("valid");
        let handle_of = |config| handle(config).expect("a login").to_owned();
        assert_eq!(handle_of(&one), handle_of(&other));
        let (first, second) = (token(&handle_of(&one)), token(&handle_of(&other)));
        assert_eq!(first.expect("a token"), second.expect("the same"));
        let longer = UNSECURED.replace(';', " unsecuredLoginLifetimeSeconds=7200;");
        let longer = applied(&longer, &[]).expect("valid");
        assert_ne!(handle_of(&one), handle_of(&longer));
        assert_eq!(one.get("sasl.mechanism"), Some("OAUTHBEARER"));
    }

    #[test]
    fn each_setting_of_a_login_makes_another_one() {
        const URL: &str = "sasl.oauthbearer.token.endpoint.url";
        let usual = [SECURED, (URL, "http://127.0.0.1:1/token")];
        let of = |more: &[(&str, &str)]| {
            let module = jaas::parse(CREDENTIALS).expect("well formed");
            let pair = |&(key, value): &(&str, &str)| (key.to_owned(), value.to_owned());
            let props = usual.iter().chain(more).map(pair).collect();
            let settings = Settings {
                props: &props,
                module: &module,
            };
            let (source, refresh) = (settings.source(), settings.refresh());
            (source.expect("valid"), refresh.expect("valid"))
        };
        for (key, value) in [
            ("sasl.login.callback.handler.class", ""),
            (URL, "http://127.0.0.1:2/token"),
            ("sasl.oauthbearer.client.credentials.client.id", "you"),
            ("sasl.oauthbearer.client.credentials.client.secret", "x"),
            ("sasl.oauthbearer.scope", "c"),
            ("sasl.oauthbearer.scope.claim.name", "scp"),
            ("sasl.oauthbearer.sub.claim.name", "user"),
            ("sasl.oauthbearer.header.urlencode", "true"),
            ("sasl.login.connect.timeout.ms", "7"),
            ("sasl.login.read.timeout.ms", "7"),
            ("sasl.login.retry.backoff.ms", "7"),
            ("sasl.login.retry.backoff.max.ms", "7"),
            ("sasl.login.refresh.window.factor", "0.7"),
            ("sasl.login.refresh.window.jitter", "0.2"),
            ("sasl.login.refresh.min.period.seconds", "7"),
            ("sasl.login.refresh.buffer.seconds", "7"),
        ] {
            // Without the handler's class it is another kind of login, which wants other options.
            if value.is_empty() {
                assert!(applied(CREDENTIALS, &[usual[1]]).is_err(), "{key}");
                continue;
            }
            assert!(of(&[(key, value)]) != of(&[]), "{key}");
        }
    }

    #[test]
    fn what_cannot_be_honoured_is_refused() {
        let url = (
            "sasl.oauthbearer.token.endpoint.url",
            "http://127.0.0.1:1/token",
        );
        for (jaas, entries, expected) in [
            (CREDENTIALS, vec![SECURED], "token.endpoint.url"),
            (UNSECURED, vec![SECURED, url], "clientId"),
            (
                CREDENTIALS,
                vec![SECURED, ("sasl.oauthbearer.token.endpoint.url", "nowhere")],
                "malformed",
            ),
            (
                CREDENTIALS,
                vec![
                    SECURED,
                    ("sasl.oauthbearer.token.endpoint.url", "ftp://x/y"),
                ],
                "ftp://x/y",
            ),
            (
                CREDENTIALS,
                vec![
                    SECURED,
                    url,
                    ("sasl.oauthbearer.jwt.retriever.class", "x.Y"),
                ],
                "retriever",
            ),
            (
                CREDENTIALS,
                vec![("sasl.login.callback.handler.class", "x.Handler")],
                "x.Handler",
            ),
            (
                "x.L required clientId=me clientSecret=hush ssl.truststore.location=\"/no/such\";",
                vec![SECURED, url],
                "truststore",
            ),
            (
                "x.L required unsecuredLoginStringClaim_sub=a unsecuredLoginExtension_x=1;",
                vec![],
                "extension",
            ),
            (
                UNSECURED,
                vec![("sasl.login.refresh.window.factor", "x")],
                "factor",
            ),
        ] {
            let error = applied(jaas, &entries).expect_err(expected);
            let text = connect_api::error::Chain(&error).to_string();
            assert!(text.contains(expected), "{expected}: {text}");
            assert!(!text.contains("hush"), "{text}");
        }
    }

    #[test]
    fn a_token_is_renewed_late_in_its_life_but_before_its_end() {
        let refresh = Refresh {
            factor: 0.8,
            jitter: 0.05,
            min_period: Duration::from_secs(60),
            buffer: Duration::from_secs(300),
        };
        let token = |start, expires| Token {
            value: String::new(),
            principal: String::new(),
            start,
            expires,
        };
        // An hour: at four fifths, or a little later.
        assert_eq!(refresh.moment(0, &token(None, 3_600_000), 0.0), 2_880_000);
        assert_eq!(refresh.moment(0, &token(None, 3_600_000), 1.0), 3_060_000);
        // The buffer before the end comes first.
        assert_eq!(refresh.moment(0, &token(None, 1_000_000), 0.0), 700_000);
        // Too short for both times: they do not count.
        assert_eq!(refresh.moment(0, &token(None, 100_000), 0.0), 80_000);
        // One that is old already: not before the shortest period.
        assert_eq!(
            refresh.moment(3_000_000, &token(Some(0), 3_600_000), 0.0),
            3_060_000
        );
    }
}
