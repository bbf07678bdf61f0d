//! A plan as text for people and as JSON for programs.

use std::fmt::Write as _;

use serde_json::{Value as Json, json};

use super::check::Remark;
use super::decide::{Decided, Plan, Verdict};

/// For people.
pub(super) fn text(plan: &Plan) -> String {
    let mut out = String::new();
    let cluster = &plan.cluster;
    // Writing to a string never fails.
    let mut line = |text: String| writeln!(out, "{text}").unwrap_or_default();
    line(format!(
        "{}: Kafka Connect {}, {} connector(s), Kafka cluster {}",
        cluster.url,
        cluster.version,
        cluster.connectors.len(),
        cluster.kafka_cluster_id
    ));
    for note in &plan.notes {
        line(format!("  note: {note}"));
    }
    if !plan.worker.is_empty() {
        line("\nIn the way in the worker's properties:".to_owned());
        for remark in &plan.worker {
            line(format!("  ! {}", shown(remark)));
        }
    }
    for (verdict, heading) in [
        (Verdict::InTheWay, "Cannot be taken over"),
        (Verdict::WithDifferences, "Taken over with differences"),
        (Verdict::AsItIs, "Taken over as it is"),
    ] {
        let those = |decided: &&Decided| decided.verdict == verdict;
        let count = plan.connectors.iter().filter(those).count();
        if count > 0 {
            line(format!("\n{heading} ({count}):"));
        }
        for decided in plan.connectors.iter().filter(those) {
            line(format!(
                "  {} ({}), {}, {} task(s)",
                decided.connector.name,
                decided.class(),
                decided.connector.state,
                decided.connector.tasks.len()
            ));
            let finding = &decided.finding;
            for (mark, remarks) in [
                ("!", &finding.obstacles),
                ("~", &finding.differences),
                ("?", &finding.unchecked),
            ] {
                for remark in remarks {
                    line(format!("    {mark} {}", shown(remark)));
                }
            }
        }
    }
    line("\n! in the way   ~ different   ? could not be checked from here".to_owned());
    for (heading, steps) in [("Steps", &plan.steps), ("Going back", &plan.back)] {
        line(format!("\n{heading}:"));
        for (number, step) in (1..).zip(steps) {
            line(format!("  {number}. {step}"));
        }
    }
    out
}

fn shown(remark: &Remark) -> String {
    match &remark.option {
        Some(option) => format!("{option}: {}", remark.text),
        None => remark.text.clone(),
    }
}

/// For programs.
pub(super) fn json(plan: &Plan) -> String {
    let remarks = |remarks: &[Remark]| -> Json {
        remarks
            .iter()
            .map(|remark| json!({"option": remark.option, "message": remark.text}))
            .collect()
    };
    let connectors: Vec<Json> = plan
        .connectors
        .iter()
        .map(|decided| {
            json!({
                "name": decided.connector.name,
                "class": decided.class(),
                "state": decided.connector.state,
                "tasks": decided.connector.tasks,
                "verdict": decided.verdict.name(),
                "obstacles": remarks(&decided.finding.obstacles),
                "differences": remarks(&decided.finding.differences),
                "unchecked": remarks(&decided.finding.unchecked),
            })
        })
        .collect();
    let answer = json!({
        "cluster": {
            "url": plan.cluster.url,
            "version": plan.cluster.version,
            "kafka_cluster_id": plan.cluster.kafka_cluster_id,
        },
        "blocked": plan.is_blocked(),
        "worker": remarks(&plan.worker),
        "notes": plan.notes,
        "connectors": connectors,
        "steps": plan.steps,
        "back": plan.back,
    });
    format!("{answer:#}\n")
}
