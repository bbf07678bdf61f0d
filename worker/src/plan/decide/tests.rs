//! What is judged of connectors as a JVM cluster answers for them.

use serde_json::json;

use super::super::cluster::cluster;
use super::super::report;
use super::*;
use crate::providers::PROVIDERS;

/// Answers as a JVM worker gave them, shortened to what is read.
fn recorded() -> Cluster {
    let root = json!({"version": "4.2.0", "commit": "x", "kafka_cluster_id": "k1"});
    let plugins = json!([
        {"class": "io.confluent.connect.s3.S3SinkConnector", "type": "sink", "version": "10.5.17"},
    ]);
    let part = |state: &str| json!({"state": state, "worker_id": "10.0.0.1:8083", "version": "1"});
    let connector = |name: &str, class: &str, task: &str| {
        json!({
            "info": {"name": name, "config": {"name": name, "connector.class": class, "empty": null},
                     "tasks": [{"connector": name, "task": 0}], "type": "source"},
            "status": {"name": name, "connector": part("RUNNING"),
                       "tasks": [{"id": 0, "state": task, "worker_id": "10.0.0.2:8083"}], "type": "source"},
        })
    };
    let all = json!({
        "b": connector("b", "org.acme.Foo", "FAILED"),
        "a": connector("a", "io.confluent.connect.s3.S3SinkConnector", "RUNNING"),
    });
    cluster("http://c", &root, &plugins, &json!(["b", "a"]), &all).expect("complete answers")
}

fn plan(findings: Vec<Finding>, worker: Vec<Remark>) -> Plan {
    decide(recorded(), worker, findings, &Plugins::new(&[PROVIDERS]))
}

#[test]
fn a_cluster_is_read_from_its_answers_or_not_at_all() {
    let cluster = recorded();
    assert_eq!(cluster.connectors[0].name, "a", "by name");
    assert_eq!(cluster.connectors[1].tasks, ["FAILED"]);
    assert_eq!(cluster.connectors[1].config["empty"], None);
    let workers: Vec<&String> = cluster.connectors[0].workers.iter().collect();
    assert_eq!(workers, ["10.0.0.1:8083", "10.0.0.2:8083"]);
    // A connector that has no status yet.
    let half = json!({"a": {"info": {"config": {}}}});
    let none = super::super::cluster::cluster("u", &json!({}), &json!([]), &json!(["a"]), &half);
    assert_eq!(none, None);
}

#[test]
fn a_verdict_follows_from_what_was_found() {
    let obstacle = Finding {
        obstacles: vec![Remark::on("connector.class", "unknown")],
        differences: vec![Remark::of_all("other")],
        ..Finding::default()
    };
    let unchecked = Finding {
        unchecked: vec![Remark::of_all("a database")],
        ..Finding::default()
    };
    let plan = plan(vec![unchecked, obstacle], Vec::new());
    let verdicts: Vec<Verdict> = plan.connectors.iter().map(|one| one.verdict).collect();
    assert_eq!(verdicts, [Verdict::AsItIs, Verdict::InTheWay]);
    assert!(plan.is_blocked());
    assert!(plan.steps[0].starts_with("Settle"));
    assert_eq!(
        plan.notes,
        [
            "the cluster is of Kafka Connect 4.2.0, Ferroconnect answers as 4.3.1 does",
            "b has 1 FAILED task(s) already"
        ]
    );
    let text = report::text(&plan);
    assert!(
        text.contains("Cannot be taken over (1):\n  b (org.acme.Foo), RUNNING, 1 task(s)\n    ! connector.class: unknown\n    ~ other"),
        "{text}"
    );
    assert!(text.contains("10.0.0.1:8083, 10.0.0.2:8083"), "{text}");
    let json: serde_json::Value = serde_json::from_str(&report::json(&plan)).expect("JSON");
    assert_eq!(json["blocked"], true);
    assert_eq!(json["connectors"][1]["verdict"], "in-the-way");
    assert_eq!(
        json["connectors"][0]["unchecked"][0]["message"],
        "a database"
    );
}

#[test]
fn what_is_wrong_with_the_worker_is_in_the_way_of_all() {
    let fine = vec![Finding::default(), Finding::default()];
    assert!(!plan(fine.clone(), Vec::new()).is_blocked());
    let plan = plan(fine, vec![Remark::of_all("sasl.mechanism=GSSAPI")]);
    assert!(plan.is_blocked());
    assert!(report::text(&plan).contains("! sasl.mechanism=GSSAPI"));
}
