//! The Connect worker: REST API, herder, stores and tasks
