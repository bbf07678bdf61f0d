//! Files that were written are read back with the library's reader.
