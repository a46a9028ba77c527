//! The typed client of the FleetPrompt API. The CLI is its first user.
//!
//! `wire` is what travels: the server answers with the same types, so that the two cannot drift.

mod client;
pub mod wire;

pub use client::{
    Callback, Client, DirectiveQuery, Error, InputQuery, ItemQuery, PageQuery, Replayed, RunQuery, SignalQuery,
};
