//! Busyhour: one binary, many parts.
fn main() {}
