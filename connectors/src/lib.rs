//! The list of all plugins that Ferroconnect carries.
//!
//! To add a connector: write its crate beside this one (the smallest to copy is `file/`), name it
//! in this crate's `Cargo.toml`, and add one line to [`PLUGINS`]. Nothing else knows the plugins;
//! the worker looks them up here by class or alias.

use connect_api::command::Subcommand;
use connect_api::plugin::Plugin;

/// All families of plugins. A family is one crate and lists its own.
pub const PLUGINS: &[&[Plugin]] = &[
    file_connector::PLUGINS,
    postgres_source::PLUGINS,
    s3_sink::PLUGINS,
    transforms::PLUGINS,
    converters::PLUGINS,
    avro_converter::PLUGINS,
    registry_converters::PLUGINS,
];

/// All plugins, one after the other.
pub fn plugins() -> impl Iterator<Item = &'static Plugin> {
    PLUGINS.iter().copied().flatten()
}

/// All subcommands of `ferroconnect` that are not the worker's own, one line each.
pub const SUBCOMMANDS: &[Subcommand] = &[s3_sink::SUBCOMMAND];
