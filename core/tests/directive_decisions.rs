//! What becomes of a directive: every status, handler and input, as one table; and its properties.

use fleetprompt_core::directive::{
    self, Decision, Directive, HandlerKind, Illegal, Input, Origin, Request, Status, change_of, decide, fold, request,
};
use fleetprompt_core::retry::RetryPolicy;
use fleetprompt_core::run::Place;
use fleetprompt_core::{
    DirectiveId, Failure, Json, Lineage, Moment, Name, Party, RecordId, RunId, Signal, SignalId, Span, TenantId,
    Timestamp,
};
use proptest::prelude::*;
use rstest::rstest;
use serde_json::json;

use HandlerKind::{BuiltIn, Http, Manual, Worker};

const BEGINNING: Timestamp = Timestamp(1_767_225_600_000_000);
const SEED: u64 = 42;

/// One directive and everything that was ever decided about it.
struct World {
    moment: Moment,
    requested: Directive,
    directive: Directive,
    log: Vec<Signal>,
    /// The attempts that were to be performed.
    performed: Vec<u32>,
}

impl World {
    fn new(handler: HandlerKind) -> Self {
        Self::with(handler, 3, Some("1h"), SEED)
    }

    fn with(handler: HandlerKind, max_attempts: u32, timeout: Option<&str>, seed: u64) -> Self {
        Self::watched(handler, max_attempts, timeout, None, seed)
    }

    fn watched(
        handler: HandlerKind,
        max_attempts: u32,
        timeout: Option<&str>,
        heartbeat: Option<&str>,
        seed: u64,
    ) -> Self {
        let span = |text: &str| text.parse().expect("a duration");
        let mut moment = Moment::new(seed);
        moment.advance(BEGINNING);
        let cause = SignalId(moment.uuid());
        let request_of = Request {
            id: DirectiveId(moment.uuid()),
            tenant: TenantId(moment.uuid()),
            name: Name::known("mail.send"),
            payload: json!({"to": "ada"}).into(),
            idempotency_key: "order-7".into(),
            handler,
            retry: RetryPolicy { max_attempts, ..RetryPolicy::default() },
            timeout: timeout.map(span),
            heartbeat: heartbeat.map(span),
            origin: Some(Origin { run_id: RunId(moment.uuid()), place: Place::step(3).item(7) }),
            actor: ada(),
            lineage: Lineage::root("together").caused_by(cause),
        };
        let decision = request(request_of, &mut moment);
        assert!(!decision.perform, "an intent is recorded before it is carried out");
        let directive = decision.directive;
        let world =
            Self { moment, requested: directive.clone(), directive, log: decision.signals, performed: Vec::new() };
        world.check();
        world
    }

    fn tell(&mut self, input: Input) -> Result<(), Illegal> {
        let Decision { directive, signals, perform } = decide(self.directive.clone(), input, &mut self.moment)?;
        self.directive = directive;
        self.log.extend(signals);
        self.performed.extend(perform.then_some(self.directive.attempt));
        assert!(!perform || self.directive.is_in_flight(), "what is to be performed is in flight");
        self.check();
        Ok(())
    }

    /// What holds after every decision.
    fn check(&self) {
        let directive = &self.directive;
        assert_eq!(&fold(self.requested.clone(), &self.log), directive, "the log gives the row");
        assert!(self.log.is_sorted_by(|a, b| a.id < b.id), "ids strictly rise");
        for (at, signal) in self.log.iter().enumerate() {
            let cause = if at == 0 { directive.lineage.causation_id } else { Some(RecordId::from(directive.id)) };
            assert_eq!(signal.lineage.causation_id, cause);
            assert_eq!(signal.directive_id, Some(directive.id));
            assert_eq!(signal.run_id, directive.origin.map(|origin| origin.run_id));
        }
        let is_settled = directive.status.is_settled();
        assert_eq!(is_settled, directive.settled_at.is_some());
        assert_eq!(directive.settled_by, is_settled.then(|| self.log.last().expect("a log").id));
        assert!(!is_settled || directive.wake_at.is_none(), "what has settled does not wake");
        let waits_for_a_report = directive.handler == Manual;
        let is_begun = directive.status == Status::Running;
        assert!(
            !is_begun || directive.is_in_flight() || directive.wake_at.is_some() || waits_for_a_report,
            "what has begun has a reason to go on"
        );
    }

