//! Connect values as JSON, as `JsonConverter` maps them: with an envelope of schema and payload, or bare.
