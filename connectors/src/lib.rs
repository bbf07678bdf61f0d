//! The list of plugins that Ferroconnect carries
