//! `time.*`: calculating with times that are given. What time it is now is a fact for a signal or
//! the run to state, not for a function to ask.
//!
//! Zones come from the database inside the binary, so that every node gives the same answer.

use std::sync::LazyLock;

use fleetprompt_core::{Failure, Span, Timestamp};
use jiff::civil::{self, DateTime};
use jiff::fmt::{rfc2822, strtime};
use jiff::tz::{TimeZone, TimeZoneDatabase};
use jiff::{ToSpan, Unit, Zoned, ZonedRound};
use serde_json::{Value, json};

use super::field::{Field, Input, Kind, invalid, may, need};
use super::{Example, Function};

const FORMAT_BYTES_MAX: usize = 200;
const ZONE: Field = may("zone", Kind::Text, "like `Europe/Berlin`; UTC unless given");
const TIME: Field = need("time", Kind::Time, "RFC 3339");

static ZONES: LazyLock<TimeZoneDatabase> = LazyLock::new(TimeZoneDatabase::bundled);

pub static PARSE: Function = Function {
    name: "time.parse",
    summary: "Reads a time: RFC 3339, RFC 2822 (as in mails), a date with or without time, or by a format.",
    input: &[
        need("text", Kind::Text, "like `2026-11-22 09:30` or `Sun, 22 Nov 2026 09:30:00 +0100`"),
        may("format", Kind::Text, "as strptime has it, like `%d.%m.%Y %H:%M`"),
        may("zone", Kind::Text, "where the text says no zone, like `Europe/Berlin`; UTC unless given"),
    ],
    output: "RFC 3339 in UTC",
    example: Example {
        input: r#"{"text": "22.11.2026 09:30", "format": "%d.%m.%Y %H:%M", "zone": "Europe/Berlin"}"#,
        output: r#""2026-11-22T08:30:00.000000Z""#,
    },
    call: |input| {
        let text = short(input, "text")?.trim();
        let zone = zone(input)?;
        let time = if input.get("format").is_some() {
            by_format(short(input, "format")?, text, zone)?
        } else {
            by_looks(text, zone).ok_or_else(|| invalid("`text` is no time that can be told without `format`"))?
        };
        Ok(written(time))
    },
};

pub static FORMAT: Function = Function {
    name: "time.format",
    summary: "Writes a time for people.",
    input: &[TIME, need("format", Kind::Text, "as strftime has it, like `%A, %d %B %Y, %H:%M %Z`"), ZONE],
    output: "a text",
    example: Example {
        input: r#"{"time": "2026-11-22T08:30:00Z", "format": "%a %d %b %Y, %H:%M %Z", "zone": "Europe/Berlin"}"#,
        output: r#""Sun 22 Nov 2026, 09:30 CET""#,
    },
    call: |input| {
        let zoned = zoned(input)?;
        let text = strtime::format(short(input, "format")?, &zoned);
        Ok(text.map_err(|error| invalid(format!("`format`: {error}")))?.into())
    },
};

pub static ADD: Function = Function {
    name: "time.add",
    summary: "A later time, or an earlier one. `span` is exact; `days` and `months` follow the calendar of the zone, \
              so that 9:00 stays 9:00 and 31 January plus a month is the end of February.",
    input: &[
        TIME,
        may("span", Kind::Text, "like `90s`, `1h30m`, `7d`, or `-15m` for earlier"),
        may("days", Kind::Integer, "calendar days"),
        may("months", Kind::Integer, "calendar months"),
        ZONE,
    ],
    output: "RFC 3339 in UTC",
    example: Example {
        input: r#"{"time": "2026-01-31T09:00:00Z", "months": 1, "span": "1h30m"}"#,
        output: r#""2026-02-28T10:30:00.000000Z""#,
    },
    call: add,
};

pub static DIFF: Function = Function {
    name: "time.diff",
    summary: "How long it is from one time to another.",
    input: &[need("from", Kind::Time, "RFC 3339"), need("to", Kind::Time, "RFC 3339")],
    output: "{seconds, span}: seconds are below 0 when `to` is earlier, the span is its length either way",
    example: Example {
        input: r#"{"from": "2026-11-22T08:30:00Z", "to": "2026-11-22T10:00:00.5Z"}"#,
        output: r#"{"seconds": 5400.5, "span": "1h30m500ms"}"#,
    },
    call: |input| {
        let micros = (input.time("to") - input.time("from")).0;
        let seconds =
            if micros % 1_000_000 == 0 { json!(micros / 1_000_000) } else { json!(micros as f64 / 1_000_000.0) };
        Ok(json!({"seconds": seconds, "span": Span(micros.saturating_abs()).to_string()}))
    },
};

pub static TRUNCATE: Function = Function {
    name: "time.truncate",
    summary: "The beginning of the minute, hour, day, week (Monday), month or year that a time lies in.",
    input: &[
        TIME,
        need("to", Kind::OneOf(&["second", "minute", "hour", "day", "week", "month", "year"]), "what begins"),
        ZONE,
    ],
    output: "RFC 3339 in UTC",
    example: Example {
        input: r#"{"time": "2026-11-22T08:30:00Z", "to": "day", "zone": "Europe/Berlin"}"#,
        output: r#""2026-11-21T23:00:00.000000Z""#,
    },
    call: truncate,
};

