//! A subcommand of the `ferroconnect` program that a plugin's crate brings along.

use crate::Result;
use crate::context::PluginContext;

/// A subcommand: `ferroconnect NAME …`.
#[derive(Clone, Copy, Debug)]
pub struct Subcommand {
    /// Its first word.
    pub name: &'static str,
    /// How it is called, a line for each form, without the program's name.
    pub usage: &'static str,
    /// Does it; gets the words after its own. An error ends the program with code 1.
    pub run: fn(&PluginContext, &[String]) -> Result<Answer>,
}

/// What a subcommand leaves behind.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// What goes to standard output.
    pub text: String,
    /// The exit code.
    pub code: u8,
}
