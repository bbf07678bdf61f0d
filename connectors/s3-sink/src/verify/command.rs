//! `ferroconnect s3 verify`: reads a bucket as a connector's configuration names it, and reports.

use connect_api::command::{Answer, Subcommand};
use connect_api::config::Config;
use connect_api::context::PluginContext;
use connect_api::{Error, Props, Result};
use futures::StreamExt;

use super::count::{Counting, records};
use super::{FileRange, coverage, report};
use crate::config::definition;
use crate::connector::with_storage_class;
use crate::object_key::ObjectKeys;
use crate::settings::{object_keys, separator, store_settings};
use crate::storage::Store;
use crate::storage::bucket::Stored;

/// Objects that are read at a time.
const PARALLEL: usize = 16;
/// The exit code where offsets are missing or doubled; 1 is an error.
const INCOMPLETE: u8 = 2;

/// `ferroconnect s3 …`.
pub(crate) const SUBCOMMAND: Subcommand = Subcommand {
    name: "s3",
    usage: "s3 verify [connector.json] [key=value ...]",
    run,
};

fn run(context: &PluginContext, words: &[String]) -> Result<Answer> {
    match words {
        [verb, rest @ ..] if verb == "verify" && !rest.is_empty() => verify(context, rest),
        _ => Err(Error::config(format!(
            "usage: ferroconnect {}\n  The options are those of the S3 sink: s3.bucket.name, \
             store.url, topics.dir, topics, …\n  Exit code 0: every offset is there exactly once; \
             {INCOMPLETE}: some are missing or doubled; 1: the bucket cannot be read.",
            SUBCOMMAND.usage
        ))),
    }
}

fn verify(context: &PluginContext, words: &[String]) -> Result<Answer> {
    let props = props(words)?;
    let config = definition().parse(&props)?;
    let store = Store::connect(&store_settings(&config)?, &context.runtime)?;
    let keys = object_keys(&config);
    let files = context
        .runtime
        .block_on(files(&store, &keys, &config, &props))?;
    let (report, is_complete) = report(store.place(), &coverage(&files));
    let mut text = format!("{report:#}");
    text.push('\n');
    Ok(Answer {
        text,
        code: if is_complete { 0 } else { INCOMPLETE },
    })
}

/// A connector's configuration with what the command line says otherwise.
fn props(words: &[String]) -> Result<Props> {
    let mut props = Props::new();
    for word in words {
        match word.split_once('=') {
            Some((key, value)) => {
                props.insert(key.trim_start_matches("--").to_owned(), value.to_owned());
            }
            None => props.extend(from_file(word)?),
        }
    }
    // What decides nothing about what is stored need not be said.
    for (key, value) in [
        ("flush.size", "1"),
        ("format.class", crate::format::JSON_CLASS),
    ] {
        props
            .entry(key.to_owned())
            .or_insert_with(|| value.to_owned());
    }
    Ok(with_storage_class(&props))
}

/// `{"name": …, "config": {…}}` or the configuration alone.
fn from_file(path: &str) -> Result<Props> {
    let failed = || format!("reading the connector's configuration from {path}");
    let text = std::fs::read_to_string(path)
        .map_err(|error| Error::config(failed()).with_source(error))?;
    let json: serde_json::Value =
        serde_json::from_str(&text).map_err(|error| Error::config(failed()).with_source(error))?;
    let config = json.get("config").unwrap_or(&json);
    let config = config
        .as_object()
        .ok_or_else(|| Error::config(failed()).with_source("it is no JSON object"))?;
    Ok(config
        .iter()
        .filter_map(|(key, value)| {
            let text = match value {
                serde_json::Value::Null => return None,
                serde_json::Value::String(text) => text.clone(),
                other => other.to_string(),
            };
            Some((key.clone(), text))
        })
        .collect())
}

async fn files(
    store: &Store,
    keys: &ObjectKeys,
    config: &Config,
    props: &Props,
) -> Result<Vec<FileRange>> {
    let topics: Vec<&str> = props
        .get("topics")
        .map_or("", String::as_str)
        .split(',')
        .map(str::trim)
        .filter(|topic| !topic.is_empty())
        .collect();
    let prefixes = match topics.as_slice() {
        [] => vec![keys.root()],
        topics => topics
            .iter()
            .map(|topic| keys.topic_prefix(topic))
            .collect(),
    };
    let mut found = Vec::new();
    for prefix in &prefixes {
        let listed = store.tried(|_| store.bucket.list(prefix)).await;
        found.extend(listed.map_err(|error| {
            Error::fatal(format!("listing {prefix} in {}", store.place())).with_source(error)
        })?);
    }
    let separator = separator(config);
    let counting = Counting {
        byte_array_extension: config.string("format.bytearray.extension"),
        byte_array_separator: &separator,
    };
    let named: Vec<(Stored, FileRange)> = found
        .into_iter()
        .filter_map(|object| {
            let range = keys.parse(&object.key)?;
            Some((object, range))
        })
        .collect();
    let counting = &counting;
    let counted = futures::stream::iter(named).map(|(object, mut range)| async move {
        range.records = records(&*store.bucket, &object, counting).await?;
        Ok(range)
    });
    let results: Vec<Result<FileRange>> = counted.buffer_unordered(PARALLEL).collect().await;
    results.into_iter().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_go_before_the_file_and_little_has_to_be_said() {
        let words = |words: &[&str]| {
            let words: Vec<String> = words.iter().map(|&word| word.to_owned()).collect();
            props(&words)
        };
        let path = std::env::temp_dir().join(format!("verify-{}.json", std::process::id()));
        std::fs::write(
            &path,
            r#"{"name":"c","config":{"s3.bucket.name":"b","flush.size":1000}}"#,
        )
        .expect("written");
        let path = path.display().to_string();
        let props = words(&[path.as_str(), "--s3.bucket.name=other"]).expect("read");
        std::fs::remove_file(&path).expect("removed");
        assert_eq!(props["s3.bucket.name"], "other");
        assert_eq!(props["flush.size"], "1000");
        definition().parse(&props).expect("complete");
        words(&["/no/such/file"]).expect_err("no file");
    }
}
