//! What a shard asks of the kernel for its thread.

mod sys;

pub(super) use sys::{pin, wake_promptly};
