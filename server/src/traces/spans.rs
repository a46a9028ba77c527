//! The spans that end with a commit: each record that a trace shows has one, from when it began to when it ended.

use std::borrow::Cow;
use std::collections::HashMap;
use std::time::{Duration, SystemTime};

use fleetprompt_core::directive::{self, Directive};
use fleetprompt_core::run::{Place, Run, Step, StepStatus};
use fleetprompt_core::trace::{SpanId, Trace};
use fleetprompt_core::{Failure, Lineage, RecordId, Signal, SignalId, TenantId, Timestamp};
use fleetprompt_engine::Directory;
use fleetprompt_store::{Batch, RunWrite};
use opentelemetry::trace::{SpanContext, SpanKind, Status, TraceFlags, TraceId, TraceState};
use opentelemetry::{InstrumentationScope, KeyValue};
use opentelemetry_sdk::trace::{SpanData, SpanEvents, SpanLinks};
use serde::Deserialize;

/// What of all traces is kept.
#[derive(Debug, Clone, Copy)]
pub struct Sampling(u64);

impl Sampling {
    /// From 0, none, to 1, all.
    pub fn new(ratio: f64) -> Self {
        Self((ratio.clamp(0.0, 1.0) * u64::MAX as f64) as u64)
    }

    /// All of a trace or nothing of it, on every node alike.
    fn keeps(self, trace: &Trace) -> bool {
        let [_, _, _, _, _, _, _, _, rest @ ..] = trace.id;
        trace.is_sampled && u64::from_be_bytes(rest) <= self.0 && self.0 > 0
    }
}

pub fn of_batch(batch: &Batch, directory: &Directory, sampling: Sampling) -> Vec<SpanData> {
    let signals = batch.signals.iter().map(|signal| (signal.id, &**signal)).collect();
    let mut spans = Spans { directory, sampling, signals, all: Vec::new() };
    let told = batch.signals.iter().filter(|signal| signal.run_id.is_none() && signal.directive_id.is_none());
    told.for_each(|signal| spans.signal(signal));
    batch.runs.iter().for_each(|write| spans.run(write));
    batch.directives.iter().for_each(|directive| spans.directive(directive));
    spans.all
}

struct Spans<'a> {
    directory: &'a Directory,
    sampling: Sampling,
    /// What the commit recorded: a span ends with the signal that ended its record.
    signals: HashMap<SignalId, &'a Signal>,
    all: Vec<SpanData>,
}

/// Of the record of a step no more is read than which it is.
#[derive(Deserialize)]
struct Named<'a> {
    #[serde(borrow)]
    step: Cow<'a, str>,
}

/// What a span is about, and when.
struct About {
    id: SpanId,
    parent: Option<SpanId>,
    kind: SpanKind,
    name: String,
    from: Timestamp,
    to: Timestamp,
    error: Option<Failure>,
    attributes: Vec<KeyValue>,
}

