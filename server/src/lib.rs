//! How people reach FleetPrompt: one binary that is the server, the command line and the demo.

pub mod api;
pub mod backup;
mod begun;
pub mod cli;
pub mod copy;
pub mod demo;
pub mod dev;
pub mod doctor;
pub mod listen;
pub mod migrate;
pub mod node;
pub mod offline;
pub mod place;
pub mod restore;
pub mod serve;
pub mod settings;
mod traces;
pub mod verify;
