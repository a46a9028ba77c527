use proptest::prelude::*;
use rstest::rstest;
use serde_json::{Value, json};
use uuid::Uuid;

use super::*;
use crate::diagnostic::{Severity, render};
use crate::document::Format;
use crate::{Moment, Party, Signal, TenantId};

const TENANT: TenantId = TenantId(Uuid::from_u128(7));

fn at(text: &str) -> Timestamp {
    text.parse().expect(text)
}

fn schedule_of(fields: Value) -> Schedule {
    let mut document = json!({"slug": "nightly-digest", "signal": "digest.due"});
    let all = document.as_object_mut().expect("an object");
    all.extend(fields.as_object().expect("an object").clone());
    let text = json!({"schedule": document}).to_string();
    let (schedule, warnings) = read(&text, Format::Json).unwrap_or_else(|problems| panic!("{text}: {problems:?}"));
    assert_eq!(warnings, []);
    schedule
}

fn in_zone(cron: &str, zone: &str) -> Schedule {
    schedule_of(json!({"cron": cron, "time_zone": zone}))
}

/// The due times from a moment on, as UTC without seconds.
fn dues(schedule: &Schedule, from: &str, count: usize) -> Vec<String> {
    let from = Timestamp(at(from).0 - 1);
    let minute = |due: Timestamp| due.to_string().replace(":00.000000Z", "Z");
    schedule.dues_after(from, from).take(count).map(minute).collect()
}

// What a document says

#[test]
fn all_fields_are_read() {
    let schedule = schedule_of(json!({
        "name": "Digest", "description": "Every working day", "cron": "0 7 * * MON-FRI", "time_zone": "europe/berlin",
        "starts_at": "2026-12-01T00:00:00+01:00", "ends_at": "2027-01-01T00:00:00Z", "jitter": "30s",
        "overlap": "queue", "catch_up": "all", "catch_up_window": "1h", "subject": {"type": "list", "id": "all"},
        "payload": {"list": "all"}
    }));
    let Timing::Cron(cron) = &schedule.timing else { panic!("{:?}", schedule.timing) };
    assert_eq!((cron.source(), cron.zone_name()), ("0 7 * * MON-FRI", "Europe/Berlin"));
    assert_eq!((schedule.overlap, schedule.catch_up), (Overlap::Queue, CatchUp::All));
    assert_eq!(schedule.starts_at, Some(at("2026-11-30T23:00:00Z")));
    assert_eq!((schedule.jitter, schedule.catch_up_window), (Some(Span::from_secs(30)), Some(Span::from_secs(3_600))));
    assert_eq!(schedule.subject, Some(Party::new("list", "all")));
    assert_eq!(schedule.payload.as_ref().map(|payload| payload.value().clone()), Some(json!({"list": "all"})));
}

