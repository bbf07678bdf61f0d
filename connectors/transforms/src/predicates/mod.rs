//! Predicates: which records a transformation is applied to. One file per class.
//!
//! Answers for `org.apache.kafka.connect.transforms.predicates`.

pub(crate) mod has_header_key;
pub(crate) mod record_is_tombstone;
pub(crate) mod topic_name_matches;