    fn play(&mut self, word: &str) -> Result<(), Illegal> {
        let attempt = self.directive.attempt;
        let outcome = |attempt, result| Input::Outcome { attempt, result, execution: None, logs: vec!["sent".into()] };
        let input = match word {
            "begin" => Input::Begin,
            "ok" => outcome(attempt, Ok(json!({"id": 7}).into())),
            "busy" => outcome(attempt, Err(busy())),
            "broken" => outcome(attempt, Err(broken())),
            "stale" => outcome(attempt + 1, Err(busy())),
            "report_ok" => Input::Report { by: ada(), result: Ok(Json::null()) },
            "report_failed" => Input::Report { by: ada(), result: Err(broken()) },
            "cancel" => Input::Cancel { by: ada(), reason: "too late".into(), is_unsent: false },
            "cancel unsent" => Input::Cancel { by: ada(), reason: "too late".into(), is_unsent: true },
            "beat" => Input::Heartbeat,
            "reopen" => Input::Reopen { by: ada() },
            "early" => Input::Due,
            "due" => {
                self.moment.advance(self.directive.wake_at.unwrap_or(self.moment.now()));
                Input::Due
            }
            other => panic!("`{other}` is no input"),
        };
        self.tell(input)
    }

    /// `requested, started, succeeded`.
    fn timeline(&self) -> String {
        let words: Vec<&str> = self.log.iter().map(|signal| &signal.name.as_str()["directive.".len()..]).collect();
        words.join(", ")
    }
}

fn ada() -> Party {
    Party::new("user", "ada")
}

fn busy() -> Failure {
    Failure::retry("http_status", "503")
}

fn broken() -> Failure {
    Failure::fatal("http_status", "404")
}

/// The states that a directive can be in, each with how it gets there.
fn reached(handler: HandlerKind, state: &str) -> World {
    let mut world = World::new(handler);
    let script: &[&str] = match (state, handler) {
        ("requested", _) => &[],
        ("running", _) => &["begin"],
        ("between", _) => &["begin", "busy"],
        ("canceling", _) => &["begin", "cancel"],
        ("succeeded", BuiltIn) => &["ok"],
        ("failed", BuiltIn) => &["broken"],
        ("succeeded", Http | Worker) => &["begin", "ok"],
        ("failed", Http | Worker) => &["begin", "broken"],
        ("succeeded", Manual) => &["begin", "report_ok"],
        ("failed", Manual) => &["begin", "report_failed"],
        ("canceled", _) => &["cancel"],
        other => panic!("no directive is {other:?}"),
    };
    for word in script {
        world.play(word).expect("the way there is legal");
    }
    world
}

const INPUTS: [&str; 12] = [
    "begin",
    "ok",
    "busy",
    "broken",
    "stale",
    "report_ok",
    "report_failed",
    "early",
    "due",
    "cancel",
    "beat",
    "reopen",
];