#[rstest]
#[case::seconds(json!({"cron": "0 0 7 * * *"}), "FP0501")]
#[case::too_few(json!({"cron": "0 7 * *"}), "FP0501")]
#[case::words(json!({"cron": "at noon each day ok"}), "FP0501")]
#[case::nickname(json!({"cron": "@fortnightly"}), "FP0501")]
#[case::no_hour(json!({"cron": "0 , * * *"}), "FP0501")]
#[case::no_weekday(json!({"cron": "0 7 * * L"}), "FP0501")]
#[case::hour_25(json!({"cron": "0 25 * * *"}), "FP0501")]
#[case::backward_range(json!({"cron": "0 7 * * FRI-MON"}), "FP0501")]
#[case::thirty_february(json!({"cron": "0 7 30 2 *"}), "FP0503")]
#[case::fifth_monday_early(json!({"cron": "0 7 1-7 * +MON#5"}), "FP0503")]
#[case::nothing_between(
    json!({"cron": "0 7 1 1 *", "starts_at": "2026-01-02T00:00:00Z", "ends_at": "2026-12-31T00:00:00Z"}), "FP0503"
)]
#[case::ends_before(
    json!({"every": "1h", "starts_at": "2026-01-02T00:00:00Z", "ends_at": "2026-01-01T00:00:00Z"}), "FP0503"
)]
#[case::time_zone(json!({"cron": "0 7 * * *", "time_zone": "Europe/Berln"}), "FP0502")]
#[case::offset(json!({"cron": "0 7 * * *", "time_zone": "+01:00"}), "FP0502")]
#[case::both(json!({"cron": "0 7 * * *", "every": "1h"}), "FP0111")]
#[case::neither(json!({}), "FP0102")]
#[case::zone_of_every(json!({"every": "1h", "time_zone": "UTC"}), "FP0104")]
#[case::too_often(json!({"every": "10ms"}), "FP0104")]
#[case::jitter_beyond_every(json!({"every": "1m", "jitter": "2m"}), "FP0104")]
#[case::local_time(json!({"every": "1m", "starts_at": "2026-01-02 09:00"}), "FP0504")]
#[case::overlap(json!({"every": "1m", "overlap": "skipp"}), "FP0104")]
#[case::window_of_nothing(json!({"every": "1m", "catch_up": "none", "catch_up_window": "1h"}), "FP0104")]
#[case::reserved(json!({"every": "1m", "signal": "workflow.run.started"}), "FP0104")]
#[case::payload(json!({"every": "1m", "payload": [1]}), "FP0103")]
#[case::unknown(json!({"every": "1m", "timezone": "UTC"}), "FP0101")]
fn a_wrong_schedule_is_refused(#[case] fields: Value, #[case] expected: &str) {
    let mut document = json!({"slug": "nightly-digest", "signal": "digest.due"});
    let all = document.as_object_mut().expect("an object");
    all.extend(fields.as_object().expect("an object").clone());
    let problems = read(&json!({"schedule": document}).to_string(), Format::Json).expect_err("refused");
    let errors = problems.iter().filter(|problem| problem.severity == Severity::Error);
    assert_eq!(errors.map(|problem| problem.code).collect::<Vec<_>>(), [expected], "{problems:?}");
}

#[test]
fn problems_of_a_schedule_in_yaml_are_shown_at_their_places() {
    let text = "\
schedule:
  slug: nightly-digest
  cron: \"0 0 7 * * *\"
  time_zone: Europe/Berln
  overlap: queu
  signal: digest.due
  starts_at: tomorrow
";
    let problems = read(text, Format::Yaml).expect_err("refused");
    insta::assert_snapshot!(render(&problems, text, "schedule.yaml", false));
}

// When it is due

#[rstest]
#[case::weekdays("0 7 * * MON-FRI", "2026-11-20T00:00:00Z", &["2026-11-20T07:00Z", "2026-11-23T07:00Z"])]
#[case::sunday_is_0_and_7("0 7 * * 0,7", "2026-11-20T00:00:00Z", &["2026-11-22T07:00Z", "2026-11-29T07:00Z"])]
#[case::last_day("0 7 L * *", "2027-12-01T00:00:00Z", &["2027-12-31T07:00Z", "2028-01-31T07:00Z", "2028-02-29T07:00Z"])]
#[case::leap_day("0 7 29 2 *", "2026-01-01T00:00:00Z", &["2028-02-29T07:00Z", "2032-02-29T07:00Z"])]
#[case::leap_day_that_2100_lacks("0 7 29 2 *", "2096-03-01T00:00:00Z", &["2104-02-29T07:00Z"])]
#[case::second_monday("0 7 * * MON#2", "2026-11-01T00:00:00Z", &["2026-11-09T07:00Z", "2026-12-14T07:00Z"])]
#[case::last_friday("0 7 * * FRI#L", "2026-11-01T00:00:00Z", &["2026-11-27T07:00Z", "2026-12-25T07:00Z"])]
#[case::nearest_weekday("0 7 15W * *", "2026-11-01T00:00:00Z", &["2026-11-16T07:00Z", "2026-12-15T07:00Z"])]
#[case::either_day("0 7 13 * FRI", "2026-11-10T00:00:00Z", &["2026-11-13T07:00Z", "2026-11-20T07:00Z"])]
#[case::both_days("0 7 13 * +FRI", "2026-11-01T00:00:00Z", &["2026-11-13T07:00Z", "2027-08-13T07:00Z"])]
#[case::nickname("@weekly", "2026-11-20T00:00:00Z", &["2026-11-22T00:00Z", "2026-11-29T00:00Z"])]
#[case::steps("*/20 9 * JAN *", "2026-11-20T00:00:00Z", &["2027-01-01T09:00Z", "2027-01-01T09:20Z"])]
fn cron_says_which_days_and_times(#[case] cron: &str, #[case] from: &str, #[case] expected: &[&str]) {
    assert_eq!(dues(&in_zone(cron, "UTC"), from, expected.len()), expected);
}