impl<'a> Spans<'a> {
    fn fresh(&self, by: Option<SignalId>) -> Option<&'a Signal> {
        self.signals.get(&by?).copied()
    }

    /// What caused it. Where that is what a run or a directive says of itself, then these.
    fn above(&self, lineage: &Lineage) -> Option<SpanId> {
        let cause = lineage.causation_id?;
        let said = match cause {
            RecordId::Signal(id) => self.fresh(Some(id)),
            RecordId::Directive(_) | RecordId::Run(_) => None,
        };
        let of_whom = said.and_then(|signal| {
            let run = signal.run_id.map(RecordId::from);
            run.or_else(|| signal.directive_id.map(RecordId::from))
        });
        Some(SpanId::of(of_whom.unwrap_or(cause)))
    }

    fn signal(&mut self, signal: &Signal) {
        let parent = self.above(&signal.lineage);
        self.add(signal.tenant, &signal.lineage, || About {
            id: SpanId::of(signal.id),
            parent,
            kind: SpanKind::Producer,
            name: format!("signal {}", signal.name),
            from: signal.recorded_at,
            to: signal.recorded_at,
            error: None,
            attributes: vec![KeyValue::new("fleetprompt.signal.id", signal.id.to_string())],
        });
    }

    fn run(&mut self, write: &RunWrite) {
        let run = &*write.run;
        for place in &write.places {
            let Some(step) = run.at(*place) else { continue };
            if let (Some(ended), Some(by)) = (step.ended_at, self.fresh(step.signal_id)) {
                self.step(run, *place, step, ended, by);
            }
        }
        let Some(ended) = run.ended_at.filter(|_| self.fresh(run.status_by).is_some()) else { return };
        self.add(run.tenant, &run.lineage, || About {
            id: SpanId::of(run.id),
            parent: Some(SpanId::of(run.directive_id)),
            kind: SpanKind::Internal,
            name: format!("run {}", run.workflow),
            from: run.started_at,
            to: ended,
            error: run.error.clone(),
            attributes: vec![
                KeyValue::new("fleetprompt.run.id", run.id.to_string()),
                KeyValue::new("fleetprompt.run.status", run.status.as_str()),
                KeyValue::new("fleetprompt.workflow", run.workflow.to_string()),
                KeyValue::new("fleetprompt.workflow.version", run.version.to_string()),
            ],
        });
    }

    fn step(&mut self, run: &Run, place: Place, step: &Step, ended: Timestamp, by: &Signal) {
        // What was never begun is no work, and would only be in the way.
        let Some(started) = step.started_at.filter(|_| step.status != StepStatus::Skipped) else { return };
        self.add(run.tenant, &run.lineage, || {
            let named = serde_json::from_str::<Named>(by.payload.text());
            let id = named.map(|named| named.step.into_owned()).unwrap_or_default();
            let part = match (place.undo, place.item) {
                (true, _) => "undo",
                (false, Some(_)) => "item of",
                (false, None) => "step",
            };
            let mut attributes = vec![
                KeyValue::new("fleetprompt.run.id", run.id.to_string()),
                KeyValue::new("fleetprompt.step", id.clone()),
                KeyValue::new("fleetprompt.step.status", step.status.as_str()),
                KeyValue::new("fleetprompt.attempts", i64::from(step.attempt)),
            ];
            attributes.extend(place.item.map(|item| KeyValue::new("fleetprompt.step.item", i64::from(item))));
            let whole = place.item.map(|_| SpanId::of_step(run.id, Place { item: None, ..place }));
            About {
                id: SpanId::of_step(run.id, place),
                parent: Some(whole.unwrap_or_else(|| SpanId::of(run.id))),
                kind: SpanKind::Internal,
                name: format!("{part} {id}"),
                from: started,
                to: ended,
                error: step.error.clone(),
                attributes,
            }
        });
    }

    fn directive(&mut self, directive: &Directive) {
        let settled = directive.settled_at.filter(|_| self.fresh(directive.settled_by).is_some());
        let Some(settled) = settled else { return };
        let above = self.above(&directive.lineage);
        self.add(directive.tenant, &directive.lineage, || About {
            id: SpanId::of(directive.id),
            parent: match directive.origin {
                Some(origin) => Some(SpanId::of_step(origin.run_id, origin.place)),
                None => above,
            },
            kind: match directive.handler {
                directive::HandlerKind::BuiltIn => SpanKind::Internal,
                _ => SpanKind::Client,
            },
            name: format!("directive {}", directive.name),
            from: directive.requested_at,
            to: settled,
            error: directive.error.clone(),
            attributes: vec![
                KeyValue::new("fleetprompt.directive.id", directive.id.to_string()),
                KeyValue::new("fleetprompt.directive.status", directive.status.as_str()),
                KeyValue::new("fleetprompt.attempts", i64::from(directive.attempt)),
            ],
        });
    }

    fn add(&mut self, tenant: TenantId, lineage: &Lineage, about: impl FnOnce() -> About) {
        let trace = Trace::of(tenant, &lineage.correlation_id);
        if !self.sampling.keeps(&trace) {
            return;
        }
        let About { id, parent, kind, name, from, to, error, mut attributes } = about();
        if let Some(tenant) = self.directory.tenant(tenant) {
            attributes.push(KeyValue::new("fleetprompt.tenant", tenant.tenant.slug.to_string()));
        }
        if let Some(error) = &error {
            attributes.push(KeyValue::new("error.type", error.code.clone()));
        }
        let parent_is_callers = parent.is_none() && trace.caller.is_some();
        let parent = parent
            .or(trace.caller)
            .map_or(opentelemetry::SpanId::INVALID, |span| opentelemetry::SpanId::from_bytes(span.0));
        self.all.push(SpanData {
            span_context: SpanContext::new(
                TraceId::from_bytes(trace.id),
                opentelemetry::SpanId::from_bytes(id.0),
                TraceFlags::SAMPLED,
                false,
                TraceState::NONE,
            ),
            parent_span_id: parent,
            parent_span_is_remote: parent_is_callers,
            span_kind: kind,
            name: Cow::Owned(name),
            start_time: at(from),
            end_time: at(to.max(from)),
            attributes,
            dropped_attributes_count: 0,
            events: SpanEvents::default(),
            links: SpanLinks::default(),
            // Messages may hold what is a tenant's own business.
            status: error.map_or(Status::Unset, |error| Status::error(error.code.to_string())),
            instrumentation_scope: InstrumentationScope::builder("fleetprompt")
                .with_version(env!("CARGO_PKG_VERSION"))
                .build(),
        });
    }
}

fn at(time: Timestamp) -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_micros(u64::try_from(time.0).unwrap_or_default())
}