/// What each of `INPUTS` leads to, in their order: the signal and the status, `-` for no signal, or
/// why it is refused.
#[rstest]
#[case::built_in_requested(BuiltIn, "requested", [
    "- requested", "succeeded succeeded", "failed failed", "failed failed", "stale", "not manual", "not manual",
    "not due", "not due", "canceled canceled", "not manual", "not reopened",
])]
#[case::http_requested(Http, "requested", [
    "started running", "stale", "stale", "stale", "stale", "not manual", "not manual", "not due", "not due",
    "canceled canceled", "not manual", "not reopened",
])]
#[case::http_running(Http, "running", [
    "begun", "succeeded succeeded", "retrying running", "failed failed", "stale", "not manual", "not manual",
    "not due", "not due", "cancel_requested running", "not manual", "not reopened",
])]
#[case::http_between_two_attempts(Http, "between", [
    "begun", "stale", "stale", "stale", "stale", "not manual", "not manual", "not due", "started running",
    "canceled canceled", "not manual", "not reopened",
])]
#[case::http_running_and_to_be_canceled(Http, "canceling", [
    "begun", "succeeded succeeded", "canceled canceled", "canceled canceled", "stale", "not manual", "not manual",
    "not due", "not due", "- running", "not manual", "not reopened",
])]
#[case::worker_requested(Worker, "requested", [
    "started running", "stale", "stale", "stale", "stale", "not manual", "not manual", "not due", "not due",
    "canceled canceled", "not manual", "not reopened",
])]
#[case::worker_running(Worker, "running", [
    "begun", "succeeded succeeded", "retrying running", "failed failed", "stale", "not manual", "not manual",
    "not due", "not due", "cancel_requested running", "not manual", "not reopened",
])]
#[case::worker_between_two_attempts(Worker, "between", [
    "begun", "stale", "stale", "stale", "stale", "not manual", "not manual", "not due", "started running",
    "canceled canceled", "not manual", "not reopened",
])]
#[case::worker_running_and_to_be_canceled(Worker, "canceling", [
    "begun", "succeeded succeeded", "canceled canceled", "canceled canceled", "stale", "not manual", "not manual",
    "not due", "not due", "- running", "not manual", "not reopened",
])]
#[case::worker_succeeded(Worker, "succeeded", settled("not reopened"))]
#[case::worker_failed(Worker, "failed", settled("reopened requested"))]
#[case::manual_requested(Manual, "requested", [
    "started running", "stale", "stale", "stale", "stale", "succeeded succeeded", "failed failed", "not due",
    "not due", "canceled canceled", "not manual", "not reopened",
])]
#[case::manual_running(Manual, "running", [
    "begun", "stale", "stale", "stale", "stale", "succeeded succeeded", "failed failed", "not due", "failed failed",
    "canceled canceled", "heartbeat running", "not reopened",
])]
#[case::built_in_succeeded(BuiltIn, "succeeded", settled("not reopened"))]
#[case::built_in_failed(BuiltIn, "failed", settled("reopened requested"))]
#[case::built_in_canceled(BuiltIn, "canceled", settled("reopened requested"))]
#[case::http_succeeded(Http, "succeeded", settled("not reopened"))]
#[case::http_failed(Http, "failed", settled("reopened requested"))]
#[case::http_canceled(Http, "canceled", settled("reopened requested"))]
#[case::manual_succeeded(Manual, "succeeded", settled("not reopened"))]
#[case::manual_failed(Manual, "failed", settled("reopened requested"))]
#[case::manual_canceled(Manual, "canceled", settled("reopened requested"))]
fn every_input_in_every_state(#[case] handler: HandlerKind, #[case] state: &str, #[case] expected: [&str; 12]) {
    let actual = INPUTS.map(|input| {
        let mut world = reached(handler, state);
        let (before, log) = (world.directive.clone(), world.log.len());
        match world.play(input) {
            Ok(()) => {
                let change = world.log.get(log).map_or("-", |signal| &signal.name.as_str()["directive.".len()..]);
                assert!(world.log.len() <= log + 1, "one input, at most one signal");
                format!("{change} {}", world.directive.status.as_str())
            }
            Err(illegal) => {
                assert_eq!(world.directive, before);
                refusal(&illegal).to_owned()
            }
        }
    });
    assert_eq!(actual, expected);
}

/// What has settled takes nothing more; some of it is carried out again.
const fn settled(reopened: &'static str) -> [&'static str; 12] {
    let mut answers = ["settled"; 12];
    answers[11] = reopened;
    answers
}

fn refusal(illegal: &Illegal) -> &'static str {
    match illegal {
        Illegal::Settled(_) => "settled",
        Illegal::Stale { .. } => "stale",
        Illegal::NotManual(_) => "not manual",
        Illegal::NotDue => "not due",
        Illegal::Begun(_) => "begun",
        Illegal::NotReopened(_) => "not reopened",
    }
}

