//! The `alleycat-operator` binary: parses arguments and hands over to `cli`.

fn main() {}
