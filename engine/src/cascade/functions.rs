//! What the steps of a tenant may call: what it registered, then the engine's own.

use std::cell::RefCell;

use fleetprompt_core::function::{Function, ModuleDigest};
use fleetprompt_core::retry::RetryPolicy;
use fleetprompt_core::run::{Functions, INPUT_BYTES_MAX};
use fleetprompt_core::{Failure, Json, Meter};
use serde_json::Value;

use crate::modules::{FUEL_PER_UNIT, Modules};
use crate::{Error, TenantDirectory, functions};

/// The weighted bytes of an input that an engine function is given within a decision, for a few milliseconds: what looks
/// at each byte once may always be called there, sorting up to 256 KiB, searching for patterns up to 32 KiB.
const CALL_BYTES_MAX: usize = 2 * INPUT_BYTES_MAX;

/// For one decision of one run.
pub(super) struct Known<'a> {
    tenant: &'a TenantDirectory,
    modules: &'a Modules,
    meter: &'a Meter,
    /// Why a module could not be read. The decision is then made another time.
    fault: RefCell<Option<Error>>,
}

impl<'a> Known<'a> {
    pub fn new(tenant: &'a TenantDirectory, modules: &'a Modules, meter: &'a Meter) -> Self {
        Self { tenant, modules, meter, fault: RefCell::default() }
    }

    /// Whether what was decided counts.
    pub fn done(self) -> Result<(), Error> {
        self.fault.into_inner().map_or(Ok(()), Err)
    }

    fn registered(&self, name: &str) -> Option<&'a Function> {
        self.tenant.functions.get(name).map(|(_, function)| &**function)
    }

    fn call_module(&self, digest: &ModuleDigest, input: &Value) -> Result<Option<Json>, Failure> {
        let size = self.tenant.modules.get(digest).map_or(0, |entry| entry.size as usize);
        match self.modules.call_in_decision(self.tenant.tenant.id, (digest, size), input) {
            Ok((called, used)) => {
                self.meter.charge(used / FUEL_PER_UNIT);
                called.transpose()
            }
            Err(error) => {
                let failure = Failure::fatal("unavailable", error.to_string());
                self.fault.replace(Some(error.into()));
                Err(failure)
            }
        }
    }
}

impl Functions for Known<'_> {
    fn call(&self, name: &str, input: &Value) -> Result<Option<Json>, Failure> {
        if let Some(digest) = self.registered(name).and_then(Function::module) {
            self.check_input(name, input)?;
            return self.call_module(digest, input).map_err(|failure| failure.named(name));
        }
        match functions::find(name) {
            Some(function) => {
                let bytes = functions::work_of(function, input);
                self.meter.charge_bytes(bytes);
                // The outcome of an attempt is given the same function, so its input must be one that a step may hold.
                if bytes > CALL_BYTES_MAX
                    && functions::bytes_of(input) <= INPUT_BYTES_MAX
                    && self.modules.defers_long_calls()
                {
                    return Ok(None);
                }
                let output = functions::call(function, input)?;
                self.meter.charge_bytes(output.text().len());
                Ok(Some(output))
            }
            None => Err(Failure::fatal("function_unknown", format!("there is no function `{name}`"))),
        }
    }

    fn input_bytes_max(&self, name: &str) -> usize {
        if self.registered(name).is_some() { INPUT_BYTES_MAX } else { functions::input_bytes_max(name) }
    }

    fn performed_elsewhere(&self, name: &str) -> Option<&RetryPolicy> {
        self.registered(name).filter(|function| function.of_workers().is_some()).map(|function| &function.retry)
    }

    fn check_input(&self, name: &str, input: &Value) -> Result<(), Failure> {
        let schema = self.registered(name).and_then(|function| function.input_schema.as_ref());
        let checked = schema.map_or(Ok(()), |schema| {
            self.meter.charge_bytes(functions::bytes_of(input));
            schema.validate(input)
        });
        checked.map_err(|message| Failure::fatal("input_invalid", message).named(name))
    }

    fn check_output(&self, name: &str, output: &Value) -> Result<(), Failure> {
        let schema = self.registered(name).and_then(|function| function.output_schema.as_ref());
        let checked = schema.map_or(Ok(()), |schema| {
            self.meter.charge_bytes(functions::bytes_of(output));
            schema.validate(output)
        });
        checked.map_err(|message| Failure::retry("output_invalid", message).named(name))
    }
}
