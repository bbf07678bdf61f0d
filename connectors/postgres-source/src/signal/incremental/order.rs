//! The order in which Debezium finds its tables, which is that of a signal's snapshots where a
//! regular expression matches several.
//!
//! Debezium reads the columns of all tables in the order of their names into a `HashMap`, by
//! `computeIfAbsent`, which puts what is new before what shares its bucket. From there the tables
//! go into a `ConcurrentHashMap`, and for each signal into another.

use connect_api::java::{HashMap, JavaHash, concurrent_order, string_hash};

use crate::change::TableId;

struct Named(String, TableId);

impl JavaHash for Named {
    fn java_hash(&self) -> i32 {
        string_hash(&self.0)
    }
}

/// Tables, which come sorted, with their names in Debezium's order.
pub(super) fn debeziums_order(tables: Vec<TableId>) -> Vec<(String, TableId)> {
    let mut read: HashMap<String, TableId> = HashMap::new();
    for id in tables.into_iter().rev() {
        read.insert(id.to_string(), id);
    }
    let read = read
        .iter()
        .map(|(name, id)| Named(name.clone(), id.clone()));
    let tables = concurrent_order(concurrent_order(read));
    tables
        .into_iter()
        .map(|Named(name, id)| (name, id))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tables_come_as_in_debezium() {
        let id = |name: &str| {
            let (schema, table) = match name {
                "S.x.T.y" => ("S.x", "T.y"),
                _ => name.split_once('.').unwrap_or(("public", name)),
            };
            let (schema, table) = (schema.to_owned(), table.to_owned());
            TableId { schema, table }
        };
        let mut tables: Vec<TableId> = [
            "S.x.T.y", "We Ird", "big", "emp", "f_alpha", "f_beta", "f_delta", "f_eps", "f_gamma",
            "mk", "nopk", "sig", "uq",
        ]
        .map(id)
        .to_vec();
        tables.extend((0..14).map(|n| id(&format!("m_{n}"))));
        tables.sort();
        // What `Tables.subset` has after `readSchema` of a database with these tables.
        let expected = [
            "public.f_beta",
            "public.big",
            "public.We Ird",
            "public.nopk",
            "public.m_9",
            "public.m_7",
            "public.m_8",
            "public.f_alpha",
            "S.x.T.y",
            "public.f_delta",
            "public.m_1",
            "public.m_2",
            "public.m_0",
            "public.m_5",
            "public.m_6",
            "public.f_gamma",
            "public.f_eps",
            "public.m_3",
            "public.m_4",
            "public.m_13",
            "public.m_12",
            "public.emp",
            "public.uq",
            "public.sig",
            "public.mk",
            "public.m_11",
            "public.m_10",
        ];
        let order = debeziums_order(tables);
        let names: Vec<&str> = order.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(names, expected);
    }
}