#[rstest]
// 02:30 is skipped on 29 March 2026, and comes twice on 25 October.
#[case::berlin_skips("30 2 * * *", "Europe/Berlin", "2026-03-28T00:00:00Z",
    &["2026-03-28T01:30Z", "2026-03-29T01:00Z", "2026-03-30T00:30Z"])]
#[case::berlin_repeats("30 2 * * *", "Europe/Berlin", "2026-10-24T00:00:00Z",
    &["2026-10-24T00:30Z", "2026-10-25T00:30Z", "2026-10-26T01:30Z"])]
#[case::a_skipped_hour_is_one_moment("*/15 2 * * *", "Europe/Berlin", "2026-03-29T00:00:00Z",
    &["2026-03-29T01:00Z", "2026-03-30T00:00Z"])]
#[case::hourly_over_a_skipped_hour("0 * * * *", "Europe/Berlin", "2026-03-28T23:30:00Z",
    &["2026-03-29T00:00Z", "2026-03-29T01:00Z", "2026-03-29T02:00Z"])]
#[case::a_repeated_hour_comes_once("30 1-3 * * *", "Europe/Berlin", "2026-10-24T23:00:00Z",
    &["2026-10-24T23:30Z", "2026-10-25T00:30Z", "2026-10-25T02:30Z"])]
#[case::new_york_skips("30 2 * * *", "America/New_York", "2026-03-08T00:00:00Z",
    &["2026-03-08T07:00Z", "2026-03-09T06:30Z"])]
#[case::new_york_repeats("30 1 * * *", "America/New_York", "2026-11-01T00:00:00Z",
    &["2026-11-01T05:30Z", "2026-11-02T06:30Z"])]
#[case::lord_howe_skips_half_an_hour("15 2 * * *", "Australia/Lord_Howe", "2026-10-03T00:00:00Z",
    &["2026-10-03T15:30Z", "2026-10-04T15:15Z"])]
#[case::lord_howe_repeats_half_an_hour("45 1 * * *", "Australia/Lord_Howe", "2026-04-04T00:00:00Z",
    &["2026-04-04T14:45Z", "2026-04-05T15:15Z"])]
#[case::kolkata_has_half_hours("0 9 * * *", "Asia/Kolkata", "2026-06-01T00:00:00Z",
    &["2026-06-01T03:30Z", "2026-06-02T03:30Z"])]
#[case::a_day_that_never_was("0 12 * * *", "Pacific/Apia", "2011-12-29T00:00:00Z",
    &["2011-12-29T22:00Z", "2011-12-30T10:00Z", "2011-12-30T22:00Z"])]
fn a_local_time_comes_once_whatever_clocks_do(
    #[case] cron: &str,
    #[case] zone: &str,
    #[case] from: &str,
    #[case] expected: &[&str],
) {
    assert_eq!(dues(&in_zone(cron, zone), from, expected.len()), expected);
}

#[test]
fn every_counts_from_its_start_or_else_from_when_it_was_applied() {
    let fixed =
        schedule_of(json!({"every": "15m", "starts_at": "2026-11-22T09:05:00Z", "ends_at": "2026-11-22T09:40:00Z"}));
    let anchor = at("2026-01-01T00:00:00Z");
    let all: Vec<_> = fixed.dues_after(anchor, anchor).map(|due| due.to_string()).collect();
    assert_eq!(all, ["09:05", "09:20", "09:35"].map(|time| format!("2026-11-22T{time}:00.000000Z")));

    let free = schedule_of(json!({"every": "15m"}));
    let mut moment = Moment::new(1);
    moment.advance(at("2026-11-22T09:05:07.3Z"));
    let applied = apply(setting(&free, false), None, Party::engine(), &mut moment);
    assert_eq!(applied.state.next_at, Some(at("2026-11-22T09:20:07Z")));
}

