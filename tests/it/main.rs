//! Integration tests, one binary.

mod plan;
