//! All SQL of this module.

pub(super) mod lease;
pub(super) mod partitions;
pub(super) mod rows;
