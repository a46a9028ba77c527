//! Lets a case happen: begins it, answers whatever is asked, does what people do, and moves the clock to
//! the next thing that is due whenever nothing else can happen.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

use fleetprompt_core::directive::{self, Directive, HandlerKind};
use fleetprompt_core::run::{Awaited, Place, Run, StepStatus, step_key};
use fleetprompt_core::signal::NewSignal;
use fleetprompt_core::tenant::Role;
use fleetprompt_core::workflow::Workflow;
use fleetprompt_core::{DirectiveId, Failure, Json, Name, RunId, Signal, Span, Timestamp};
use fleetprompt_store::{DirectiveFilter, Page, Store};
use serde_json::{Value, json};
use uuid::Uuid;

use super::files::STAND_IN_STEP;
use super::script::{Question, Script};
use super::world::{World, run_of, told};
use super::{Answer, Asked, At, Case, Expect, Expected, Problem, Start, Suite};
use crate::{NewDirective, Requested, Task, TaskKind, models};

/// How often the clock moves, and how often somebody is asked, before it is called endless.
const MOVES_MAX: usize = 20_000;
const QUESTIONS_MAX: usize = 100_000;
const DIRECTIVES_MAX: usize = 1_000_000;

/// How long a model may take where the step does not say.
const AGENT_TIMEOUT: Span = Span::from_secs(120);

/// A case that has happened.
pub(super) struct Played {
    pub workflow: Arc<Workflow>,
    pub began: Timestamp,
    /// It could not go on, and what it came to says nothing.
    pub stopped: Option<Problem>,
    pub problems: Vec<Problem>,
    /// Of the workflow that was tried, and started by no other run; the oldest first.
    pub runs: Vec<Run>,
    /// Which run each run goes back to.
    pub roots: BTreeMap<RunId, RunId>,
    pub directives: BTreeMap<DirectiveId, Directive>,
    pub signals: Vec<Signal>,
    /// Why there is no run, where there is none.
    pub refusal: Option<String>,
    /// Operations that were refused although the case does not say so.
    pub refused: Vec<Problem>,
}

pub(super) struct Play<'c> {
    pub suite: &'c Suite,
    pub case: &'c Case,
    pub world: World,
    script: Script<'c>,
    /// Answers on their way, in the order in which they were asked for.
    coming: Vec<Coming>,
    /// Manual directives and stand-ins that have been asked.
    asked: HashSet<Uuid>,
    moves: usize,
    questions: usize,
    requests: usize,
    refusal: Option<String>,
    pub refused: Vec<Problem>,
}

struct Coming {
    at: Timestamp,
    result: Result<Json, Failure>,
    to: Receiver,
}

enum Receiver {
    Task(Task),
    Manual(DirectiveId),
    /// The stand-in for a workflow.
    StandIn(RunId),
}

pub(super) fn play(suite: &Suite, case: &Case) -> Result<Played, Problem> {
    let world = World::new(&suite.definitions, case.now)?;
    let mut play = Play {
        suite,
        case,
        world,
        script: Script::new(suite, case),
        coming: Vec::new(),
        asked: HashSet::new(),
        moves: 0,
        questions: 0,
        requests: 0,
        refusal: None,
        refused: Vec::new(),
    };
    let stopped = play.happen().err();
    Ok(play.played(stopped))
}

