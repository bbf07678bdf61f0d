//! The rows of the signal table that mark a window.

use connect_api::data::json::write_string;

use crate::change::TableId;
use crate::emitter::now_ns;
use crate::protocol::quote_literal;
use crate::protocol::slot::quoted_table;

/// What the rows that mark a window say.
pub(super) struct Metadata {
    pub(super) open: String,
    pub(super) correlation: Option<String>,
    pub(super) collection: Option<String>,
}

impl Metadata {
    pub(super) fn json(&self, close: Option<&str>) -> String {
        let parts = [
            ("openWindowTimestamp", Some(self.open.as_str())),
            ("closeWindowTimestamp", close),
            ("correlationId", self.correlation.as_deref()),
            ("dataCollectionId", self.collection.as_deref()),
        ];
        let parts: Vec<String> = parts
            .iter()
            .filter_map(|(name, text)| Some(format!("\"{name}\": {}", json_text((*text)?))))
            .collect();
        format!("{{{}}}", parts.join(", "))
    }
}

pub(super) fn json_text(text: &str) -> String {
    let mut out = Vec::new();
    write_string(text, &mut out);
    String::from_utf8(out).unwrap_or_default()
}

pub(super) fn insert_sql(table: &TableId, id: &str, kind: &str, data: &str) -> String {
    format!(
        "INSERT INTO {} VALUES ({}, {}, {})",
        quoted_table(table),
        quote_literal(id),
        quote_literal(kind),
        quote_literal(data)
    )
}

/// Now, as `Instant.toString` shows it.
pub(super) fn instant_text() -> String {
    let now = now_ns();
    let (seconds, nanos) = (now.div_euclid(1_000_000_000), now.rem_euclid(1_000_000_000));
    let (days, second) = (seconds.div_euclid(86_400), seconds.rem_euclid(86_400));
    let (year, month, day) = connect_api::java::civil_from_days(days);
    let (hour, minute) = (second / 3600, second / 60 % 60);
    let second = second % 60;
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{nanos:09}Z")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn windows_are_marked_as_debezium_marks_them() {
        let opened = Metadata {
            open: "2026-11-21T13:13:54.485888309Z".to_owned(),
            correlation: Some("s1".to_owned()),
            collection: Some("public.a".to_owned()),
        };
        assert_eq!(
            opened.json(None),
            r#"{"openWindowTimestamp": "2026-11-21T13:13:54.485888309Z", "correlationId": "s1", "dataCollectionId": "public.a"}"#
        );
        assert!(
            opened
                .json(Some("x"))
                .contains(r#", "closeWindowTimestamp": "x", "#)
        );
        assert_eq!(instant_text().len(), "2026-11-21T13:13:54.485888309Z".len());
    }
}
