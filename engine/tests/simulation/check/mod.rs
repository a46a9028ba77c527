//! What must be so after every input, whatever happened.

mod alive;
pub mod fair;
mod flow;
mod shared;
pub mod told;
mod undo;
pub mod written;

use fleetprompt_core::Signal;

use crate::world::World;

/// Or what is not as it must be.
pub type Held = Result<(), String>;

pub fn hold(holds: bool, otherwise: impl FnOnce() -> String) -> Held {
    if holds { Ok(()) } else { Err(otherwise()) }
}

pub fn all(world: &World, fresh: &[Signal]) -> Held {
    told::check(world, fresh)?;
    flow::check(world)?;
    undo::check(world, fresh)?;
    shared::check(world, fresh)?;
    alive::check(world)
}
