//! One module, called in a sandbox: JSON goes in as bytes, JSON comes out as bytes, and there is nothing else.
//!
//! A module imports nothing, so it has no clock, no chance and no network: what it gives follows from what it is
//! given. Each call begins with a memory of its own, so nothing stays from one call, or one tenant, to the next.
//! Fuel bounds the work and a limit the memory, so a decision may wait for it.

use fleetprompt_core::signal::is_plain_text;
use fleetprompt_core::{Failure, Json};
use serde::Deserialize;
use serde_json::Value;
use wasmi::{
    CompilationMode, Config, EnforcedLimits, Engine, ExternType, FuncType, Instance, Linker, Memory, Store,
    StoreLimits, StoreLimitsBuilder, TrapCode, ValType,
};

use super::BYTES_MAX;
use crate::functions::value;

/// What one call may use: an instruction takes about one.
pub(crate) const FUEL_MAX: u64 = 10_000_000;
/// So much fuel is one unit of the work of a decision.
pub(crate) const FUEL_PER_UNIT: u64 = 3;
/// What a call takes before its first instruction, and its memory comes on top.
const BEGIN_FUEL: u64 = 5_000;
const PAGE_BYTES: u64 = 64 << 10;
const MEMORY_BYTES_MAX: usize = 16 << 20;
const TABLE_ELEMENTS_MAX: usize = 20_000;
/// So many bytes are cleared or copied for one unit of fuel.
const BYTES_PER_FUEL: u64 = 64;

/// Each with an engine of its own, which keeps the code, so that it goes when the module does.
pub(crate) struct Module {
    engine: Engine,
    module: wasmi::Module,
    memory_pages: u64,
}

/// What a module says that fails.
#[derive(Deserialize)]
struct Said {
    code: String,
    #[serde(default)]
    message: String,
}

impl Module {
    /// Checks that it is a module that can be called here.
    pub fn compile(bytes: &[u8]) -> Result<Self, String> {
        if bytes.len() > BYTES_MAX {
            return Err(format!("it has {} bytes; at most {BYTES_MAX} are allowed", bytes.len()));
        }
        let engine = Engine::new(&config());
        // All of it before any of it is compiled: the compiler breaks off at code after the end of a function.
        wasmi::Module::validate(&engine, bytes).map_err(|error| error.to_string())?;
        let module = wasmi::Module::new(&engine, bytes).map_err(|error| error.to_string())?;
        if let Some(import) = module.imports().next() {
            let (module, name) = (import.module(), import.name());
            return Err(format!("it imports `{module}.{name}`, and there is nothing to import"));
        }
        let function = |name: &str, parameters: &[ValType], result: ValType| {
            let is_there = matches!(module.get_export(name), Some(ExternType::Func(kind))
                if kind == FuncType::new(parameters.iter().copied(), [result]));
            if is_there {
                Ok(())
            } else {
                Err(format!("it does not export `{name}` as a function {}", signature(name)))
            }
        };
        function("alloc", &[ValType::I32], ValType::I32)?;
        function("call", &[ValType::I32, ValType::I32], ValType::I64)?;
        let Some(ExternType::Memory(memory)) = module.get_export("memory") else {
            return Err("it does not export its `memory`".to_owned());
        };
        let memory_pages = memory.minimum();
        if memory_pages > MEMORY_BYTES_MAX as u64 / PAGE_BYTES {
            return Err(format!("its memory begins with more than {} MiB", MEMORY_BYTES_MAX >> 20));
        }
        Ok(Self { engine, module, memory_pages })
    }

    /// What it gives, and how much fuel that took; there is `fuel` left.
    pub fn call(&self, input: &Value, fuel: u64) -> (Result<Json, Failure>, u64) {
        let begin = BEGIN_FUEL + self.memory_pages * PAGE_BYTES / BYTES_PER_FUEL;
        // Without any left nothing is begun: a memory is work as well.
        let Some(budget) = fuel.min(FUEL_MAX).checked_sub(begin) else { return (Err(out_of_fuel()), fuel) };
        let limits = StoreLimitsBuilder::new()
            .memory_size(MEMORY_BYTES_MAX)
            .table_elements(TABLE_ELEMENTS_MAX)
            .instances(1)
            .memories(1)
            .tables(8)
            .build();
        let mut store = Store::new(&self.engine, limits);
        store.limiter(|limits| limits);
        let result = store.set_fuel(budget).map_err(|error| trapped(&error)).and_then(|()| {
            let given = self.call_in(&mut store, input)?;
            output(&given)
        });
        let left = store.get_fuel().unwrap_or(0);
        (result, begin + budget.saturating_sub(left))
    }

