//! Modules of WebAssembly that tenants uploaded for functions of their own. They are compiled when they are
//! first called, and stay compiled while there is room.

#[cfg_attr(not(feature = "wasm"), path = "absent.rs")]
mod sandbox;

/// Its example compiles.
#[cfg(doctest)]
#[doc = include_str!("../../../docs/modules.md")]
mod page {}

#[cfg(all(test, feature = "wasm"))]
mod tests;

use std::collections::HashMap;
use std::sync::Arc;

use fleetprompt_core::function::ModuleDigest;
use fleetprompt_core::{Failure, Json, TenantId};
use fleetprompt_store::{Result, Store};
use parking_lot::Mutex;
use serde_json::Value;
use sha2::{Digest, Sha256};

pub(crate) use sandbox::{FUEL_MAX, FUEL_PER_UNIT, Module};

/// What a call may use within a decision, about 3 ms; a longer one becomes an attempt of its step.
pub(crate) const DECISION_FUEL_MAX: u64 = 300_000;
/// A module of this size is compiled within a decision, in about a millisecond.
const DECISION_COMPILE_BYTES_MAX: usize = 32 << 10;
/// What compiling is charged as.
const FUEL_PER_COMPILED_BYTE: u64 = 3;

/// Of one module.
pub const BYTES_MAX: usize = 1 << 20;
/// Of one tenant, in number and in bytes.
pub const MODULES_MAX: usize = 100;
pub const TENANT_BYTES_MAX: u64 = 16 << 20;
/// Of the modules that stay compiled, which takes some times as much.
const COMPILED_BYTES_MAX: usize = 32 << 20;

pub fn digest(bytes: &[u8]) -> ModuleDigest {
    ModuleDigest::of_sha256(Sha256::digest(bytes).into())
}

pub(crate) struct Modules {
    store: Arc<dyn Store>,
    decision_fuel: u64,
    compiled: Mutex<Compiled>,
}

/// What a call comes to.
pub(crate) type Called = std::result::Result<Json, Failure>;

#[derive(Default)]
struct Compiled {
    modules: HashMap<ModuleDigest, Kept>,
    bytes: usize,
    /// Counts the calls: the module whose last one is longest ago goes first.
    turn: u64,
}

struct Kept {
    module: Arc<Module>,
    bytes: usize,
    turn: u64,
}

impl Modules {
    /// Calls within a decision may use `decision_fuel`; with as much as any call may, all are made there.
    pub fn new(store: Arc<dyn Store>, decision_fuel: u64) -> Self {
        Self { store, decision_fuel, compiled: Mutex::default() }
    }

    /// Whether a call that takes longer than a decision may wait is made elsewhere.
    pub fn defers_long_calls(&self) -> bool {
        self.decision_fuel < FUEL_MAX
    }

    /// A call within a decision, and the fuel that it used. `None`: compiling the module, which has `size` bytes, or
    /// the call takes longer than a decision may wait.
    pub fn call_in_decision(
        &self,
        tenant: TenantId,
        (digest, size): (&ModuleDigest, usize),
        input: &Value,
    ) -> Result<(Option<Called>, u64)> {
        let is_bounded = self.defers_long_calls();
        let (compiled, mut used) = (self.compiled.lock().find(digest), 0);
        let module = match compiled {
            Some(module) => module,
            None if is_bounded && size > DECISION_COMPILE_BYTES_MAX => return Ok((None, 0)),
            None => {
                used = size as u64 * FUEL_PER_COMPILED_BYTE;
                match self.get(tenant, digest)? {
                    Ok(module) => module,
                    Err(why) => return Ok((Some(Err(unusable(why))), used)),
                }
            }
        };
        let (output, of_call) = module.call(input, self.decision_fuel);
        let is_cut_off = matches!(&output, Err(failure) if failure.code == "function_out_of_fuel");
        Ok((if is_cut_off && is_bounded { None } else { Some(output) }, used + of_call))
    }

    /// A call with all the fuel that one may use.
    pub fn call(&self, tenant: TenantId, digest: &ModuleDigest, input: &Value) -> Result<Called> {
        Ok(match self.get(tenant, digest)? {
            Ok(module) => module.call(input, FUEL_MAX).0,
            Err(why) => Err(unusable(why)),
        })
    }

    /// One that the tenant has, ready to be called, or why it cannot be.
    pub fn get(&self, tenant: TenantId, digest: &ModuleDigest) -> Result<std::result::Result<Arc<Module>, String>> {
        if let Some(module) = self.compiled.lock().find(digest) {
            return Ok(Ok(module));
        }
        let Some(bytes) = self.store.module(tenant, digest)? else { return Ok(Err("it is not there".to_owned())) };
        Ok(Module::compile(&bytes).map(|module| self.put(digest.clone(), bytes.len(), module)))
    }

    /// Keeps one that was compiled to see whether it can be.
    pub fn put(&self, digest: ModuleDigest, bytes: usize, module: Module) -> Arc<Module> {
        let module = Arc::new(module);
        self.compiled.lock().put(digest, bytes, module.clone());
        module
    }
}

fn unusable(why: String) -> Failure {
    Failure::fatal("module_unusable", why)
}

impl Compiled {
    fn find(&mut self, digest: &ModuleDigest) -> Option<Arc<Module>> {
        self.turn += 1;
        let kept = self.modules.get_mut(digest)?;
        kept.turn = self.turn;
        Some(kept.module.clone())
    }

    fn put(&mut self, digest: ModuleDigest, bytes: usize, module: Arc<Module>) {
        self.turn += 1;
        if let Some(before) = self.modules.insert(digest, Kept { module, bytes, turn: self.turn }) {
            self.bytes -= before.bytes;
        }
        self.bytes += bytes;
        while self.bytes > COMPILED_BYTES_MAX {
            let Some(oldest) = self.modules.iter().min_by_key(|(_, kept)| kept.turn) else { return };
            let digest = oldest.0.clone();
            self.bytes -= self.modules.remove(&digest).map_or(0, |kept| kept.bytes);
        }
    }
}
