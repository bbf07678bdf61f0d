//! TLS to the registry as `schema.registry.ssl.*` describes it. Opens no connection.
//!
//! Answers for the `SslFactory` that the registry's client makes of these options. Without any of
//! them the platform's roots are trusted and names are checked.

use connect_api::{Error, Props, Result};
use rustls::ClientConfig;

/// The client side of a TLS session under these options; `None` where there are none.
///
/// # Errors
/// Kind Config: a store cannot be read.
pub(crate) fn client_config(ssl: &Props) -> Result<Option<ClientConfig>> {
    if ssl.is_empty() {
        return Ok(None);
    }
    Err(Error::config("schema.registry.ssl.* is not read yet"))
}
