//! The file source and sink, the smallest connectors
