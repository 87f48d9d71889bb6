//! The snippet of docs/tokens.md, so that it is built and run.

#![expect(
    clippy::disallowed_methods,
    clippy::print_stderr,
    clippy::print_stdout,
    reason = "what a reader pastes into a program of his own is under no rules of this one"
)]

include!("../docs/examples/verify.rs");
