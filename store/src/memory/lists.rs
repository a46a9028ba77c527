//! Lists by looking at everything a tenant has.

use std::collections::BTreeMap;

use fleetprompt_core::directive::Directive;
use fleetprompt_core::registration::WorkflowVersion;
use fleetprompt_core::run::{Place, Run, Status, Step, StepStatus, Steps};
use fleetprompt_core::{Json, RunId, Signal, SignalId, Slug, TenantId};
use uuid::Uuid;

use super::State;
use super::commit::bare;
use crate::filter::{Budget, first_id_at};
use crate::rows::has_row;
use crate::{DirectiveFilter, Order, Page, RunFilter, RunPart, SignalFilter, StepRange, WaitingFilter};

impl State {
    pub(super) fn signals(&self, tenant: TenantId, filter: &SignalFilter, page: Page) -> Vec<Signal> {
        let matches = |signal: &Signal| {
            is(&filter.name, &signal.name)
                && filter.correlation_id.as_deref().is_none_or(|id| *id == *signal.lineage.correlation_id)
                && (filter.run_id.is_none() || signal.run_id == filter.run_id)
                && (filter.names.is_empty() || filter.names.contains(&signal.name))
                && filter.since.is_none_or(|since| signal.recorded_at >= since)
        };
        let of_tenant = of(&self.signals, tenant, |id| id.0);
        cut(of_tenant.filter(|(_, signal)| matches(signal)), page, |signal| signal.payload.text().len())
            .map(|signal| Signal::clone(signal))
            .collect()
    }

    pub(super) fn directives(&self, tenant: TenantId, filter: &DirectiveFilter, page: Page) -> Vec<Directive> {
        let matches = |directive: &Directive| {
            is(&filter.name, &directive.name)
                && is(&filter.status, &directive.status)
                && (filter.run_id.is_none() || directive.origin.map(|origin| origin.run_id) == filter.run_id)
        };
        let of_tenant = of(&self.directives, tenant, |id| id.0);
        cut(of_tenant.filter(|(_, one)| matches(one)), page, |one| {
            one.payload.text().len() + self.payload_bytes(tenant, one.settled_by)
        })
        .map(|one| Directive::clone(one))
        .collect()
    }

    pub(super) fn runs(&self, tenant: TenantId, filter: &RunFilter, page: Page) -> Vec<Run> {
        let statuses = filter.wanted_statuses();
        let matches = |run: &Run| {
            is(&filter.workflow, &run.workflow)
                && statuses.as_ref().is_none_or(|statuses| statuses.contains(&run.status))
                && (filter.signal_id.is_none() || run.signal_id == filter.signal_id)
                && filter.correlation_id.as_deref().is_none_or(|id| *id == *run.lineage.correlation_id)
                && filter.version.as_deref().is_none_or(|version| *version == *run.version)
                && (filter.parent.is_none() || run.parent.map(|parent| parent.run_id) == filter.parent)
                && (filter.source.is_none() || run.source == filter.source)
                && filter.since.is_none_or(|since| run.id.0 >= first_id_at(since))
                && filter.until.is_none_or(|until| run.id.0 < first_id_at(until))
        };
        let of_tenant = of(&self.runs, tenant, |id| id.0);
        let page = cut(of_tenant.filter(|(_, run)| matches(run)), page, |run| {
            run.input.as_ref().map_or(0, |input| input.text().len()) + self.payload_bytes(tenant, run.status_by)
        });
        page.map(|run| Run { steps: Steps::default(), ..run.clone() }).collect()
    }

    pub(super) fn waiting(&self, tenant: TenantId, filter: &WaitingFilter, page: Page) -> Vec<(RunId, Place, Step)> {
        let open = of(&self.runs, tenant, |id| id.0).filter(|(_, run)| !run.status.has_ended());
        let of_runs = open.filter(|(_, run)| filter.run_id.is_none_or(|wanted| run.id == wanted));
        let of_places = of_runs.flat_map(|(_, run)| run.places().map(move |place| (run, place)));
        let waiting = of_places.filter_map(|(run, place)| {
            let step = run.at(place).filter(|step| step.status == StepStatus::Waiting)?;
            let word = step.waiting.as_ref()?.what.word();
            let is_wanted = filter.awaits.as_deref().is_none_or(|wanted| wanted == word);
            is_wanted.then(|| Some((step.signal_id?.0, (run.id, place, bare(step)))))?
        });
        let in_order: BTreeMap<Uuid, _> = waiting.collect();
        let bytes = |(_, _, step): &(RunId, Place, Step)| self.place_bytes(tenant, step);
        cut(in_order.iter().map(|(id, waiting)| (*id, waiting)), page, bytes).cloned().collect()
    }

