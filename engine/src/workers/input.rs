//! Inputs of attempts that wait for workers. They are kept in memory up to a number of bytes, in all and of one tenant.
//! Of an input beyond that only its size is known, and it is read again when a worker takes the attempt. So an attempt
//! that waits takes a small constant of memory beyond this budget, whatever its input.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

use fleetprompt_core::{Json, TenantId};
use parking_lot::Mutex;

use crate::Metrics;

/// Bytes of the inputs that the engines of one process keep; a quarter of it for one tenant.
pub const INPUT_BYTES_MAX: usize = 32 << 20;

/// The budget of inputs that are kept. The engines of a process share it.
pub struct InputBudget {
    max: usize,
    used: Mutex<InputUse>,
    metrics: Arc<Metrics>,
}

#[derive(Default)]
struct InputUse {
    all: usize,
    of_tenants: HashMap<TenantId, usize>,
}

/// The input of an attempt, or its size if it is not kept.
#[derive(Debug, Default)]
pub struct AttemptInput {
    bytes: usize,
    kept: Option<KeptInput>,
}

/// Counts in the budget until it is dropped.
struct KeptInput {
    json: Json,
    tenant: TenantId,
    budget: Arc<InputBudget>,
}

impl InputBudget {
    pub fn new(max: usize, metrics: Arc<Metrics>) -> Self {
        Self { max, used: Mutex::default(), metrics }
    }

    /// Keeps the text of an input if the budget has room for it.
    pub fn admit(self: &Arc<Self>, tenant: TenantId, input: &Json) -> AttemptInput {
        let bytes = input.text().len();
        let has_room = self.change(|used| used.add(tenant, bytes, self.max));
        let kept = has_room.then(|| KeptInput { json: input.unparsed(), tenant, budget: self.clone() });
        AttemptInput { bytes, kept }
    }

    #[cfg(test)]
    pub fn bytes(&self) -> usize {
        self.used.lock().all
    }

    fn change<T>(&self, change: impl FnOnce(&mut InputUse) -> T) -> T {
        let mut used = self.used.lock();
        let changed = change(&mut used);
        self.metrics.attempt_inputs.set(used.all as i64);
        changed
    }
}

impl InputUse {
    fn add(&mut self, tenant: TenantId, bytes: usize, max: usize) -> bool {
        let of_tenant = self.of_tenants.get(&tenant).copied().unwrap_or(0);
        if self.all + bytes > max || of_tenant + bytes > max / 4 {
            return false;
        }
        self.all += bytes;
        self.of_tenants.insert(tenant, of_tenant + bytes);
        true
    }

    fn remove(&mut self, tenant: TenantId, bytes: usize) {
        self.all -= bytes;
        if let Some(of_tenant) = self.of_tenants.get_mut(&tenant) {
            *of_tenant -= bytes;
            if *of_tenant == 0 {
                self.of_tenants.remove(&tenant);
            }
        }
    }
}

impl AttemptInput {
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    pub fn is_kept(&self) -> bool {
        self.kept.is_some()
    }

    /// Leaves the size behind.
    pub fn take(&mut self) -> Self {
        Self { bytes: self.bytes, kept: self.kept.take() }
    }

    /// Returns the input if it was kept; it counts in the budget no longer.
    pub fn into_json(self) -> Option<Json> {
        self.kept.map(|kept| kept.json.clone())
    }
}

impl fmt::Debug for KeptInput {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.json.fmt(f)
    }
}

impl Drop for KeptInput {
    fn drop(&mut self) {
        self.budget.change(|used| used.remove(self.tenant, self.json.text().len()));
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use uuid::Uuid;

    use super::*;

    #[test]
    fn one_tenant_keeps_a_quarter_and_all_together_no_more_than_there_is() {
        let budget = Arc::new(InputBudget::new(400, Arc::default()));
        let tenant = |number| TenantId(Uuid::from_u128(number));
        // A text of 50 bytes, with its quotation marks.
        let input = Json::from(json!("x".repeat(48)));
        let admitted: Vec<_> = (0..20).map(|number| budget.admit(tenant(number / 4), &input)).collect();
        let kept = |some: &[AttemptInput]| some.iter().filter(|input| input.is_kept()).count();
        assert_eq!([0, 4, 8, 12, 16].map(|first| kept(&admitted[first..first + 4])), [2, 2, 2, 2, 0]);
        assert!(admitted.iter().all(|input| input.bytes() == 50));
        assert_eq!((budget.bytes(), budget.metrics.attempt_inputs.get()), (400, 400));
        let mut first = admitted.into_iter().next().expect("there are twenty");
        assert_eq!(budget.bytes(), 50, "what is dropped counts no longer");
        assert_eq!(first.take().into_json(), Some(input));
        assert_eq!((first.bytes(), first.into_json()), (50, None));
        let used = budget.used.lock();
        assert_eq!((used.all, used.of_tenants.len(), budget.metrics.attempt_inputs.get()), (0, 0, 0));
    }
}