fn crons() -> impl Strategy<Value = String> {
    let minute = prop_oneof!["\\*", "\\*/[1-9]", "[0-5]?[0-9]", "[0-9],3[0-9]"];
    let hour = prop_oneof!["\\*", "\\*/[1-9]", "1?[0-9]", "[0-3]", "0-3"];
    let day = prop_oneof![Just("*".to_owned()), Just("L".to_owned()), "[1-9]", "1[0-9]W", "LW"];
    let month = prop_oneof!["\\*", "3", "10", "\\*/2"];
    let weekday = prop_oneof!["\\*", "[0-7]", "[1-5]#[1-4]", "[1-5]#L", "\\+[0-6]"];
    (minute, hour, day, month, weekday).prop_map(|(a, b, c, d, e)| format!("{a} {b} {c} {d} {e}"))
}

const ZONES: [&str; 7] = [
    "UTC",
    "Europe/Berlin",
    "America/New_York",
    "Australia/Lord_Howe",
    "Asia/Kolkata",
    "Pacific/Apia",
    "Africa/Casablanca",
];

fn timings() -> impl Strategy<Value = Schedule> {
    let jitter = prop_oneof![Just(json!({})), Just(json!({"jitter": "45s"})), Just(json!({"jitter": "3h"}))];
    let cron = (crons(), 0..ZONES.len(), jitter).prop_filter_map("never due", |(cron, zone, jitter)| {
        let mut fields = json!({"slug": "s", "signal": "a.b", "cron": cron, "time_zone": ZONES[zone]});
        fields.as_object_mut().expect("an object").extend(jitter.as_object().expect("an object").clone());
        read(&json!({"schedule": fields}).to_string(), Format::Json).ok().map(|(schedule, _)| schedule)
    });
    let every =
        (1i64..100_000).prop_map(|seconds| schedule_of(json!({"every": format!("{seconds}s"), "jitter": "1s"})));
    prop_oneof![4 => cron, 1 => every]
}

/// Around the years in which clocks changed in every zone above.
fn moments() -> impl Strategy<Value = Timestamp> {
    (1_300_000_000i64..1_900_000_000, 0i64..1_000_000)
        .prop_map(|(second, micros)| Timestamp(second * 1_000_000 + micros))
}

/// Near a clock change, where it is hardest.
fn near_a_change() -> impl Strategy<Value = Timestamp> {
    let changes = [
        "2026-03-29T01:00:00Z",
        "2026-10-25T01:00:00Z",
        "2026-03-08T07:00:00Z",
        "2026-11-01T06:00:00Z",
        "2026-04-04T15:00:00Z",
        "2026-10-03T15:30:00Z",
        "2011-12-30T10:00:00Z",
        "2026-02-15T02:00:00Z",
    ];
    (0..changes.len(), -100_000i64..100_000)
        .prop_map(move |(which, seconds)| Timestamp(at(changes[which]).0 + seconds * 1_000_000))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn due_times_rise_and_a_search_back_finds_the_same(schedule in timings(), from in prop_oneof![moments(), near_a_change()]) {
        let mut last = from;
        for due in schedule.dues_after(from, from).take(40) {
            prop_assert!(due > last);
            prop_assert_eq!(schedule.last_until(from, due), Some(due));
            let between = schedule.last_until(from, Timestamp(due.0 - 1));
            prop_assert!(between.is_none_or(|between| between < due && (between == last || last == from)));
            last = due;
        }
    }

    #[test]
    fn fires_rise_and_come_before_the_next_is_due(schedule in timings(), from in moments()) {
        let fires: Vec<_> = schedule.preview(TENANT, from, from).take(20).collect();
        for pair in fires.windows(2) {
            prop_assert!(pair[0].due_at <= pair[0].fires_at && pair[0].fires_at < pair[1].due_at, "{pair:?}");
        }
    }

    #[test]
    fn no_text_makes_reading_a_cron_expression_panic(text in "[-*/0-9A-Za-z,#LW+?@ ]{0,40}", zone in 0..ZONES.len()) {
        let zone = cron::TIME_ZONES.get(ZONES[zone]).expect("known");
        if let Ok(cron) = Cron::parse(&text, zone) && cron.is_ever_due() {
            prop_assert!(cron.next_after(at("2026-01-01T00:00:00Z")).is_some());
        }
    }
}

