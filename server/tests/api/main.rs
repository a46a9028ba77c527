//! The API over an engine with a store in memory: what each endpoint answers, that tenants never
//! see each other, and that nothing hostile gets further than a problem.

mod directives;
mod hostile;
mod isolation;
mod operations;
mod people;
mod runs;
mod server;
mod signals;
mod streams;
mod workflows;
