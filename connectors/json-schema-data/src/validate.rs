//! placeholder
/// v
#[derive(Debug)]
pub struct Validator;
