//! The attack ledger: holes that container engines had, carried out for real as root inside a container with our defaults.
//! Each test bears the ledger's id of its line in SECURITY.md.
//!
//! Every test runs behind a fence (fence.sh): a private mount namespace in which nothing but a scratch tmpfs can be written to,
//! so that a defence that breaks harms nobody. Where it is safe, the same payload also runs without the defence and must then
//! succeed, or a test that holds nothing off would pass.

mod allocators;
mod bombs;
mod budgets;
mod descriptors;
mod engine;
mod escapes;
mod fence;
mod files;
mod filters;
mod hogs;
mod image;
mod kernel;
mod limits;
mod mounts;
mod others;
mod pid1;
mod privileges;
mod proc;
#[path = "../common/record.rs"]
mod record;
mod stall;
mod taken_over;
mod throttle;