pub static PARTS: Function = Function {
    name: "time.parts",
    summary: "Year, month, day, hour, minute, second and day of the week, like to tell office hours.",
    input: &[TIME, ZONE],
    output: "{year, month, day, hour, minute, second, weekday, weekday_number}; Monday is 1",
    example: Example {
        input: r#"{"time": "2026-11-22T08:30:05Z", "zone": "Europe/Berlin"}"#,
        output: r#"{"year": 2026, "month": 11, "day": 22, "hour": 9, "minute": 30, "second": 5,
                   "weekday": "sunday", "weekday_number": 7}"#,
    },
    call: |input| {
        const WEEKDAYS: [&str; 7] = ["monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"];
        let time = zoned(input)?;
        let from_monday = time.weekday().to_monday_zero_offset();
        Ok(json!({
            "year": time.year(), "month": time.month(), "day": time.day(), "hour": time.hour(),
            "minute": time.minute(), "second": time.second(),
            "weekday": WEEKDAYS.get(from_monday.unsigned_abs() as usize), "weekday_number": from_monday + 1,
        }))
    },
};

fn by_format(format: &str, text: &str, zone: TimeZone) -> Result<jiff::Timestamp, Failure> {
    let refused = |error: jiff::Error| invalid(format!("`text` does not read as `format` says: {error}"));
    let parts = strtime::parse(format, text).map_err(refused)?;
    if let Ok(time) = parts.to_timestamp() {
        return Ok(time);
    }
    let civil = parts.to_datetime().or_else(|_| parts.to_date().map(|date| date.at(0, 0, 0, 0))).map_err(refused)?;
    zone.to_timestamp(civil).map_err(refused)
}

fn by_looks(text: &str, zone: TimeZone) -> Option<jiff::Timestamp> {
    let exact = text.parse().ok().or_else(|| rfc2822::DateTimeParser::new().parse_timestamp(text).ok());
    exact.or_else(|| {
        let civil = text.parse::<DateTime>().ok().or_else(|| text.parse::<civil::Date>().ok().map(DateTime::from))?;
        zone.to_timestamp(civil).ok()
    })
}

fn add(input: &Input<'_>) -> Result<Value, Failure> {
    let (span, days, months) = (input.get("span"), input.integer("days"), input.integer("months"));
    if span.is_none() && days.is_none() && months.is_none() {
        return Err(invalid("nothing to add: give `span`, `days` or `months`"));
    }
    let out_of_range = |_| invalid("the result lies outside the years -9999 to 9999");
    let calendar = 0.days().try_days(days.unwrap_or(0)).and_then(|span| span.try_months(months.unwrap_or(0)));
    let moved = zoned(input)?.checked_add(calendar.map_err(out_of_range)?).map_err(out_of_range)?;
    let exact = jiff::Span::new().try_microseconds(micros(input.text("span"))?).map_err(out_of_range)?;
    Ok(written(moved.timestamp().checked_add(exact).map_err(out_of_range)?))
}

fn micros(span: &str) -> Result<i64, Failure> {
    if span.is_empty() {
        return Ok(0);
    }
    let (sign, length) = span.strip_prefix('-').map_or((1, span), |length| (-1, length));
    let length: Span = length.parse().map_err(|error| invalid(format!("`span`: {error}")))?;
    Ok(sign * length.0)
}

fn truncate(input: &Input<'_>) -> Result<Value, Failure> {
    let time = zoned(input)?;
    let failed = |error: jiff::Error| invalid(format!("`time`: {error}"));
    let day_of = |date: civil::Date| date.to_zoned(time.time_zone().clone());
    let floor = |unit| time.round(ZonedRound::new().smallest(unit).mode(jiff::RoundMode::Floor));
    let beginning = match input.text("to") {
        "second" => floor(Unit::Second),
        "minute" => floor(Unit::Minute),
        "hour" => floor(Unit::Hour),
        "day" => time.start_of_day(),
        "week" => {
            let back = i64::from(time.weekday().to_monday_zero_offset());
            time.date().checked_sub(back.days()).and_then(day_of)
        }
        "month" => day_of(time.date().first_of_month()),
        _ => day_of(time.date().first_of_year()),
    };
    Ok(written(beginning.map_err(failed)?.timestamp()))
}

fn zoned(input: &Input<'_>) -> Result<Zoned, Failure> {
    let time = jiff::Timestamp::from_microsecond(input.time("time").0).unwrap_or_default();
    Ok(time.to_zoned(zone(input)?))
}

fn zone(input: &Input<'_>) -> Result<TimeZone, Failure> {
    match input.text_or("zone", "UTC") {
        "UTC" => Ok(TimeZone::UTC),
        name => ZONES.get(name).map_err(|_| {
            let name: String = name.chars().take(40).collect();
            invalid(format!("`zone` is not a time zone like `Europe/Berlin`: `{name}`"))
        }),
    }
}

fn written(time: jiff::Timestamp) -> Value {
    Timestamp(time.as_microsecond()).to_string().into()
}

fn short<'a>(input: &Input<'a>, name: &str) -> Result<&'a str, Failure> {
    let text = input.text(name);
    if text.len() > FORMAT_BYTES_MAX {
        return Err(invalid(format!("`{name}` may have at most {FORMAT_BYTES_MAX} bytes")));
    }
    Ok(text)
}
