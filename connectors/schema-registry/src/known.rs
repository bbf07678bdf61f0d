//! What was made of a schema, by topic. Looking up what the last record needed compares a word and a
//! topic; the rest is a bounded map that starts anew when it is full.

use std::cell::Cell;
use std::collections::HashMap;
use std::hash::Hash;

/// Results by topic and key.
#[derive(Debug)]
pub struct Known<K, T> {
    entries: Vec<(Box<str>, K, T)>,
    /// Places in `entries`, by topic, then by key.
    places: HashMap<Box<str>, HashMap<K, usize>>,
    /// The place that was asked for last.
    last: Cell<usize>,
    limit: usize,
}

impl<K: Copy + Eq + Hash, T> Known<K, T> {
    /// Room for `limit` results, at least one.
    pub fn new(limit: usize) -> Self {
        Self {
            entries: Vec::new(),
            places: HashMap::new(),
            last: Cell::new(0),
            limit: limit.max(1),
        }
    }
    /// How many results are kept.
    pub fn len(&self) -> usize {
        self.entries.len()
    }
    /// Whether none is.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }
    /// What is known.
    #[inline]
    pub fn get(&self, topic: &str, key: K) -> Option<&T> {
        self.entries
            .get(self.place(topic, key)?)
            .map(|(_, _, known)| known)
    }
    /// What is known, to add to it.
    #[inline]
    pub fn get_mut(&mut self, topic: &str, key: K) -> Option<&mut T> {
        let place = self.place(topic, key)?;
        self.entries.get_mut(place).map(|(_, _, known)| known)
    }

    #[inline]
    fn place(&self, topic: &str, key: K) -> Option<usize> {
        let last = self.last.get();
        let same = |(of, known, _): &(Box<str>, K, T)| *known == key && **of == *topic;
        if self.entries.get(last).is_some_and(same) {
            return Some(last);
        }
        let place = *self.places.get(topic)?.get(&key)?;
        self.last.set(place);
        Some(place)
    }

    /// Keeps a result.
    pub fn insert(&mut self, topic: &str, key: K, known: T) {
        if let Some(place) = self.get_mut(topic, key) {
            *place = known;
            return;
        }
        if self.entries.len() >= self.limit {
            self.entries.clear();
            self.places.clear();
        }
        let of_topic = self.places.entry(topic.into()).or_default();
        of_topic.insert(key, self.entries.len());
        self.entries.push((topic.into(), key, known));
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
        for _ in 0..2 {
            assert_eq!(known.get("a", 1), Some(&"a1"));
            assert_eq!(known.get("b", 1), Some(&"b1"));
        }
        assert_eq!(known.get("b", 2), None);
        known.insert("b", 1, "again");
        assert_eq!((known.get("b", 1), known.len()), (Some(&"again"), 2));
        known.insert("a", 2, "a2");
        assert_eq!(known.get("a", 1), None, "it began anew");
        assert_eq!(known.get("a", 2), Some(&"a2"));
    }
}