// What becomes of it

fn setting(schedule: &Schedule, is_open: bool) -> Setting<'_> {
    Setting { tenant: TENANT, schedule, is_open }
}

/// A schedule in a world with a clock, and everything it has told.
struct World {
    schedule: Schedule,
    state: State,
    moment: Moment,
    is_open: bool,
    told: Vec<Signal>,
    fired: Vec<Signal>,
    canceled: usize,
}

fn me() -> Party {
    Party::new("person", "ada")
}

impl World {
    fn new(fields: Value, now: &str) -> Self {
        let schedule = schedule_of(fields);
        let mut moment = Moment::new(3);
        moment.advance(at(now));
        let applied = apply(setting(&schedule, false), None, me(), &mut moment);
        let mut world = Self {
            schedule,
            state: applied.state,
            moment,
            is_open: false,
            told: applied.signals,
            fired: Vec::new(),
            canceled: 0,
        };
        world.told.clear();
        world
    }

    fn decide(&mut self, input: Input) -> Result<(), Illegal> {
        let decision = decide(setting(&self.schedule, self.is_open), self.state.clone(), input, &mut self.moment)?;
        self.state = decision.state;
        self.canceled += usize::from(decision.cancel_previous);
        self.told.extend(decision.signals);
        self.fired.extend(decision.fires);
        Ok(())
    }

    /// As the engine does: whatever is due by then, decided when it is.
    fn pass_to(&mut self, now: &str) {
        self.moment.advance(at(now));
        while self.state.wake_at(TENANT, &self.schedule).is_some_and(|wake_at| wake_at <= self.moment.now()) {
            self.decide(Input::Due).expect("it is due");
        }
    }

    fn fired(&mut self) -> Vec<String> {
        self.fired.drain(..).map(|fire| fire.occurred_at.to_string()[11..16].to_owned()).collect()
    }

    fn told(&mut self) -> Vec<String> {
        let say = |signal: Signal| {
            let record: Record = serde_json::from_str(signal.payload.text()).expect("a record");
            match record.skipped {
                Some(skipped) => {
                    let more = if skipped.and_more { "+" } else { "" };
                    format!("skipped {}{more} {:?}", skipped.count, skipped.reason)
                }
                None => format!("{:?}", change_of(&signal.name).expect("one of ours")).to_lowercase(),
            }
        };
        self.told.drain(..).map(say).collect()
    }
}

fn hourly(more: Value) -> Value {
    let mut fields = json!({"cron": "0 * * * *"});
    fields.as_object_mut().expect("an object").extend(more.as_object().expect("an object").clone());
    fields
}

#[test]
fn a_fire_is_the_tenant_s_own_signal_named_by_its_due_time() {
    let mut world = World::new(hourly(json!({})), "2026-11-22T08:30:00Z");
    world.pass_to("2026-11-22T09:00:00.02Z");
    world.pass_to("2026-11-22T10:00:00.01Z");
    let [_, fire] = &world.fired[..] else { panic!("{:?}", world.fired) };
    assert_eq!((fire.name.as_str(), fire.source.as_deref()), ("digest.due", Some("schedule")));
    assert_eq!(fire.source_event_id.as_deref(), Some("nightly-digest:2026-11-22T10:00:00.000000Z"));
    assert_eq!(
        (fire.occurred_at, fire.actor()),
        (at("2026-11-22T10:00:00Z"), Party::new("schedule", "nightly-digest"))
    );
    let payload = json!({
        "schedule": "nightly-digest", "due_at": "2026-11-22T10:00:00.000000Z",
        "previous_due_at": "2026-11-22T09:00:00.000000Z"
    });
    assert_eq!(fire.payload.value(), &payload);
    assert_eq!(world.state.last_signal, Some(fire.id));
}

