//! From a document's text to a schedule, or to all of its problems.

use super::cron::TIME_ZONES;
use super::{CatchUp, Cron, Overlap, Schedule, Timing};
use crate::diagnostic::{Diagnostic, codes, shown};
use crate::document::{self, Fields, Format, Known, Node, NodeValue, Outcome, Reader};
use crate::{Json, Name, Party, Signal, Slug, Span, Timestamp};

const NAME_CHARS_MAX: usize = 200;
const DESCRIPTION_CHARS_MAX: usize = 10_000;
/// What is to come more often is a stream of its own.
const EVERY_MIN: Span = Span::from_secs(1);
const JITTER_MAX: Span = Span::from_secs(86_400);

/// The schedule and the warnings about it, or all of its problems.
pub fn read(text: &str, format: Format) -> Outcome<Schedule> {
    read_document(text, format, Name::is_reserved)
}

/// Reads a schedule that was applied before: names that were reserved since then stay its own.
pub fn read_stored(text: &str) -> Outcome<Schedule> {
    read_document(text, Format::Json, |_| false)
}

fn read_document(text: &str, format: Format, is_reserved: fn(&Name) -> bool) -> Outcome<Schedule> {
    let document = document::parse(text, format)?;
    let mut reader = Reader::new(text);
    let schedule = schedule(&mut reader, &document, is_reserved);
    reader.finish(schedule)
}

const DOCUMENT: Known = Known { what: "the document", path: "", fields: &["schedule", "$schema"], later: &[] };

const SCHEDULE: Known = Known {
    what: "the schedule",
    path: "",
    fields: &[
        "slug",
        "name",
        "description",
        "cron",
        "every",
        "time_zone",
        "starts_at",
        "ends_at",
        "jitter",
        "overlap",
        "catch_up",
        "catch_up_window",
        "signal",
        "subject",
        "payload",
    ],
    later: &["calendar", "exclude"],
};

const SUBJECT: Known = Known { what: "`subject`", path: "subject.", fields: &["type", "id"], later: &[] };

fn schedule(reader: &mut Reader<'_>, document: &Node, is_reserved: fn(&Name) -> bool) -> Option<Schedule> {
    let node = reader.envelope(document, &DOCUMENT, "schedule")?;
    let fields = reader.fields(node, &SCHEDULE)?;

    let slug: Option<Slug> = fields.need("slug", reader).and_then(|node| reader.named(node));
    let name = match fields.get("name") {
        Some(node) => reader.text(node, NAME_CHARS_MAX),
        None => slug.as_ref().map(Slug::to_string),
    };
    let description = fields.get("description").and_then(|node| reader.text(node, DESCRIPTION_CHARS_MAX));
    let starts_at = fields.get("starts_at").and_then(|node| reader.time(node));
    let ends_at = fields.get("ends_at").and_then(|node| reader.time(node));
    let timing = timing(reader, &fields);
    let jitter = fields.get("jitter").and_then(|node| jitter(reader, node, timing.as_ref()));
    let overlap = word(reader, &fields, "overlap", &Overlap::ALL, Overlap::as_str).unwrap_or(Overlap::Allow);
    let catch_up = word(reader, &fields, "catch_up", &CatchUp::ALL, CatchUp::as_str).unwrap_or(CatchUp::Last);
    let catch_up_window = fields.get("catch_up_window").and_then(|node| window(reader, node, catch_up));
    let signal = fields.need("signal", reader).and_then(|node| signal(reader, node, is_reserved));
    let subject = fields.get("subject").and_then(|node| subject(reader, node));
    let payload = fields.get("payload").and_then(|node| payload(reader, node));

    let document = Json::from(document.to_value());
    let schedule = Schedule {
        slug: slug?,
        name: name?,
        description,
        timing: timing?,
        starts_at,
        ends_at,
        jitter,
        overlap,
        catch_up,
        catch_up_window,
        signal: signal?,
        subject,
        payload,
        digest: blake3::hash(document.text().as_bytes()).to_hex().to_string(),
        document,
    };
    check_span(reader, &fields, &schedule);
    Some(schedule)
}

fn timing(reader: &mut Reader<'_>, fields: &Fields<'_>) -> Option<Timing> {
    if let (Some(_), Some(key)) = (fields.get("cron"), fields.key("every")) {
        let message = "a schedule has either `cron` or `every`, not both";
        reader.report(Diagnostic::error(codes::GIVEN_TWICE, message).at(key.span.clone()));
        return None;
    }
    if let Some(node) = fields.get("every") {
        if let Some(key) = fields.key("time_zone") {
            let message = "`every` counts time that passes, and no time zone changes that; remove `time_zone`";
            reader.report(Diagnostic::error(codes::WRONG_VALUE, message).at(key.span.clone()));
        }
        return every(reader, node).map(Timing::Every);
    }
    let zone = match fields.get("time_zone") {
        Some(node) => time_zone(reader, node),
        None => Some(jiff::tz::TimeZone::UTC),
    };
    let node = fields.need("cron", reader)?;
    let source = reader.string(node)?;
    // Without its zone an expression can still be read, so that all problems are told at once.
    let cron = match Cron::parse(source, zone.clone().unwrap_or(jiff::tz::TimeZone::UTC)) {
        Ok(cron) => cron,
        Err(why) => {
            let message = format!("`{}` is not a cron expression: {}", shown(source), shown(&why));
            reader.error(codes::NOT_A_CRON, node, message);
            return None;
        }
    };
    if !cron.is_ever_due() {
        reader.error(codes::NEVER_DUE, node, format!("no day there can be fits `{}`", shown(source)));
        return None;
    }
    zone.map(|_| Timing::Cron(Box::new(cron)))
}