impl Play<'_> {
    fn happen(&mut self) -> Result<(), Problem> {
        self.begin()?;
        self.settle()?;
        for (index, then) in self.case.then.iter().enumerate() {
            self.act(index, then)
                .map_err(|problem| Problem { what: format!("then[{index}]: {}", problem.what), ..problem })?;
            self.settle()?;
        }
        while !self.is_there() {
            let Some(next) = self.next() else { break };
            self.move_to(next)?;
        }
        Ok(())
    }

    fn begin(&mut self) -> Result<(), Problem> {
        let scope = self.world.scope(Role::Member)?;
        match &self.case.start {
            Start::Signal(signal) => {
                let told_it =
                    self.world.hand.emit(&scope, vec![NewSignal::clone(signal)]).and_then(|mut all| all.remove(0));
                let emitted = told_it.map_err(|error| Problem::said(told("the signal", &error)))?;
                let became = emitted.dispositions.iter().find(|one| one.workflow == self.workflow().slug);
                self.refusal = Some(match became {
                    Some(became) => {
                        let reason = became.reason.as_ref().map(|reason| format!(": {reason}")).unwrap_or_default();
                        format!("the signal was {}{reason}", became.kind.as_str())
                    }
                    None => format!("no trigger listens to `{}`", signal.name),
                });
            }
            Start::Input(input) => {
                let payload = json!({"workflow": self.workflow().slug, "input": input.value()});
                let name = Name::known("workflow.run.start");
                self.refusal = self.request(Role::Member, name, payload)?.err().map(|failure| failure.to_string());
            }
        }
        Ok(())
    }

    pub fn workflow(&self) -> &Arc<Workflow> {
        &self.suite.definitions.workflow
    }

    pub fn runs(&self) -> Vec<Run> {
        self.world.runs(&self.suite.definitions.workflow.slug)
    }

    /// Somebody asks for a directive of the engine; what it came to.
    pub fn request(&mut self, role: Role, name: Name, payload: Value) -> Result<Result<(), Failure>, Problem> {
        self.requests += 1;
        let scope = self.world.scope(role)?;
        let idempotency_key = format!("test-{}", self.requests);
        let payload = payload.into();
        let directive = NewDirective { name, payload, idempotency_key, correlation_id: None, causation_id: None };
        match self.world.hand.request(&scope, directive) {
            Ok(Requested { directive, .. }) => Ok(directive.error.clone().map_or(Ok(()), Err)),
            Err(crate::Error::Refused(refusal)) => Ok(Err(Failure::fatal(refusal.code, refusal.message))),
            Err(error) => Err(Problem::said(error.to_string())),
        }
    }

    // Time

    /// When something happens by itself.
    pub fn next(&self) -> Option<Timestamp> {
        let coming = self.coming.iter().map(|coming| coming.at);
        let next = coming.chain(self.world.hand.next_due()).min()?;
        Some(next.max(self.world.hand.now() + Span::from_millis(1)))
    }

    pub fn move_to(&mut self, time: Timestamp) -> Result<(), Problem> {
        self.moves += 1;
        if self.moves > MOVES_MAX {
            let what = format!("the clock moved {MOVES_MAX} times, and it has not come to what is expected");
            return Err(Problem::said(what).help("is there a wait or a repeat without an end?"));
        }
        self.world.hand.set_time(time);
        self.settle()
    }

    /// Whether what is expected of the runs may be there already, so that no time needs to pass.
    fn is_there(&self) -> bool {
        let runs = self.runs();
        match &self.case.expect {
            Expect::First(expected) => runs.first().is_none_or(|run| expected.is_there(run)),
            Expect::Runs(all) => runs.iter().zip(all).all(|(run, expected)| expected.is_there(run)),
        }
    }

    // Answers

    /// Until nothing more happens without time passing.
    pub fn settle(&mut self) -> Result<(), Problem> {
        loop {
            self.take_questions()?;
            let now = self.world.hand.now();
            let Some(due) = self.coming.iter().position(|coming| coming.at <= now) else { return Ok(()) };
            let coming = self.coming.remove(due);
            self.deliver(coming)?;
        }
    }

    fn take_questions(&mut self) -> Result<(), Problem> {
        for task in self.world.hand.take_tasks() {
            self.ask_for_task(task)?;
        }
        if self.suite.definitions.has_manual_directives() {
            for directive in self.open_directives() {
                self.ask_for_manual(&directive);
            }
        }
        for (slug, _) in self.suite.definitions.workflows_asked() {
            for run in self.world.all_runs(Some(slug)) {
                self.ask_for_stand_in(&run)?;
            }
        }
        Ok(())
    }

    fn ask_for_task(&mut self, task: Task) -> Result<(), Problem> {
        let (name, input, kind, place) = match &task.kind {
            TaskKind::Agent { place, agent, input, .. } => (agent.as_str(), input, Asked::Agent, Some(*place)),
            TaskKind::Function { place, function, input, .. } => (&**function, input, Asked::Function, Some(*place)),
            TaskKind::Directive(directive) => {
                let place = directive.origin.map(|origin| origin.place);
                (directive.name.as_str(), &directive.payload, Asked::Directive, place)
            }
        };
        let at = run_of(&task.kind).zip(place).and_then(|(run, place)| self.at(run, place));
        let question = Question { kind, at, name, input };
        let answer = match self.script.answer(&question) {
            Some(answer) => answer?,
            None => self.own_script(&task).ok_or_else(|| question.unanswered())?,
        };
        self.check(&task, &answer)?;
        let timeout = self.timeout(&task);
        self.expect_answer(answer, timeout, Receiver::Task(task))
    }

    /// Agents with rules of their own may answer by them.
    fn own_script(&self, task: &Task) -> Option<Answer> {
        let TaskKind::Agent { agent, input, .. } = &task.kind else { return None };
        let agent = self.suite.definitions.agent(agent).filter(|agent| !agent.script.is_empty())?;
        let result = models::answer_by_script(agent, input).map(Json::from);
        Some(Answer { result: Some(result), after: Span::default() })
    }

    /// What a model cannot have answered is a mistake of the test.
    fn check(&self, task: &Task, answer: &Answer) -> Result<(), Problem> {
        let (TaskKind::Agent { agent, .. }, Some(Ok(output))) = (&task.kind, &answer.result) else { return Ok(()) };
        let Some(known) = self.suite.definitions.agent(agent) else { return Ok(()) };
        models::check_answer(known, output.value()).map_err(|failure| {
            let help = "to try what becomes of such an answer, give {\"error\": \"output_invalid\"}";
            Problem::said(format!("agent `{agent}` cannot answer this: {}", failure.message)).help(help)
        })
    }

    /// The longest that one attempt may take; then it has failed, as it would in production.
    fn timeout(&mut self, task: &Task) -> Option<Span> {
        match &task.kind {
            TaskKind::Agent { run, place, .. } => Some(self.step(*run, *place)?.timeout.unwrap_or(AGENT_TIMEOUT)),
            TaskKind::Function { run, place, .. } => self.step(*run, *place)?.timeout,
            TaskKind::Directive(directive) => directive.timeout,
        }
    }

    fn step(&mut self, run: RunId, place: Place) -> Option<&fleetprompt_core::workflow::Step> {
        let slug = self.world.workflow_of(run)?;
        let all = std::iter::once(&self.suite.definitions.workflow).chain(&self.suite.definitions.workflows);
        all.into_iter().find(|workflow| workflow.slug == slug)?.steps.get(place.index())
    }

    /// Without a script it stays open, until somebody reports.
    fn ask_for_manual(&mut self, directive: &Directive) {
        if directive.handler != HandlerKind::Manual || !self.asked.insert(directive.id.0) {
            return;
        }
        let at = directive.origin.and_then(|origin| self.at(origin.run_id, origin.place));
        let (name, input) = (directive.name.as_str(), &directive.payload);
        if let Some(Ok(answer)) = self.script.answer(&Question { kind: Asked::Directive, at, name, input })
            && let Some(result) = answer.result
        {
            let at = self.world.hand.now() + answer.after;
            self.coming.push(Coming { at, result, to: Receiver::Manual(directive.id) });
        }
    }

    fn ask_for_stand_in(&mut self, run: &Run) -> Result<(), Problem> {
        if run.steps.get(0).is_none_or(|step| step.status != StepStatus::Waiting) || !self.asked.insert(run.id.0) {
            return Ok(());
        }
        let at = run.parent.and_then(|parent| self.at(parent.run_id, parent.place));
        let (name, input) = (run.workflow.as_str(), run.input.clone().unwrap_or_else(Json::null));
        let question = Question { kind: Asked::Workflow, at, name, input: &input };
        let answer = self.script.answer(&question).unwrap_or_else(|| Err(question.unanswered()))?;
        self.expect_answer(answer, None, Receiver::StandIn(run.id))
    }

    fn expect_answer(&mut self, answer: Answer, timeout: Option<Span>, to: Receiver) -> Result<(), Problem> {
        self.questions += 1;
        if self.questions > QUESTIONS_MAX {
            return Err(Problem::said(format!("more than {QUESTIONS_MAX} questions were asked")));
        }
        let late = |limit: Span| Err(Failure::retry("timeout", format!("no answer came within {limit}")));
        let (after, result) = match (answer.result, timeout) {
            (Some(result), limit) if limit.is_none_or(|limit| answer.after <= limit) => (answer.after, result),
            (_, Some(limit)) => (limit, late(limit)),
            (_, None) => return Ok(()),
        };
        self.coming.push(Coming { at: self.world.hand.now() + after, result, to });
        Ok(())
    }

    fn deliver(&mut self, coming: Coming) -> Result<(), Problem> {
        match coming.to {
            Receiver::Task(task) => self.world.hand.end(&task, coming.result),
            // Whoever was no longer wanted hears so; that is part of the case.
            Receiver::Manual(id) => {
                let scope = self.world.scope(Role::Member)?;
                drop(self.world.hand.directive_report(&scope, id, coming.result));
            }
            Receiver::StandIn(run) => {
                let key = step_key(run, STAND_IN_STEP, Place::step(0), 0, 0);
                drop(self.report_under(key, coming.result)?);
            }
        }
        Ok(())
    }

    pub fn report_under(&mut self, key: String, result: Result<Json, Failure>) -> Result<Result<(), Failure>, Problem> {
        let payload = match result {
            Ok(output) => json!({"key": key, "output": output.value()}),
            Err(failure) => json!({"key": key, "error": {"code": failure.code, "message": failure.message}}),
        };
        self.request(Role::Member, Name::known("workflow.step.report"), payload)
    }

    /// A place by the names of the workflow that is tried; none in other workflows.
    fn at(&mut self, run: RunId, place: Place) -> Option<At> {
        let workflow = &self.suite.definitions.workflow;
        (self.world.workflow_of(run)? == workflow.slug).then(|| at_of(workflow, place))?
    }

    /// Those that have not settled, the oldest first.
    pub fn open_directives(&self) -> Vec<Directive> {
        let filter = DirectiveFilter { status: Some(directive::Status::Running), ..DirectiveFilter::default() };
        let page = Page::after(None, DIRECTIVES_MAX);
        self.world.store.directives(self.world.tenant, &filter, page).unwrap_or_default()
    }

    // The end

    fn played(self, stopped: Option<Problem>) -> Played {
        let all = self.world.all_runs(None);
        let parents: BTreeMap<RunId, RunId> = all.iter().filter_map(|run| Some((run.id, run.parent?.run_id))).collect();
        let root = |run: &Run| {
            let mut root = run.id;
            while let Some(parent) = parents.get(&root) {
                root = *parent;
            }
            (run.id, root)
        };
        let page = Page::after(None, DIRECTIVES_MAX);
        let directives = self.world.store.directives(self.world.tenant, &DirectiveFilter::default(), page);
        Played {
            workflow: self.suite.definitions.workflow.clone(),
            began: self.case.now,
            stopped,
            problems: self.script.unused().collect(),
            runs: self.runs(),
            roots: all.iter().map(root).collect(),
            directives: directives.unwrap_or_default().into_iter().map(|one| (one.id, one)).collect(),
            signals: self.world.signals(),
            refusal: self.refusal,
            refused: self.refused,
        }
    }
}

pub(super) fn at_of(workflow: &Workflow, place: Place) -> Option<At> {
    let step = workflow.steps.get(place.index())?;
    Some(At { step: step.id.clone(), item: place.item, undo: place.undo })
}

impl Expected {
    /// Whether a run may be as it is expected to be: then no more time passes.
    fn is_there(&self, run: &Run) -> bool {
        let is_open = |status: StepStatus| !status.is_settled();
        match self.status {
            _ if run.status.has_ended() => true,
            Some(status) => run.status == status,
            None => self.steps.iter().any(|(_, step)| step.status.is_some_and(is_open)),
        }
    }
}

/// What a step of a run waits for, if it waits for something of that kind.
pub(super) fn waits_for(run: &Run, place: Place, what: fn(&Awaited) -> bool) -> bool {
    let Some(step) = run.at(place).filter(|step| step.status == StepStatus::Waiting) else { return false };
    step.waiting.as_ref().is_some_and(|waiting| what(&waiting.what))
}
