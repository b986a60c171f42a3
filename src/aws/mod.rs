//! Room `aws`.
