//! A record's headers: a list that copies share until one of them changes it.
//!
//! A source gives thousands of records the same headers; copying them must cost no more than a
//! pointer, and whoever converts them can see by [`Headers::same`] that they are those it has
//! converted before. Answers for `ConnectHeaders`.

use std::ops::Deref;
use std::sync::Arc;

use super::Header;

/// A record's headers, in order; a key may stand there more than once.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Headers(Option<Arc<Vec<Header>>>);

impl Headers {
    /// No headers.
    #[must_use]
    pub const fn new() -> Self {
        Self(None)
    }

    /// No headers yet, with room for some.
    #[must_use]
    pub fn with_capacity(capacity: usize) -> Self {
        match capacity {
            0 => Self(None),
            _ => Self(Some(Arc::new(Vec::with_capacity(capacity)))),
        }
    }

    /// One more at the end.
    pub fn push(&mut self, header: Header) {
        self.make_mut().push(header);
    }

    /// Leaves only those that `keep` says.
    pub fn retain(&mut self, keep: impl FnMut(&Header) -> bool) {
        if !self.is_empty() {
            self.make_mut().retain(keep);
        }
    }

    /// The list, to be changed; a shared one is copied first.
    pub fn make_mut(&mut self) -> &mut Vec<Header> {
        Arc::make_mut(self.0.get_or_insert_default())
    }

    /// Whether both are one and the same list; of two empty ones this is not said.
    #[must_use]
    pub fn same(&self, other: &Self) -> bool {
        match (&self.0, &other.0) {
            (Some(one), Some(other)) => Arc::ptr_eq(one, other),
            _ => false,
        }
    }
}

impl Deref for Headers {
    type Target = [Header];
    fn deref(&self) -> &[Header] {
        self.0.as_deref().map_or(&[], Vec::as_slice)
    }
}

impl<const N: usize> PartialEq<[Header; N]> for Headers {
    fn eq(&self, other: &[Header; N]) -> bool {
        **self == *other
    }
}

impl From<Vec<Header>> for Headers {
    fn from(headers: Vec<Header>) -> Self {
        Self((!headers.is_empty()).then(|| Arc::new(headers)))
    }
}

impl FromIterator<Header> for Headers {
    fn from_iter<I: IntoIterator<Item = Header>>(headers: I) -> Self {
        headers.into_iter().collect::<Vec<_>>().into()
    }
}

impl Extend<Header> for Headers {
    fn extend<I: IntoIterator<Item = Header>>(&mut self, headers: I) {
        for header in headers {
            self.push(header);
        }
    }
}

impl IntoIterator for Headers {
    type Item = Header;
    type IntoIter = std::vec::IntoIter<Header>;
    fn into_iter(self) -> Self::IntoIter {
        self.0
            .map_or_else(Vec::new, Arc::unwrap_or_clone)
            .into_iter()
    }
}

impl<'a> IntoIterator for &'a Headers {
    type Item = &'a Header;
    type IntoIter = std::slice::Iter<'a, Header>;
    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::{ByteString, SchemaAndValue};

    fn header(key: &'static str) -> Header {
        Header {
            key: ByteString::from_static(key),
            value: SchemaAndValue::NULL,
        }
    }

    #[test]
    fn a_copy_is_the_same_list_until_it_is_changed() {
        let given = Headers::from(vec![header("a"), header("b")]);
        let mut copy = given.clone();
        assert!(copy.same(&given));
        copy.push(header("c"));
        assert!(!copy.same(&given));
        assert_eq!((given.len(), copy.len()), (2, 3));
        copy.retain(|header| &*header.key != "c");
        assert_eq!(copy, given);
    }

    #[test]
    fn no_headers_are_the_same_as_no_others() {
        assert!(!Headers::new().same(&Headers::new()));
        assert_eq!(Headers::new().into_iter().count(), 0);
    }
}
