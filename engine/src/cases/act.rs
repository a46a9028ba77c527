//! Does what the test says that people and systems outside do, each with a key of the role it names.

use fleetprompt_core::run::{Awaited, Place, Run, step_key};
use fleetprompt_core::signal::NewSignal;
use fleetprompt_core::tenant::Role;
use fleetprompt_core::{DirectiveId, Failure, Json, Name, Span};
use serde_json::{Value, json};

use super::play::{Play, at_of, waits_for};
use super::{Act, At, Problem, Said, Then, To};
use crate::Error;

/// Who a report goes to.
enum Addressee {
    Callback(String),
    Directive(DirectiveId),
}

/// What somebody did was refused, or it was not.
type Done = Result<(), Failure>;

impl Play<'_> {
    pub(super) fn act(&mut self, index: usize, then: &Then) -> Result<(), Problem> {
        let may_wait = then.refused.is_none();
        let done = match &then.act {
            Act::After(span) => return self.pass(*span),
            Act::Signal(signal) => self.tell(signal)?,
            Act::Answer { at, value, role } => self.answer(at, value.value(), *role, may_wait)?,
            Act::Report { to, said } => self.report(to, said, may_wait)?,
            Act::Operate { directive, payload, role } => self.operate(directive, payload, *role)?,
        };
        match (done, &then.refused) {
            (Ok(()), None) => Ok(()),
            (Ok(()), Some(code)) => Err(Problem::said(format!("this was to be refused with `{code}`, and was done"))),
            // The run is as it was, and what is expected of it says whether that is right.
            (Err(failure), None) if matches!(then.act, Act::Operate { .. }) => {
                self.refused.push(Problem::said(format!("then[{index}]: this was refused: {failure}")));
                Ok(())
            }
            (Err(failure), None) => Err(Problem::said(format!("this was refused: {failure}"))),
            (Err(failure), Some(code)) if failure.code == *code => Ok(()),
            (Err(failure), Some(code)) => {
                let actual = json!({"code": failure.code, "message": failure.message});
                Err(Problem::differs("refused", json!(code), actual))
            }
        }
    }

    /// Everything that becomes due meanwhile happens at its time.
    fn pass(&mut self, span: Span) -> Result<(), Problem> {
        let end = self.world.hand.now() + span;
        while let Some(next) = self.next().filter(|next| *next <= end) {
            self.move_to(next)?;
        }
        self.move_to(end)
    }

    fn tell(&mut self, signal: &NewSignal) -> Result<Done, Problem> {
        let scope = self.world.scope(Role::Member)?;
        let told = self.world.hand.emit(&scope, vec![signal.clone()]).and_then(|mut all| all.remove(0));
        done(told.map(drop))
    }

    fn answer(&mut self, at: &At, value: &Value, role: Role, may_wait: bool) -> Result<Done, Problem> {
        let place = self.place(at);
        let run = self.find(may_wait, |play| {
            play.runs().into_iter().find(|run| waits_for(run, place, |what| matches!(what, Awaited::Input { .. })))
        })?;
        let run = run.map_or_else(|| self.some_run(&format!("step `{at}` waits for no answer")), Ok)?;
        if may_wait && !waits_for(&run, place, |what| matches!(what, Awaited::Input { .. })) {
            return Err(self.nobody_waits(&run, &format!("step `{at}` waits for no answer")));
        }
        let mut payload = json!({"run_id": run.id, "step": at.step, "value": value});
        if let Some(item) = at.item {
            payload["item"] = json!(item);
        }
        self.request(role, Name::known("workflow.step.answer"), payload)
    }

    fn report(&mut self, to: &To, said: &Said, may_wait: bool) -> Result<Done, Problem> {
        let addressee = self.find(may_wait, |play| play.addressee(to))?;
        let Some(addressee) = addressee else {
            let what = match to {
                To::Step(at) => format!("step `{at}` waits for no report"),
                To::Directive(name) => format!("no directive `{name}` waits for a report"),
            };
            let run = self.some_run(&what)?;
            return Err(self.nobody_waits(&run, &what));
        };
        match (addressee, said) {
            (Addressee::Callback(key), Said::Ended(result)) => self.report_under(key, result.clone()),
            (Addressee::Callback(key), Said::Heartbeat) => {
                let payload = json!({"key": key, "heartbeat": true});
                self.request(Role::Member, Name::known("workflow.step.report"), payload)
            }
            (Addressee::Directive(id), Said::Ended(result)) => self.report_directive(id, result.clone()),
            (Addressee::Directive(id), Said::Heartbeat) => {
                let scope = self.world.scope(Role::Member)?;
                done(self.world.hand.directive_heartbeat(&scope, id).map(drop))
            }
        }
    }

    fn report_directive(&mut self, id: DirectiveId, result: Result<Json, Failure>) -> Result<Done, Problem> {
        let scope = self.world.scope(Role::Member)?;
        done(self.world.hand.directive_report(&scope, id, result).map(drop))
    }

    fn addressee(&self, to: &To) -> Option<Addressee> {
        let at = match to {
            To::Step(at) => at,
            To::Directive(name) => {
                let open = self.open_directives().into_iter().find(|directive| directive.name == *name);
                return open.map(|directive| Addressee::Directive(directive.id));
            }
        };
        let place = self.place(at);
        let runs = self.runs();
        let waits = |run: &&Run| waits_for(run, place, |what| matches!(what, Awaited::Callback { .. }));
        if let Some(run) = runs.iter().find(waits) {
            return Some(Addressee::Callback(step_key(run.id, &at.step, place, 0, 0)));
        }
        let of_step = |run_id| runs.iter().any(|run| run.id == run_id);
        let open = self.open_directives().into_iter().find(|directive| {
            directive.origin.is_some_and(|origin| {
                of_step(origin.run_id) && at_of(self.workflow(), origin.place).as_ref() == Some(at)
            })
        });
        open.map(|directive| Addressee::Directive(directive.id))
    }

    fn operate(&mut self, directive: &'static str, payload: &Value, role: Role) -> Result<Done, Problem> {
        let run = self.some_run("there is no run")?;
        let mut payload = payload.clone();
        payload["run_id"] = json!(run.id);
        self.request(role, Name::known(directive), payload)
    }

    /// What is looked for, as soon as it is there; time passes until then, if it may.
    fn find<T>(&mut self, may_wait: bool, look: impl Fn(&Self) -> Option<T>) -> Result<Option<T>, Problem> {
        loop {
            if let Some(found) = look(self) {
                return Ok(Some(found));
            }
            let is_over = self.runs().iter().all(|run| run.status.has_ended());
            match self.next().filter(|_| may_wait && !is_over) {
                Some(next) => self.move_to(next)?,
                None => return Ok(None),
            }
        }
    }

    /// The oldest run that has not ended, or else the last one.
    fn some_run(&self, why: &str) -> Result<Run, Problem> {
        let mut runs = self.runs();
        let open = runs.iter().position(|run| !run.status.has_ended());
        let found = open.map(|index| runs.remove(index)).or_else(|| runs.pop());
        found.ok_or_else(|| Problem::said(format!("{why}, and no run has started")))
    }

    fn nobody_waits(&self, run: &Run, what: &str) -> Problem {
        let waiting = run.places().filter_map(|place| {
            let reason = run.at(place)?.waiting.as_ref()?.reason();
            Some(format!("`{}` waits for {reason}", at_of(self.workflow(), place)?))
        });
        let waiting: Vec<String> = waiting.collect();
        let waiting = if waiting.is_empty() { "nothing waits in it".to_owned() } else { waiting.join(", ") };
        Problem::said(format!("{what}: the run is {}, and {waiting}", run.status))
    }

    fn place(&self, at: &At) -> Place {
        let index = self.workflow().index.get(&at.step).copied().unwrap_or_default();
        Place { item: at.item, undo: at.undo, ..Place::step(index) }
    }
}

/// A refusal is what may be expected; anything else is not about the case.
fn done(result: Result<(), Error>) -> Result<Done, Problem> {
    match result {
        Ok(()) => Ok(Ok(())),
        Err(Error::Refused(refusal)) => Ok(Err(Failure::fatal(refusal.code, refusal.message))),
        Err(error) => Err(Problem::said(error.to_string())),
    }
}
