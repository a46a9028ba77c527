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

use fleetprompt_core::TenantId;
use fleetprompt_core::function::ModuleDigest;
use fleetprompt_store::{Result, Store};
use parking_lot::Mutex;
use sha2::{Digest, Sha256};

pub(crate) use sandbox::{FUEL_MAX, FUEL_PER_UNIT, Module};

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
    compiled: Mutex<Compiled>,
}

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
    pub fn new(store: Arc<dyn Store>) -> Self {
        Self { store, compiled: Mutex::default() }
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