#[rstest]
#[case::succeeds_at_once(&["begin", "ok"], "requested, started, succeeded", &[1])]
#[case::succeeds_at_the_third_attempt(
    &["begin", "busy", "due", "busy", "due", "ok"],
    "requested, started, retrying, started, retrying, started, succeeded", &[1, 2, 3]
)]
#[case::fails_when_its_attempts_are_used_up(
    &["begin", "busy", "due", "busy", "due", "busy"],
    "requested, started, retrying, started, retrying, started, failed", &[1, 2, 3]
)]
#[case::fails_at_once_when_it_would_fail_again(&["begin", "broken"], "requested, started, failed", &[1])]
#[case::is_canceled_before_it_begins(&["cancel"], "requested, canceled", &[])]
#[case::is_canceled_between_two_attempts(
    &["begin", "busy", "cancel"], "requested, started, retrying, canceled", &[1]
)]
#[case::is_canceled_at_once_while_its_attempt_is_not_sent(
    &["begin", "cancel unsent"], "requested, started, canceled", &[1]
)]
#[case::is_canceled_at_once_while_its_second_attempt_is_not_sent(
    &["begin", "busy", "due", "cancel unsent"], "requested, started, retrying, started, canceled", &[1, 2]
)]
#[case::happens_though_somebody_asked_to_cancel_it(
    &["begin", "cancel", "ok"], "requested, started, cancel_requested, succeeded", &[1]
)]
#[case::is_not_tried_again_once_it_is_to_be_canceled(
    &["begin", "cancel", "busy"], "requested, started, cancel_requested, canceled", &[1]
)]
#[case::is_asked_to_be_canceled_once(
    &["begin", "cancel", "cancel", "broken"], "requested, started, cancel_requested, canceled", &[1]
)]
fn an_http_directive(#[case] script: &[&str], #[case] expected: &str, #[case] performed: &[u32]) {
    let mut world = World::new(Http);
    for word in script {
        world.play(word).unwrap_or_else(|illegal| panic!("`{word}`: {illegal}"));
    }
    assert_eq!((world.timeline().as_str(), &world.performed[..]), (expected, performed));
}

#[test]
fn a_canceled_attempt_that_failed_keeps_its_failure_and_one_that_happened_its_output() {
    let mut world = reached(Http, "canceling");
    world.play("broken").expect("it is in flight");
    assert_eq!((world.directive.status, &world.directive.error), (Status::Canceled, &Some(broken())));
    let mut world = reached(Http, "canceling");
    world.play("ok").expect("it is in flight");
    assert_eq!(world.directive.output, Some(json!({"id": 7}).into()));
    assert!(world.directive.cancel_requested, "that somebody asked is not forgotten");
}

#[test]
fn the_intent_and_the_cancel_say_who_wanted_it() {
    let mut world = World::new(Http);
    world.play("cancel").expect("it has not begun");
    let payloads: Vec<_> = world.log.iter().map(|signal| signal.payload.value()).collect();
    assert_eq!(payloads[0], &json!({"directive": "mail.send", "by": {"type": "user", "id": "ada"}}));
    assert_eq!(payloads[1]["reason"], "too late");
    assert_eq!(payloads[1]["by"]["id"], "ada");
}

#[test]
fn a_manual_directive_without_a_timeout_waits_for_its_report_for_ever() {
    let mut world = World::with(Manual, 1, None, SEED);
    world.play("begin").expect("it was requested");
    assert_eq!((world.directive.wake_at, world.performed.len()), (None, 0));
    world.moment.advance(world.moment.now() + Span::MAX);
    assert_eq!(world.tell(Input::Due), Err(Illegal::NotDue));
    world.play("report_ok").expect("it waits");
    assert_eq!(world.directive.output, Some(Json::null()), "a null that was reported is an output");
}

#[test]
fn a_manual_directive_fails_when_nobody_reports_in_time() {
    let mut world = reached(Manual, "running");
    assert_eq!(world.directive.wake_at.map(|at| at - BEGINNING), Some(Span::from_secs(3_600)));
    world.play("due").expect("the hour has passed");
    assert_eq!(world.directive.error.as_ref().map(|error| error.code.as_str()), Some("timeout"));
}

