//! Lists by looking at everything a tenant has.

use std::collections::BTreeMap;

use fleetprompt_core::directive::Directive;
use fleetprompt_core::run::Run;
use fleetprompt_core::{Signal, TenantId};
use uuid::Uuid;

use super::State;
use crate::{DirectiveFilter, Order, Page, RunFilter, SignalFilter};

impl State {
    pub(super) fn signals(&self, tenant: TenantId, filter: &SignalFilter, page: Page) -> Vec<Signal> {
        let matches = |signal: &Signal| {
            is(&filter.name, &signal.name)
                && filter.correlation_id.as_deref().is_none_or(|id| *id == *signal.lineage.correlation_id)
                && (filter.run_id.is_none() || signal.run_id == filter.run_id)
        };
        let of_tenant = of(&self.signals, tenant, |id| id.0);
        cut(of_tenant.filter(|(_, signal)| matches(signal)), page).map(|signal| Signal::clone(signal)).collect()
    }

    pub(super) fn directives(&self, tenant: TenantId, filter: &DirectiveFilter, page: Page) -> Vec<Directive> {
        let matches = |directive: &Directive| {
            is(&filter.name, &directive.name)
                && is(&filter.status, &directive.status)
                && (filter.run_id.is_none() || directive.origin.map(|origin| origin.run_id) == filter.run_id)
        };
        let of_tenant = of(&self.directives, tenant, |id| id.0);
        cut(of_tenant.filter(|(_, one)| matches(one)), page).map(|one| Directive::clone(one)).collect()
    }

    pub(super) fn runs(&self, tenant: TenantId, filter: &RunFilter, page: Page) -> Vec<Run> {
        let matches = |run: &Run| {
            is(&filter.workflow, &run.workflow)
                && is(&filter.status, &run.status)
                && (filter.signal_id.is_none() || run.signal_id == filter.signal_id)
                && filter.correlation_id.as_deref().is_none_or(|id| *id == *run.lineage.correlation_id)
        };
        let of_tenant = of(&self.runs, tenant, |id| id.0);
        let page = cut(of_tenant.filter(|(_, run)| matches(run)), page);
        page.map(|run| Run { steps: Vec::new(), ..run.clone() }).collect()
    }
}

fn is<T: PartialEq>(wanted: &Option<T>, found: &T) -> bool {
    wanted.as_ref().is_none_or(|wanted| wanted == found)
}

fn of<I: Copy, T>(
    all: &BTreeMap<(TenantId, I), T>,
    tenant: TenantId,
    uuid: fn(I) -> Uuid,
) -> impl DoubleEndedIterator<Item = (Uuid, &T)> {
    all.iter().filter(move |((owner, _), _)| *owner == tenant).map(move |((_, id), record)| (uuid(*id), record))
}

fn cut<'a, T: 'a>(
    records: impl DoubleEndedIterator<Item = (Uuid, &'a T)> + 'a,
    page: Page,
) -> impl Iterator<Item = &'a T> {
    let ordered: Box<dyn Iterator<Item = _>> = match page.order {
        Order::OldestFirst => Box::new(records),
        Order::NewestFirst => Box::new(records.rev()),
    };
    let beyond = move |id: Uuid| match (page.cursor, page.order) {
        (None, _) => true,
        (Some(cursor), Order::OldestFirst) => id > cursor,
        (Some(cursor), Order::NewestFirst) => id < cursor,
    };
    ordered.filter(move |(id, _)| beyond(*id)).take(page.limit).map(|(_, record)| record)
}
