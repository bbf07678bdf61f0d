//! `ferroconnect plan`: reads a running Connect cluster and says what becomes of each connector when
//! Ferroconnect workers take it over, and how to go about it.
//!
//! [`cluster`] reads the cluster, [`check`] runs the worker's own validation over each
//! configuration, [`decide`] judges (pure), [`report`] writes it down. Changes nothing anywhere.

mod check;
mod cluster;
mod decide;
mod report;

use std::path::PathBuf;
use std::sync::Arc;

use connect_api::context::PluginContext;
use connect_api::java::parse_properties;
use connect_api::plugin::Plugin;
use connect_api::{Error, Props, Result};

use self::check::Checker;
use self::cluster::Access;
use crate::plugins::Plugins;
use crate::providers::PROVIDERS;
use crate::rest::decode;

/// How the command is called.
pub const USAGE: &str = "\
ferroconnect plan --from URL [--worker worker.properties] [--json] [--offline]
                         [--user NAME:PASSWORD] [--cacert FILE] [--cert FILE --key FILE] [--insecure]

Reads the Connect cluster that answers at URL and says for each connector whether Ferroconnect takes
it over as it is, with which differences, or why not; then the steps of a rolling swap, and back.
Nothing is changed.

  --from URL      http:// or https://, where it needs to be with NAME:PASSWORD@ before the host
  --worker FILE   the properties that the new workers will have: their config providers, converters
                  and override policy count, and are checked, too; https:// is called with their
                  stores (listeners.https.ssl.*, else ssl.*) where none of the options below is given
  --offline       does not contact databases, as validation otherwise does
  --user          basic authentication; without `:PASSWORD` it is taken from FERROCONNECT_PLAN_PASSWORD
  --cacert FILE   whose certificates are believed: PEM, or a JKS trust store
  --cert, --key   the certificate and key to show, PEM
  --insecure      believes any certificate
  --json          the answer as JSON

Exit code: 0, or 2 where something is in the way, or 1 where the cluster cannot be read.
";

/// The variable with the password of `--user`.
const PASSWORD: &str = "FERROCONNECT_PLAN_PASSWORD";

/// What the command line asks for.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Command {
    from: String,
    worker: Option<PathBuf>,
    user: Option<(String, String)>,
    cacert: Option<PathBuf>,
    cert: Option<PathBuf>,
    key: Option<PathBuf>,
    insecure: bool,
    offline: bool,
    json: bool,
}

impl Command {
    /// Reads the words behind `plan`; `variable` looks the environment up.
    ///
    /// # Errors
    /// What is wrong with them.
    pub fn parse(
        words: &[&str],
        variable: impl Fn(&str) -> Option<String>,
    ) -> Result<Self, String> {
        let mut command = Self::default();
        let mut user = None;
        let mut words = words.iter();
        while let Some(word) = words.next() {
            let mut value = || {
                let value = words.next().map(|value| (*value).to_owned());
                value.ok_or_else(|| format!("{word} needs a value"))
            };
            match *word {
                "--from" => command.from = value()?,
                "--worker" => command.worker = Some(value()?.into()),
                "--user" => user = Some(value()?),
                "--cacert" => command.cacert = Some(value()?.into()),
                "--cert" => command.cert = Some(value()?.into()),
                "--key" => command.key = Some(value()?.into()),
                "--insecure" => command.insecure = true,
                "--offline" => command.offline = true,
                "--json" => command.json = true,
                other => return Err(format!("{other} is not known")),
            }
        }
        if let Some((from, login)) = split_login(&command.from) {
            command.from = from;
            user = user.or(Some(login));
        }
        command.user = match user {
            None => None,
            Some(user) => Some(match user.split_once(':') {
                Some((name, password)) => (name.to_owned(), password.to_owned()),
                None => {
                    let password = variable(PASSWORD)
                        .ok_or_else(|| format!("user {user} has no password: set {PASSWORD}"))?;
                    (user, password)
                }
            }),
        };
        let is_http = ["http://", "https://"]
            .iter()
            .any(|scheme| command.from.starts_with(scheme));
        match command.from.as_str() {
            "" => Err("--from is missing".to_owned()),
            other if !is_http => Err(format!("--from {other}: begin it with http:// or https://")),
            _ if command.cert.is_some() != command.key.is_some() => {
                Err("--cert and --key go together".to_owned())
            }
            _ => Ok(command),
        }
    }

