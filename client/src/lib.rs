#![doc = include_str!("../README.md")]
//!
//! The CLI is the client's first user. `wire` is what travels: the server answers with the same types, so that
//! the two cannot drift.

mod client;
pub mod wire;
pub mod worker;

pub use client::{
    Callback, Client, DirectiveQuery, Error, InputQuery, ItemQuery, PageQuery, Replayed, RunHistory, RunQuery,
    SignalQuery,
};