#[test]
fn signs_of_life_keep_a_manual_directive_going_until_its_time_is_over() {
    let mut world = World::watched(Manual, 1, Some("25s"), Some("10s"), SEED);
    world.play("begin").expect("it was requested");
    let mut wakes = Vec::new();
    for _ in 0..3 {
        wakes.push(world.directive.wake_at.map(|at| (at - BEGINNING).to_string()).unwrap_or_default());
        world.moment.advance(world.moment.now() + Span::from_secs(8));
        world.play("beat").expect("it runs");
    }
    assert_eq!(wakes, ["10s", "18s", "25s"]);
    world.play("due").expect("its time is over");
    assert_eq!(world.directive.error.as_ref().map(|error| error.code.as_str()), Some("timeout"));
    let mut silent = World::watched(Manual, 1, Some("25s"), Some("10s"), SEED);
    silent.play("begin").expect("it was requested");
    silent.play("due").expect("it was silent for too long");
    assert_eq!(silent.directive.error.as_ref().map(|error| error.code.as_str()), Some("heartbeat_timeout"));
}

#[rstest]
#[case::after_a_failure("failed")]
#[case::after_it_was_canceled("canceled")]
fn one_that_is_carried_out_again_begins_anew(#[case] state: &str) {
    let mut world = reached(Http, state);
    world.play("reopen").expect("it came to nothing");
    let directive = &world.directive;
    assert_eq!((directive.status, directive.attempt, &directive.error), (Status::Requested, 0, &None));
    assert_eq!((directive.started_at, directive.cancel_requested), (None, false));
    for word in ["begin", "busy", "due", "ok"] {
        world.play(word).expect("it is a directive like any other");
    }
    assert_eq!((world.directive.status, world.directive.attempt), (Status::Succeeded, 2));
}

#[test]
fn an_attempt_waits_as_long_as_the_policy_and_the_other_side_say() {
    let mut world = reached(Http, "running");
    let error = Failure { retry_after_ms: Some(45_000), ..busy() };
    world
        .tell(Input::Outcome { attempt: 1, result: Err(error), execution: None, logs: vec![] })
        .expect("it is in flight");
    assert_eq!(world.directive.wake_at.map(|at| at - world.moment.now()), Some(Span::from_secs(45)));
    world.moment.advance(world.moment.now() + Span::from_millis(44_999));
    assert_eq!(world.tell(Input::Due), Err(Illegal::NotDue));
    world.moment.advance(world.moment.now() + Span::from_millis(1));
    assert_eq!(world.tell(Input::Due), Ok(()));
}

#[test]
fn a_built_in_directive_is_never_tried_again_and_never_performed_outside() {
    let mut world = World::with(BuiltIn, 9, None, SEED);
    world.play("busy").expect("it was requested");
    assert_eq!((world.timeline().as_str(), world.performed.len()), ("requested, failed", 0));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1_000, failure_persistence: None, ..ProptestConfig::default() })]

    /// That the log gives the row back after each of them, the world checks.
    #[test]
    fn any_inputs_in_any_order_leave_a_directive_that_its_log_gives_back(
        handler in prop::sample::select(&HandlerKind::ALL[..]),
        max_attempts in 1u32..4,
        timeout in prop::option::of(Just("1h")),
        inputs in prop::collection::vec(prop::sample::select(&INPUTS[..]), 0..20),
        seed in any::<u64>(),
    ) {
        let drive = |seed| {
            let mut world = World::with(handler, max_attempts, timeout, seed);
            let answers: Vec<_> = inputs.iter().map(|input| world.play(input)).collect();
            (world, answers)
        };
        let ((one, told), (two, told_again)) = (drive(seed), drive(seed));
        prop_assert_eq!(&one.log, &two.log);
        prop_assert_eq!(&one.directive, &two.directive);
        prop_assert_eq!(told, told_again);
        prop_assert!(one.directive.attempt <= max_attempts);
        prop_assert!(one.log.iter().all(|signal| change_of(&signal.name).is_some()));
        let settled = one.log.iter().filter(|signal| {
            use directive::Change::{Canceled, Failed, Succeeded};
            matches!(change_of(&signal.name), Some(Succeeded | Failed | Canceled))
        });
        let reopened = one.log.iter().filter(|signal| change_of(&signal.name) == Some(directive::Change::Reopened)).count();
        prop_assert_eq!(settled.count(), reopened + usize::from(one.directive.status.is_settled()));
    }
}
