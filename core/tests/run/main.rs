//! What becomes of a run, as tables: the steps, what happens, and the timeline that follows. A file for
//! each part of the language; `properties` holds for all of it at once.

#[path = "../world/mod.rs"]
mod world;

mod compensation;
mod errors;
mod finish;
mod for_each;
mod functions;
mod joins;
mod locks;
mod operating;
mod order;
mod outputs;
mod pausing;
mod properties;
mod queue;
mod refusals;
mod repeat;
mod requests;
mod retries;
mod size;
mod stopping;
mod sub_workflows;
mod timeouts;
mod waits;