#[rstest]
#[case::last("last", json!({}), &["12:00"], &["skipped 3 CatchUp"])]
#[case::none("none", json!({}), &[], &["skipped 4 CatchUp"])]
#[case::all("all", json!({}), &["09:00", "10:00", "11:00", "12:00"], &[])]
#[case::all_in_the_window("all", json!({"catch_up_window": "2h"}), &["11:00", "12:00"], &["skipped 2 CatchUpWindow"])]
#[case::last_in_the_window("last", json!({"catch_up_window": "1h"}), &["12:00"], &["skipped 3 CatchUp"])]
#[case::last_too_late("last", json!({"catch_up_window": "20m"}), &[], &["skipped 4 CatchUpWindow"])]
fn what_was_missed_is_caught_up_with_as_the_schedule_says(
    #[case] catch_up: &str,
    #[case] mut more: Value,
    #[case] fired: &[&str],
    #[case] told: &[&str],
) {
    more["catch_up"] = json!(catch_up);
    let mut world = World::new(hourly(more), "2026-11-22T08:30:00Z");
    world.pass_to("2026-11-22T12:30:00Z");
    assert_eq!(
        (world.fired().as_slice(), world.told().as_slice()),
        (&fired.map_to_owned()[..], &told.map_to_owned()[..])
    );
    world.pass_to("2026-11-22T13:00:00.5Z");
    assert_eq!(world.fired(), ["13:00"]);
}

trait MapToOwned {
    fn map_to_owned(&self) -> Vec<String>;
}

impl MapToOwned for [&str] {
    fn map_to_owned(&self) -> Vec<String> {
        self.iter().map(|text| (*text).to_owned()).collect()
    }
}

#[test]
fn a_year_of_seconds_is_caught_up_with_in_bounded_steps_and_told_of_once() {
    let mut world = World::new(json!({"every": "1s", "catch_up": "all"}), "2026-01-01T00:00:00Z");
    world.pass_to("2027-01-01T00:00:00Z");
    assert_eq!(world.fired.len(), 1_000);
    assert_eq!(world.fired.last().map(|fire| fire.occurred_at), Some(at("2027-01-01T00:00:00Z")));
    assert_eq!(world.told(), ["skipped 1000+ CatchUpLimit"]);
}

#[rstest]
#[case::allow("allow", &["10:00"], &[], None, 0)]
#[case::skip("skip", &[], &["skipped 1 Overlap"], None, 0)]
#[case::queue("queue", &[], &[], Some("2026-11-22T10:00:00Z"), 0)]
#[case::cancel("cancel", &["10:00"], &[], None, 1)]
fn a_fire_meets_the_runs_of_the_last_one(
    #[case] overlap: &str,
    #[case] fired: &[&str],
    #[case] told: &[&str],
    #[case] queued: Option<&str>,
    #[case] canceled: usize,
) {
    let mut world = World::new(hourly(json!({"overlap": overlap})), "2026-11-22T08:30:00Z");
    world.pass_to("2026-11-22T09:00:00Z");
    assert_eq!(world.fired(), ["09:00"]);
    world.is_open = true;
    world.pass_to("2026-11-22T10:00:00Z");
    assert_eq!((world.fired(), world.told()), (fired.map_to_owned(), told.map_to_owned()));
    assert_eq!((world.state.queued_at, world.canceled), (queued.map(at), canceled));
    assert_eq!(world.state.next_at, Some(at("2026-11-22T11:00:00Z")));
}

#[test]
fn one_fire_waits_and_the_others_are_skipped() {
    let mut world = World::new(hourly(json!({"overlap": "queue", "catch_up": "all"})), "2026-11-22T08:30:00Z");
    world.pass_to("2026-11-22T09:00:00Z");
    world.is_open = true;
    world.pass_to("2026-11-22T12:30:00Z");
    assert_eq!((world.fired(), world.told()), (vec!["09:00".to_owned()], vec!["skipped 2 QueueFull".to_owned()]));
    assert_eq!(world.decide(Input::PreviousEnded), Err(Illegal::NothingQueued), "another run is still open");
    world.is_open = false;
    world.decide(Input::PreviousEnded).expect("it waits");
    assert_eq!((world.fired(), world.state.queued_at), (vec!["10:00".to_owned()], None));
    assert_eq!(world.decide(Input::PreviousEnded), Err(Illegal::NothingQueued));
}

