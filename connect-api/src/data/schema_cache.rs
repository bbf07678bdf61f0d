//! What was worked out for a schema, kept by the schema's address.
//!
//! Every entry holds its schema, so that an address is never reused while the cache knows it. The
//! cache is bounded: when it is full it starts anew, since a stream that brings ever new schemas
//! gains nothing from the old ones.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};
use std::sync::Arc;

use super::SchemaRef;

/// Results by schema, looked up by address.
#[derive(Clone, Debug)]
pub struct SchemaCache<T> {
    entries: HashMap<usize, (SchemaRef, T), BuildHasherDefault<AddressHasher>>,
    limit: usize,
}

impl<T> SchemaCache<T> {
    /// An empty cache of at most `limit` schemas (at least one).
    pub fn new(limit: usize) -> Self {
        Self {
            entries: HashMap::default(),
            limit: limit.max(1),
        }
    }
    /// How many schemas are known.
    pub fn len(&self) -> usize {
        self.entries.len()
    }
    /// Whether none is.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }
    /// What is known for this schema.
    pub fn get(&self, schema: &SchemaRef) -> Option<&T> {
        self.entries.get(&address(schema)).map(|(_, known)| known)
    }
    /// What is known for this schema, or else what `make` works out, kept from then on.
    pub fn get_or_insert_with(&mut self, schema: &SchemaRef, make: impl FnOnce() -> T) -> &mut T {
        let address = address(schema);
        if self.entries.len() >= self.limit && !self.entries.contains_key(&address) {
            self.entries.clear();
        }
        &mut self
            .entries
            .entry(address)
            .or_insert_with(|| (Arc::clone(schema), make()))
            .1
    }
    /// Like [`Self::get_or_insert_with`] where the work may fail; failures are not kept.
    ///
    /// # Errors
    /// What `make` fails with.
    pub fn get_or_try_insert_with<E>(
        &mut self,
        schema: &SchemaRef,
        make: impl FnOnce() -> Result<T, E>,
    ) -> Result<&mut T, E> {
        if !self.entries.contains_key(&address(schema)) {
            let made = make()?;
            return Ok(self.get_or_insert_with(schema, || made));
        }
        Ok(self.get_or_insert_with(schema, || unreachable!("the entry is there")))
    }
}

fn address(schema: &SchemaRef) -> usize {
    Arc::as_ptr(schema).addr()
}

/// Addresses are unique as they are; one multiplication spreads them over the table.
#[derive(Clone, Copy, Debug, Default)]
struct AddressHasher(u64);

impl Hasher for AddressHasher {
    fn finish(&self) -> u64 {
        self.0
    }
    fn write(&mut self, bytes: &[u8]) {
        for &byte in bytes {
            self.write_usize(usize::from(byte));
        }
    }
    fn write_usize(&mut self, address: usize) {
        // 2^64 over the golden ratio; the high bits, which the table uses first, depend on all bits.
        self.0 = (self.0 ^ address as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        self.0 ^= self.0 >> 32;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::Schema;

    #[test]
    fn work_is_done_once_per_schema_and_the_cache_stays_bounded() {
        let mut cache = SchemaCache::new(2);
        let schemas: Vec<SchemaRef> = (0..3).map(|_| Schema::int32().build()).collect();
        assert_eq!(*cache.get_or_insert_with(&schemas[0], || 1), 1);
        assert_eq!(*cache.get_or_insert_with(&schemas[0], || 2), 1);
        assert_eq!(*cache.get_or_insert_with(&schemas[1], || 3), 3);
        assert_eq!(*cache.get_or_insert_with(&schemas[2], || 4), 4);
        assert_eq!(cache.get(&schemas[0]), None, "the cache began anew");
        assert_eq!(
            cache.get_or_try_insert_with(&schemas[1], || Err("no")),
            Err("no")
        );
    }
}