    pub(super) fn run_part(&self, run: &Run, steps: StepRange) -> RunPart {
        let mut part = Run {
            steps: Steps::pending(run.steps.len()),
            input: None,
            output: None,
            error: None,
            standing: None,
            ..run.clone()
        };
        let (mut end, mut budget) = (steps.end(run.steps.len()), Budget::of(steps.bytes));
        let mut items_end = BTreeMap::new();
        for index in steps.from..end {
            let Some(step) = run.steps.get(index) else { break };
            let mut bytes = self.step_bytes(run.tenant, step);
            part.restore(Place::step(index), Step { undo: step.undo.clone(), ..bare(step) });
            let items = step.items.iter().flat_map(|items| (0..).zip(items.steps.iter()));
            let is_wanted = |item: u32| (steps.items.0..steps.items.1).contains(&item);
            let mut of_items = 0;
            for (item, step) in items.filter(|(item, _)| is_wanted(*item)) {
                if !has_row(step) && step.undo.is_none() {
                    continue;
                }
                let mut step = step.clone();
                if of_items > steps.item_bytes {
                    items_end.entry(index).or_insert(item);
                    step = without_documents(&step);
                } else {
                    of_items += self.step_bytes(run.tenant, &step);
                }
                part.restore(Place::step(index).item(item), step);
            }
            bytes += of_items;
            if budget.ends_with(bytes) {
                end = index + 1;
                break;
            }
        }
        RunPart { run: part, end, items_end }
    }

    /// Of a step and of what undoes it.
    fn step_bytes(&self, tenant: TenantId, step: &Step) -> usize {
        let undo = step.undo.as_deref().map_or(0, |undo| self.step_bytes(tenant, undo));
        self.place_bytes(tenant, step) + undo
    }

    fn place_bytes(&self, tenant: TenantId, step: &Step) -> usize {
        let output_by = step.output_by.filter(|by| step.signal_id != Some(*by));
        self.payload_bytes(tenant, step.signal_id) + self.payload_bytes(tenant, output_by)
    }

    fn payload_bytes(&self, tenant: TenantId, signal: Option<SignalId>) -> usize {
        let signal = signal.and_then(|id| self.signals.get(&(tenant, id)));
        signal.map_or(0, |signal| signal.payload.text().len())
    }

    pub(super) fn workflow_versions(&self, tenant: TenantId, slug: &Slug, page: Page) -> Vec<WorkflowVersion> {
        let of_slug = self.workflow_versions.values().filter(|one| one.tenant == tenant && one.slug == *slug);
        let in_order: BTreeMap<Uuid, _> = of_slug.map(|one| (one.id.0, one)).collect();
        let page = cut(in_order.iter().map(|(id, one)| (*id, *one)), page, |_| 0);
        page.map(|one| WorkflowVersion { document: Json::null(), ..one.clone() }).collect()
    }

    pub(super) fn runs_in_flight(&self, tenant: TenantId, slug: &Slug) -> Vec<(String, Status, u64)> {
        let mut counts = BTreeMap::new();
        let open =
            of(&self.runs, tenant, |id| id.0).filter(|(_, run)| run.workflow == *slug && !run.status.has_ended());
        for (_, run) in open {
            *counts.entry((run.version.to_string(), run.status)).or_insert(0) += 1;
        }
        counts.into_iter().map(|((version, status), count)| (version, status, count)).collect()
    }
}

/// A row without the payloads of its signals.
fn without_documents(step: &Step) -> Step {
    let undo = step.undo.as_deref().map(without_documents).map(Box::new);
    let output_by = step.output_by.filter(|by| step.signal_id != Some(*by));
    let bare = Step { early_answer: None, consumed: None, ..step.clone() };
    Step { output: None, output_by, error: None, waiting: None, lock: None, undo, ..bare }
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
    bytes: impl Fn(&T) -> usize + 'a,
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
    let (mut budget, mut is_full) = (Budget::new(page), false);
    ordered.filter(move |(id, _)| beyond(*id)).take(page.limit).map(|(_, record)| record).take_while(move |record| {
        let was_full = is_full;
        is_full = budget.ends_with(bytes(record));
        !was_full
    })
}
