//! All SQL of this module.

pub(super) mod carried;
pub(super) mod count;
pub(super) mod rows;
pub(super) mod used;
