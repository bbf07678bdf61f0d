//! Transformations and predicates