    fn call_in(&self, store: &mut Store<StoreLimits>, input: &Value) -> Result<Vec<u8>, Failure> {
        let input = input.to_string();
        let size = u32::try_from(input.len()).ok().filter(|size| *size as usize <= value::BYTES_MAX);
        let size = size.ok_or_else(|| Failure::fatal("input_too_large", "the input is larger than 1 MiB"))?;
        let linker = Linker::new(&self.engine);
        let instance = linker.instantiate_and_start(&mut *store, &self.module).map_err(|error| trapped(&error))?;
        let memory = memory(&instance, store)?;
        let alloc = instance.get_typed_func::<u32, u32>(&*store, "alloc").map_err(|error| trapped(&error))?;
        let call = instance.get_typed_func::<(u32, u32), i64>(&*store, "call").map_err(|error| trapped(&error))?;

        let at = alloc.call(&mut *store, size).map_err(|error| trapped(&error))?;
        let is_within = memory.write(&mut *store, at as usize, input.as_bytes()).is_ok();
        if !is_within {
            return Err(Failure::fatal("function_trapped", "`alloc` gave a place outside of the memory"));
        }
        let told = call.call(&mut *store, (at, size)).map_err(|error| trapped(&error))?;
        let given = bytes_at(memory.data(&*store), told.unsigned_abs())?;
        if told < 0 { Err(failure(given)) } else { Ok(given.to_vec()) }
    }
}

fn config() -> Config {
    let mut config = Config::default();
    config
        .consume_fuel(true)
        // Then what a call takes does not depend on what was called before.
        .compilation_mode(CompilationMode::Eager)
        .enforced_limits(EnforcedLimits::strict())
        .ignore_custom_sections(true)
        .set_max_recursion_depth(1_000)
        .wasm_multi_memory(false)
        .wasm_custom_page_sizes(false);
    config
}

fn signature(name: &str) -> &'static str {
    match name {
        "alloc" => "(i32) -> i32",
        _ => "(i32, i32) -> i64",
    }
}

fn memory(instance: &Instance, store: &Store<StoreLimits>) -> Result<Memory, Failure> {
    let memory = instance.get_memory(store, "memory");
    memory.ok_or_else(|| Failure::fatal("function_trapped", "it has no memory"))
}

/// What a place and a size, put together in one number, say.
fn bytes_at(memory: &[u8], packed: u64) -> Result<&[u8], Failure> {
    let (at, size) = ((packed >> 32) as usize, packed as u32 as usize);
    if size > value::BYTES_MAX {
        return Err(Failure::fatal("output_invalid", format!("it gave {size} bytes; at most 1 MiB is allowed")));
    }
    let end = at.checked_add(size);
    let bytes = end.and_then(|end| memory.get(at..end));
    bytes.ok_or_else(|| Failure::fatal("function_trapped", "`call` gave a place outside of the memory"))
}

fn output(bytes: &[u8]) -> Result<Json, Failure> {
    let text = std::str::from_utf8(bytes).map_err(|_| Failure::fatal("output_invalid", "it gave no UTF-8"))?;
    Json::parse(text).map_err(|error| Failure::fatal("output_invalid", format!("it gave no JSON: {error}")))
}

fn failure(bytes: &[u8]) -> Failure {
    match serde_json::from_slice::<Said>(bytes) {
        Ok(said) if is_plain_text(&said.code) => Failure::fatal(&said.code, said.message),
        _ => Failure::fatal("function_failed", "it failed, and what it said is no `{\"code\": …, \"message\": …}`"),
    }
}

fn trapped(error: &wasmi::Error) -> Failure {
    match error.as_trap_code() {
        Some(TrapCode::OutOfFuel) => out_of_fuel(),
        _ => Failure::fatal("function_trapped", error.to_string()),
    }
}

fn out_of_fuel() -> Failure {
    let message = format!("it was not done after {FUEL_MAX} units of fuel; do less in one call");
    Failure::fatal("function_out_of_fuel", message)
}
