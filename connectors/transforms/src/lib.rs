//! Transformations of single records, and predicates that say which records are transformed.
//!
//! One file per class. To add one: write its file, add one line to [`PLUGINS`]. Kafka's own,
//! Debezium's and Confluent's are here; what follows from a schema is worked out once per schema.
//!
//! Answers for `org.apache.kafka.connect.transforms`, `io.debezium.transforms` and
//! `io.confluent.connect.transforms`.

mod cast;
mod confluent;
mod debezium;
mod drop_headers;
mod extract_field;
mod extract_new_record_state;
mod field_path;
mod filter;
mod flatten;
mod header_from;
mod hoist_field;
mod insert_field;
mod insert_header;
mod mask_field;
mod operand;
mod predicates;
mod regex_router;
mod replace_field;
mod set_schema_metadata;
mod timestamp_converter;
mod timestamp_router;
mod value_to_key;

use connect_api::plugin::Plugin;

/// All transformations and predicates.
pub const PLUGINS: &[Plugin] = &[
    extract_new_record_state::PLUGIN,
    debezium::content::FILTER,
    debezium::content::ROUTER,
    debezium::decode_logical_decoding_message_content::PLUGIN,
    debezium::enforce_record_size::PLUGIN,
    debezium::event_router::PLUGIN,
    debezium::extract_changed_record_state::PLUGIN,
    debezium::extract_schema_to_new_record::PLUGIN,
    debezium::geometry::REFORMAT,
    debezium::geometry::SWAP,
    debezium::header_to_value::PLUGIN,
    debezium::partition_routing::PLUGIN,
    debezium::schema_change_event_filter::PLUGIN,
    debezium::timezone_converter::PLUGIN,
    debezium::topic_router::LOGICAL_TABLE,
    debezium::topic_router::LOGICAL_TOPIC,
    debezium::vector_to_json_converter::PLUGIN,
    confluent::extract_topic::HEADER,
    confluent::extract_topic::KEY,
    confluent::extract_topic::VALUE,
    confluent::message_timestamp_router::PLUGIN,
    confluent::tombstone_handler::PLUGIN,
    cast::KEY,
    cast::VALUE,
    drop_headers::PLUGIN,
    extract_field::KEY,
    extract_field::VALUE,
    filter::PLUGIN,
    flatten::KEY,
    flatten::VALUE,
    header_from::KEY,
    header_from::VALUE,
    hoist_field::KEY,
    hoist_field::VALUE,
    insert_field::KEY,
    insert_field::VALUE,
    insert_header::PLUGIN,
    mask_field::KEY,
    mask_field::VALUE,
    regex_router::PLUGIN,
    replace_field::KEY,
    replace_field::VALUE,
    set_schema_metadata::KEY,
    set_schema_metadata::VALUE,
    timestamp_converter::KEY,
    timestamp_converter::VALUE,
    timestamp_router::PLUGIN,
    value_to_key::PLUGIN,
    predicates::has_header_key::PLUGIN,
    predicates::record_is_tombstone::PLUGIN,
    predicates::topic_name_matches::PLUGIN,
];

#[cfg(test)]
mod chains;
#[cfg(test)]
mod option_effects;
#[cfg(test)]
mod tests;