    /// Reads, checks and judges; answers the report and the exit code.
    ///
    /// # Errors
    /// The cluster or a file cannot be read.
    pub async fn run(
        &self,
        lists: &[&'static [Plugin]],
        context: &PluginContext,
    ) -> Result<(String, u8)> {
        let lists: Vec<&'static [Plugin]> = lists.iter().copied().chain([PROVIDERS]).collect();
        let plugins = Arc::new(Plugins::new(&lists));
        let given = match &self.worker {
            Some(path) => Some(read_properties(path)?),
            None => None,
        };
        let checker = Checker::new(given, &plugins, context, self.offline)?;
        let cluster = Access::new(self, checker.worker())?.read().await?;
        let mut findings = Vec::with_capacity(cluster.connectors.len());
        for connector in &cluster.connectors {
            findings.push(checker.check(connector).await);
        }
        let plan = decide::decide(cluster, checker.worker_problems(), findings, &plugins);
        let text = match self.json {
            true => report::json(&plan),
            false => report::text(&plan),
        };
        Ok((text, if plan.is_blocked() { 2 } else { 0 }))
    }
}

/// A URL without the login that stands before its host, and that login.
fn split_login(url: &str) -> Option<(String, String)> {
    let (scheme, rest) = url.split_once("://")?;
    let end = rest.find('/').unwrap_or(rest.len());
    let (login, host) = rest.get(..end)?.rsplit_once('@')?;
    // A plus is a plus here, and no space as in a query.
    let part = |text: &str| decode(&text.replace('+', "%2B"));
    let login = match login.split_once(':') {
        Some((name, password)) => format!("{}:{}", part(name), part(password)),
        None => part(login),
    };
    Some((format!("{scheme}://{host}{}", rest.get(end..)?), login))
}

fn read_properties(path: &std::path::Path) -> Result<Props> {
    let failed = || format!("reading the worker's properties from {}", path.display());
    let text = std::fs::read_to_string(path)
        .map_err(|error| Error::config(failed()).with_source(error))?;
    parse_properties(&text).map_err(|error| Error::config(failed()).with_source(error))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(words: &[&str]) -> Result<Command, String> {
        Command::parse(words, |name| (name == PASSWORD).then(|| "s3".to_owned()))
    }

    #[test]
    fn a_command_line_is_read_or_refused_with_the_word_that_is_wrong() {
        let full = parse(&[
            "--from",
            "https://c:8083",
            "--user",
            "ann",
            "--cacert",
            "ca.pem",
            "--json",
        ])
        .expect("good");
        assert_eq!(full.user, Some(("ann".to_owned(), "s3".to_owned())));
        assert!(full.json && !full.offline);
        let user = parse(&["--from", "http://c", "--user", "a:b:c"])
            .expect("good")
            .user;
        assert_eq!(user, Some(("a".to_owned(), "b:c".to_owned())));
        for (words, why) in [
            (&["--json"][..], "--from is missing"),
            (&["--from"], "--from needs a value"),
            (
                &["--from", "c:8083"],
                "--from c:8083: begin it with http:// or https://",
            ),
            (
                &["--from", "http://c", "--key", "k"],
                "--cert and --key go together",
            ),
            (&["--from", "http://c", "--fast"], "--fast is not known"),
        ] {
            assert_eq!(parse(words), Err(why.to_owned()));
        }
        let both = parse(&["--from", "https://ann:s%40+x@c:8083/sub"]).expect("good");
        assert_eq!(both.from, "https://c:8083/sub", "no message shows it");
        assert_eq!(both.user, Some(("ann".to_owned(), "s@+x".to_owned())));
        let named = parse(&["--from", "http://ann@c"]).expect("good");
        assert_eq!(named.user, Some(("ann".to_owned(), "s3".to_owned())));
        let no_password = Command::parse(&["--from", "http://c", "--user", "ann"], |_| None);
        assert!(no_password.is_err_and(|why| why.contains(PASSWORD)));
    }
}
