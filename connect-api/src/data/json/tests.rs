//! Vectors recorded from the JVM.