#[test]
fn nothing_fires_while_it_is_paused_and_a_resumed_one_catches_up() {
    for (catch_up, fired, told) in [
        ("last", vec!["12:00"], vec!["paused", "resumed", "skipped 2 CatchUp"]),
        ("none", vec![], vec!["paused", "skipped 3 CatchUp", "resumed"]),
        ("all", vec!["10:00", "11:00", "12:00"], vec!["paused", "resumed"]),
    ] {
        let mut world = World::new(hourly(json!({"catch_up": catch_up})), "2026-11-22T09:30:00Z");
        world.decide(Input::Pause { by: me(), reason: Some("holidays".into()) }).expect("active");
        assert_eq!(world.state.reason.as_deref(), Some("holidays"));
        world.pass_to("2026-11-22T12:00:10Z");
        assert_eq!(world.decide(Input::Due), Err(Illegal::NotDue));
        world.decide(Input::Resume { by: me(), reason: None }).expect("paused");
        world.pass_to("2026-11-22T12:00:11Z");
        assert_eq!((world.fired(), world.told()), (fired.map_to_owned(), told.map_to_owned()), "{catch_up}");
        assert_eq!(world.state.next_at, Some(at("2026-11-22T13:00:00Z")));
    }
}

#[test]
fn a_trigger_fires_now_and_leaves_the_due_times_alone() {
    let mut world = World::new(hourly(json!({"overlap": "skip"})), "2026-11-22T08:30:00Z");
    world.decide(Input::Trigger { by: me(), reason: Some("a demo".into()) }).expect("it may");
    assert_eq!((world.fired.len(), world.told()), (1, vec!["triggered".to_owned()]));
    assert_eq!(world.fired[0].occurred_at, world.moment.now());
    assert_eq!(world.state.next_at, Some(at("2026-11-22T09:00:00Z")));
    world.is_open = true;
    let again = world.decide(Input::Trigger { by: me(), reason: None });
    assert_eq!(again, Err(Illegal::Overlaps(Overlap::Skip)));
}

#[test]
fn a_backfill_fires_what_was_due_in_a_range_and_no_more_than_it_may() {
    let mut world = World::new(hourly(json!({})), "2026-11-22T12:30:00Z");
    let backfill = |from, to| Input::Backfill { by: me(), reason: None, from: at(from), to: at(to) };
    world.decide(backfill("2026-11-22T09:00:00Z", "2026-11-22T11:00:00Z")).expect("it may");
    assert_eq!(
        (world.fired(), world.told()),
        (["09:00", "10:00", "11:00"].map_to_owned(), vec!["backfilled".to_owned()])
    );
    assert_eq!((world.state.last_at, world.state.last_signal), (None, None));

    let (from, to) = (at("2026-01-01T00:00:00Z"), at("2026-03-01T00:00:00Z"));
    let refused = world.decide(Input::Backfill { by: me(), reason: None, from, to });
    assert_eq!(refused, Err(Illegal::TooMany { from, to, count: 59 * 24 + 1, and_more: false }));
    assert!(matches!(
        world.decide(backfill("2026-11-22T12:00:00Z", "2026-11-22T13:00:00Z")),
        Err(Illegal::Range { .. })
    ));
}

#[test]
fn an_archived_schedule_does_nothing_until_it_is_applied_again() {
    let mut world = World::new(hourly(json!({})), "2026-11-22T08:30:00Z");
    world.decide(Input::Archive { by: me(), reason: None }).expect("active");
    for input in [
        Input::Due,
        Input::PreviousEnded,
        Input::Pause { by: me(), reason: None },
        Input::Resume { by: me(), reason: None },
        Input::Trigger { by: me(), reason: None },
        Input::Archive { by: me(), reason: None },
    ] {
        assert!(world.decide(input).is_err());
    }
    world.moment.advance(at("2026-11-22T12:30:00Z"));
    let before = Some((&world.schedule, world.state.clone()));
    let applied = apply(setting(&world.schedule, false), before, me(), &mut world.moment);
    assert_eq!((applied.state.status, applied.state.next_at), (Status::Active, Some(at("2026-11-22T13:00:00Z"))));
}

