//! All SQL of this module.

pub(crate) mod lease;
pub(super) mod partitions;
pub(super) mod rows;
