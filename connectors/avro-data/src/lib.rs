//! Connect schemas and values as Avro, as AvroData maps them
