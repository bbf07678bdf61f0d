//! Judges what was found, connector by connector, and lays the steps out. Pure.

use std::collections::BTreeSet;

use connect_api::plugin::PluginKind;

use super::check::{Finding, Remark, names};
use super::cluster::{Cluster, Connector};
use crate::plugins::Plugins;

/// What becomes of a connector.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Verdict {
    /// It is taken over as it is.
    AsItIs,
    /// It is taken over, and something will be otherwise.
    WithDifferences,
    /// It cannot be.
    InTheWay,
}

impl Verdict {
    /// The word for it in JSON.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::AsItIs => "as-it-is",
            Self::WithDifferences => "with-differences",
            Self::InTheWay => "in-the-way",
        }
    }
}

/// A connector with what was decided.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Decided {
    pub(super) connector: Connector,
    pub(super) verdict: Verdict,
    pub(super) finding: Finding,
}

impl Decided {
    /// The class that its configuration names.
    pub(super) fn class(&self) -> &str {
        let class = self.connector.config.get("connector.class");
        class.and_then(Option::as_deref).unwrap_or("no class")
    }
}

/// The whole answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Plan {
    pub(super) cluster: Cluster,
    /// What is in the way in the worker's properties.
    pub(super) worker: Vec<Remark>,
    /// What to know of the cluster.
    pub(super) notes: Vec<String>,
    pub(super) connectors: Vec<Decided>,
    pub(super) steps: Vec<String>,
    pub(super) back: Vec<String>,
}

impl Plan {
    /// Whether something has to be settled first.
    pub(super) fn is_blocked(&self) -> bool {
        let in_the_way = |decided: &Decided| decided.verdict == Verdict::InTheWay;
        !self.worker.is_empty() || self.connectors.iter().any(in_the_way)
    }
}

/// Judges; `findings` are those of the cluster's connectors, in order.
pub(super) fn decide(
    cluster: Cluster,
    worker: Vec<Remark>,
    findings: Vec<Finding>,
    plugins: &Plugins,
) -> Plan {
    let connectors: Vec<Decided> = cluster
        .connectors
        .iter()
        .cloned()
        .zip(findings)
        .map(|(connector, mut finding)| {
            let more = version_differences(&connector, &cluster.plugins, plugins);
            finding.differences.extend(more);
            let verdict = match &finding {
                found if !found.obstacles.is_empty() => Verdict::InTheWay,
                found if !found.differences.is_empty() => Verdict::WithDifferences,
                _ => Verdict::AsItIs,
            };
            Decided {
                connector,
                verdict,
                finding,
            }
        })
        .collect();
    let blocked = !worker.is_empty()
        || connectors
            .iter()
            .any(|decided| decided.verdict == Verdict::InTheWay);
    let (steps, back) = steps(&cluster, blocked);
    Plan {
        notes: notes(&cluster),
        worker,
        connectors,
        steps,
        back,
        cluster,
    }
}

/// Other versions of the plugins that a configuration names. Kafka's own go with the cluster's.
fn version_differences(
    connector: &Connector,
    theirs: &[(String, String)],
    ours: &Plugins,
) -> Vec<Remark> {
    let mut options = vec![
        ("connector.class".to_owned(), None),
        ("key.converter".to_owned(), Some(PluginKind::Converter)),
        ("value.converter".to_owned(), Some(PluginKind::Converter)),
    ];
    for name in names(&connector.config, "transforms") {
        let kind = Some(PluginKind::Transformation);
        options.push((format!("transforms.{name}.type"), kind));
    }
    let mut remarks = Vec::new();
    for (option, kind) in options {
        let Some(Some(class)) = connector.config.get(&option) else {
            continue;
        };
        let found = match kind {
            Some(kind) => ours.find(kind, class.trim()),
            None => ours.connector(class.trim()).ok(),
        };
        let Some(plugin) = found.filter(|plugin| !plugin.class.starts_with("org.apache.kafka."))
        else {
            continue;
        };
        let their = theirs.iter().find(|(known, _)| known == plugin.class);
        if let Some((class, version)) = their.filter(|(_, version)| version != plugin.version) {
            let ours = plugin.version;
            remarks.push(Remark::on(
                &option,
                format!("the cluster has version {version} of {class}, here it is as in {ours}"),
            ));
        }
    }
    remarks
}

fn notes(cluster: &Cluster) -> Vec<String> {
    let mut notes = Vec::new();
    if cluster.version != crate::KAFKA_VERSION {
        notes.push(format!(
            "the cluster is of Kafka Connect {}, Ferroconnect answers as {} does",
            cluster.version,
            crate::KAFKA_VERSION
        ));
    }
    for connector in &cluster.connectors {
        let tasks = connector.tasks.iter().filter(|state| *state == "FAILED");
        let failed = tasks.count();
        if connector.state == "FAILED" {
            notes.push(format!("{} is FAILED already", connector.name));
        } else if failed > 0 {
            notes.push(format!(
                "{} has {failed} FAILED task(s) already",
                connector.name
            ));
        }
    }
    notes
}

/// The way there, and the way back.
fn steps(cluster: &Cluster, blocked: bool) -> (Vec<String>, Vec<String>) {
    let workers: BTreeSet<&str> = cluster
        .connectors
        .iter()
        .flat_map(|connector| connector.workers.iter().map(String::as_str))
        .collect();
    let workers: Vec<&str> = workers.into_iter().collect();
    let which = match workers.is_empty() {
        true => "For each worker".to_owned(),
        false => format!(
            "For each worker (those that run something: {})",
            workers.join(", ")
        ),
    };
    let mut steps = Vec::new();
    if blocked {
        steps.push(
            "Settle what is in the way: change, or take out of this cluster, each connector that is \
             named above. A worker that does not know its class would fail it."
                .to_owned(),
        );
    }
    steps.extend([
        "Keep each worker.properties as it is: same bootstrap.servers, group.id, storage topics, \
         listeners, converters and security. plugin.path is not read."
            .to_owned(),
        "If the properties set exactly.once.source.support, keep its value: all workers of a group \
         have the same."
            .to_owned(),
        format!(
            "{which}, one at a time: stop the JVM worker with SIGTERM, start `ferroconnect \
             distributed worker.properties` in its place, wait until GET /health answers 200 and \
             GET /connectors?expand=status shows everything RUNNING, then take the next."
        ),
        "Where a JVM worker leads, what a stopped worker had is held back for \
         scheduled.rebalance.max.delay.ms (5 minutes by default) unless the worker is back sooner; \
         set it lower for the time of the swap, or do not wait between stop and start."
            .to_owned(),
        "Check: the same names in GET /connectors, no FAILED task, offsets that move on in GET \
         /connectors/NAME/offsets, and records in the topics."
            .to_owned(),
    ]);
    let back = vec![
        "The same, the other way round: for each worker, stop Ferroconnect with SIGTERM and start \
         the JVM worker with the same worker.properties. Configurations, offsets and statuses are \
         the JVM's own records, there is nothing to convert."
            .to_owned(),
        "Options that only Ferroconnect knows are passed over by the JVM; configurations that only \
         Ferroconnect accepts (see docs/deviations.md) fail there: change them first."
            .to_owned(),
    ];
    (steps, back)
}

#[cfg(test)]
mod tests;
