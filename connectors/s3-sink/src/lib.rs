//! The Confluent S3 sink connector
