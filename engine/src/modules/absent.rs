//! In a build without the feature `wasm` no module can be used.

use fleetprompt_core::{Failure, Json};
use serde_json::Value;

pub(crate) const FUEL_MAX: u64 = 0;
pub(crate) const FUEL_PER_UNIT: u64 = 1;

pub(crate) enum Module {}

impl Module {
    pub fn compile(_: &[u8]) -> Result<Self, String> {
        Err("this program was built without the feature `wasm`".to_owned())
    }

    pub fn call(&self, _: &Value, _: u64) -> (Result<Json, Failure>, u64) {
        match *self {}
    }
}