#[test]
fn another_document_for_the_same_times_goes_on_where_it_was_and_one_for_others_begins_anew() {
    let mut world = World::new(json!({"every": "1h"}), "2026-11-22T08:30:00Z");
    world.moment.advance(at("2026-11-22T10:45:00Z"));
    let before = Some((&world.schedule, world.state.clone()));
    let louder = schedule_of(json!({"every": "1h", "payload": {"loud": true}}));
    let applied = apply(setting(&louder, false), before.clone(), me(), &mut world.moment);
    assert_eq!(applied.state.next_at, Some(at("2026-11-22T09:30:00Z")), "what is overdue is still caught up with");
    let rarer = schedule_of(json!({"every": "2h"}));
    let applied = apply(setting(&rarer, false), before, me(), &mut world.moment);
    assert_eq!(applied.state.next_at, Some(at("2026-11-22T12:45:00Z")));
}

#[derive(Debug, Clone)]
enum Act {
    Pass(i64),
    Open(bool),
    Ended,
    Pause,
    Resume,
    Trigger,
    Backfill(i64, i64),
}

fn acts() -> impl Strategy<Value = Vec<Act>> {
    let act = prop_oneof![
        6 => (1i64..20_000).prop_map(Act::Pass),
        2 => any::<bool>().prop_map(Act::Open),
        2 => Just(Act::Ended),
        1 => Just(Act::Pause),
        1 => Just(Act::Resume),
        1 => Just(Act::Trigger),
        1 => (0i64..20_000, 0i64..20_000).prop_map(|(ago, length)| Act::Backfill(ago, length)),
    ];
    prop::collection::vec(act, 1..40)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    /// Whatever is done to it: what fires by itself was in the preview, in that order and once; every
    /// due time that has come has fired, was skipped on record, or waits; and no decision panics.
    #[test]
    fn every_due_time_fires_once_or_is_skipped_on_record(
        acts in acts(),
        overlap in prop::sample::select(&["allow", "skip", "queue", "cancel"][..]),
        catch_up in prop::sample::select(&["last", "none", "all"][..]),
        jitter in prop::option::of(Just("5m")),
    ) {
        let mut fields = json!({"every": "10m", "overlap": overlap, "catch_up": catch_up});
        if let Some(jitter) = jitter {
            fields["jitter"] = json!(jitter);
        }
        let mut world = World::new(fields, "2026-11-22T08:30:00Z");
        let (anchor, begun) = (world.state.anchor_at, world.moment.now());
        let mut deliberate = 0;
        for act in acts {
            match act {
                Act::Pass(seconds) => {
                    let to = Timestamp(world.moment.now().0 + seconds * 1_000_000).to_string();
                    world.pass_to(&to);
                }
                Act::Open(open) => world.is_open = open,
                Act::Ended => {
                    world.is_open = false;
                    let _ = world.decide(Input::PreviousEnded);
                }
                Act::Pause => _ = world.decide(Input::Pause { by: me(), reason: None }),
                Act::Resume => _ = world.decide(Input::Resume { by: me(), reason: None }),
                Act::Trigger => deliberate += usize::from(world.decide(Input::Trigger { by: me(), reason: None }).is_ok()),
                Act::Backfill(ago, length) => {
                    let from = Timestamp(world.moment.now().0 - ago * 1_000_000);
                    let to = Timestamp(world.moment.now().min(Timestamp(from.0 + length * 1_000_000)).0);
                    let before = world.fired.len();
                    world.decide(Input::Backfill { by: me(), reason: None, from, to }).expect("a short range");
                    deliberate += world.fired.len() - before;
                }
            }
        }
        let by_itself: Vec<_> =
            world.fired.iter().filter(|fire| fire.lineage.causation_id.is_none()).map(|fire| fire.occurred_at).collect();
        prop_assert_eq!(by_itself.len() + deliberate, world.fired.len());
        prop_assert!(by_itself.windows(2).all(|pair| pair[0] < pair[1]), "{:?}", by_itself);
        let skipped: usize = world.told.iter()
            .filter_map(|signal| serde_json::from_str::<Record>(signal.payload.text()).ok()?.skipped)
            .map(|skipped| skipped.count)
            .sum();
        let come = world.schedule.preview(TENANT, anchor, begun);
        let next = world.state.next_at.expect("it never ends");
        let come: Vec<_> = come.take_while(|fire| fire.due_at < next).map(|fire| fire.due_at).collect();
        prop_assert!(by_itself.iter().all(|due| come.contains(due)));
        prop_assert_eq!(by_itself.len() + skipped + usize::from(world.state.queued_at.is_some()), come.len());
    }
}