fn every(reader: &mut Reader<'_>, node: &Node) -> Option<Span> {
    let every = reader.duration(node)?;
    if every < EVERY_MIN {
        reader.error(codes::WRONG_VALUE, node, format!("`every` is at least {EVERY_MIN}, found {every}"));
        return None;
    }
    Some(every)
}

fn time_zone(reader: &mut Reader<'_>, node: &Node) -> Option<jiff::tz::TimeZone> {
    let name = reader.string(node)?;
    if let Ok(zone) = TIME_ZONES.get(name) {
        return Some(zone);
    }
    let known: Vec<String> = TIME_ZONES.available().map(|name| name.to_string()).collect();
    let near = reader.near(name, known.iter().map(String::as_str)).map(|near| format!("did you mean `{near}`?"));
    let place = reader.place(node);
    let message = format!("there is no time zone `{}`", shown(name));
    reader.report(Diagnostic::error(codes::UNKNOWN_TIME_ZONE, message).at(place).help(near));
    None
}

fn jitter(reader: &mut Reader<'_>, node: &Node, timing: Option<&Timing>) -> Option<Span> {
    let jitter = reader.duration(node)?;
    let max = match timing {
        Some(Timing::Every(every)) => JITTER_MAX.min(*every),
        _ => JITTER_MAX,
    };
    if jitter > max {
        reader.error(codes::WRONG_VALUE, node, format!("`jitter` is at most {max} here, found {jitter}"));
        return None;
    }
    Some(jitter)
}

fn word<T: Copy>(
    reader: &mut Reader<'_>,
    fields: &Fields<'_>,
    field: &str,
    all: &[T],
    as_str: fn(T) -> &'static str,
) -> Option<T> {
    let known: Vec<_> = all.iter().copied().map(as_str).collect();
    let word = reader.choice(fields.get(field)?, field, &known, &[])?;
    all.iter().copied().find(|one| as_str(*one) == word)
}

fn window(reader: &mut Reader<'_>, node: &Node, catch_up: CatchUp) -> Option<Span> {
    let window = reader.duration(node)?;
    if catch_up == CatchUp::None {
        reader.error(codes::WRONG_VALUE, node, "with `catch_up: none` a `catch_up_window` is never read");
    }
    Some(window)
}

fn signal(reader: &mut Reader<'_>, node: &Node, is_reserved: fn(&Name) -> bool) -> Option<Name> {
    let name: Name = reader.named(node)?;
    if is_reserved(&name) {
        let message = format!("`{name}` is reserved: only the engine emits names that begin like it");
        reader.error(codes::WRONG_VALUE, node, message);
        return None;
    }
    Some(name)
}

fn subject(reader: &mut Reader<'_>, node: &Node) -> Option<Party> {
    let fields = reader.fields(node, &SUBJECT)?;
    let kind = fields.need("type", reader).and_then(|node| reader.text(node, Party::BYTES_MAX));
    let id = fields.need("id", reader).and_then(|node| reader.text(node, Party::BYTES_MAX));
    let subject = Party { kind: kind?, id: id? };
    if !subject.is_valid() {
        let message = format!("`type` and `id` have 1 to {} bytes and no control characters", Party::BYTES_MAX);
        reader.error(codes::WRONG_VALUE, node, message);
        return None;
    }
    Some(subject)
}

fn payload(reader: &mut Reader<'_>, node: &Node) -> Option<Json> {
    if !matches!(node.value, NodeValue::Object(_)) {
        reader.wrong_type(node, "an object");
        return None;
    }
    let payload = Json::from(node.to_value());
    let bytes = payload.text().len();
    if bytes > Signal::PAYLOAD_BYTES_MAX {
        let message = format!("{bytes} bytes where at most {} are allowed", Signal::PAYLOAD_BYTES_MAX);
        reader.error(codes::TOO_MANY, node, message);
        return None;
    }
    Some(payload)
}

/// Whether anything is due between beginning and end. Without a beginning nobody can tell before it
/// is applied.
fn check_span(reader: &mut Reader<'_>, fields: &Fields<'_>, schedule: &Schedule) {
    let (Some(starts_at), Some(ends_at), Some(node)) = (schedule.starts_at, schedule.ends_at, fields.get("ends_at"))
    else {
        return;
    };
    if schedule.next_after(starts_at, Timestamp(i64::MIN)).is_none() {
        let message = format!("nothing is due between {starts_at} and {ends_at}");
        reader.error(codes::NEVER_DUE, node, message);
    }
}
