//! The API over an engine with a store in memory: what each endpoint answers, that tenants never
//! see each other, and that nothing hostile gets further than a problem.

mod directives;
mod document;
mod hostile;
mod isolation;
mod operating;
mod operations;
mod pages;
mod people;
mod runs;
mod schedules;
mod server;
mod signals;
mod streams;
mod workflows;
