//! What was made of a schema, by topic. Looking up what the last record needed compares two words
//! and a topic; the rest is a bounded map that starts anew when it is full.

use std::collections::HashMap;
use std::hash::Hash;

/// Results by topic and key.
#[derive(Debug)]
pub(crate) struct Known<K, T> {
    /// By topic, then by key.
    topics: HashMap<String, HashMap<K, T>>,
    size: usize,
    limit: usize,
}

impl<K: Copy + Eq + Hash, T> Known<K, T> {
    /// Room for `limit` results, at least one.
    pub(crate) fn new(limit: usize) -> Self {
        Self {
            topics: HashMap::new(),
            size: 0,
            limit: limit.max(1),
        }
    }
    /// What is known.
    pub(crate) fn get(&self, topic: &str, key: K) -> Option<&T> {
        self.topics.get(topic)?.get(&key)
    }
    /// What is known, to add to it.
    pub(crate) fn get_mut(&mut self, topic: &str, key: K) -> Option<&mut T> {
        self.topics.get_mut(topic)?.get_mut(&key)
    }
    /// Keeps a result.
    pub(crate) fn insert(&mut self, topic: &str, key: K, known: T) {
        if self.size >= self.limit {
            self.topics.clear();
            self.size = 0;
        }
        let of_topic = self.topics.entry(topic.to_owned()).or_default();
        if of_topic.insert(key, known).is_none() {
            self.size += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_are_kept_by_topic_and_key_up_to_a_limit() {
        let mut known = Known::new(2);
        known.insert("a", 1, "a1");
        known.insert("b", 1, "b1");
        assert_eq!(known.get("a", 1), Some(&"a1"));
        assert_eq!(known.get("b", 1), Some(&"b1"));
        assert_eq!(known.get("b", 2), None);
        known.insert("a", 2, "a2");
        assert_eq!(known.get("a", 1), None, "it began anew");
        assert_eq!(known.get("a", 2), Some(&"a2"));
    }
}
