//! Integration tests, in one binary.

mod plane;
