//! Which moments a cron expression means in a time zone.
//!
//! `croner` says which days and times of the calendar fit; no clock change plays a part in that. What
//! such a local time is on the time line is decided here, and the rule is one: each local time comes
//! once. One that does not exist, because clocks went forward, comes at the moment they did; one that
//! exists twice, because they went back, comes the first time. So the due times of a schedule rise
//! with its local times, and a search in either direction only has to compare.
//!
//! Time zones come from the database that is built in, not from the machine's: the same decision
//! everywhere, and no file is read.

use std::fmt;
use std::sync::LazyLock;

use croner::parser::{CronParser, Seconds, Year};
use jiff::SignedDuration;
use jiff::civil::DateTime;
use jiff::tz::{AmbiguousOffset, TimeZone, TimeZoneDatabase};

use crate::Timestamp;

pub static TIME_ZONES: LazyLock<TimeZoneDatabase> = LazyLock::new(TimeZoneDatabase::bundled);

const CHARS_MAX: usize = 200;

const NICKNAMES: [(&str, &str); 6] = [
    ("@yearly", "0 0 1 1 *"),
    ("@annually", "0 0 1 1 *"),
    ("@monthly", "0 0 1 * *"),
    ("@weekly", "0 0 * * SUN"),
    ("@daily", "0 0 * * *"),
    ("@hourly", "0 * * * *"),
];

/// Whatever a calendar without a skipped leap year can come to, it comes to within these years.
const YEARS_SEARCHED: &str = "2000-2040";

/// An expression, and the time zone whose clocks it is read from.
#[derive(Clone)]
pub struct Cron {
    source: String,
    pattern: croner::Cron,
    zone: TimeZone,
}

impl Cron {
    /// Five fields or a nickname; or what is wrong with them.
    pub fn parse(source: &str, zone: TimeZone) -> Result<Self, String> {
        let fields = fields(source)?;
        let parser = CronParser::builder().seconds(Seconds::Disallowed).year(Year::Disallowed).build();
        let pattern = parser.parse(&fields.join(" ")).map_err(|error| error.to_string())?;
        let times = [("minute", &pattern.pattern.minutes), ("hour", &pattern.pattern.hours)];
        if let Some((name, _)) = times.into_iter().find(|(_, field)| field.values().is_empty()) {
            return Err(format!("no {name} is named"));
        }
        Ok(Self { source: source.trim().to_owned(), pattern, zone })
    }

    pub fn source(&self) -> &str {
        &self.source
    }

    pub fn zone(&self) -> &TimeZone {
        &self.zone
    }

    pub fn zone_name(&self) -> &str {
        self.zone.iana_name().unwrap_or("UTC")
    }

    pub fn shown(&self, at: Timestamp) -> Option<String> {
        let at = instant(at)?;
        Some(at.display_with_offset(self.zone.to_offset(at)).to_string())
    }

    /// Whether any day there can be fits. The search is bounded by its years.
    pub fn is_ever_due(&self) -> bool {
        let Ok(fields) = fields(&self.source) else { return false };
        let parser = CronParser::builder().seconds(Seconds::Required).year(Year::Required).build();
        let Ok(searched) = parser.parse(&format!("0 {} {YEARS_SEARCHED}", fields.join(" "))) else { return false };
        searched.find_next_occurrence(&DateTime::constant(2000, 1, 1, 0, 0, 0, 0), true).is_ok()
    }

    /// The first moment after `after`.
    pub fn next_after(&self, after: Timestamp) -> Option<Timestamp> {
        let mut local = self.local(after)?;
        // In a repeated hour there may be local times ahead whose first time is long past.
        loop {
            local = self.pattern.find_next_occurrence(&local, false).ok()?;
            let moment = self.moment(local)?;
            if moment > after {
                return Some(moment);
            }
        }
    }

    /// The last moment at or before `until`.
    pub fn last_until(&self, until: Timestamp) -> Option<Timestamp> {
        let mut local = self.last_local(until)?;
        let mut inclusive = true;
        loop {
            local = self.pattern.find_previous_occurrence(&local, inclusive).ok()?;
            let moment = self.moment(local)?;
            if moment <= until {
                return Some(moment);
            }
            inclusive = false;
        }
    }

    /// What the clocks there show, in whole seconds.
    fn local(&self, at: Timestamp) -> Option<DateTime> {
        let at = jiff::Timestamp::from_second(at.0.div_euclid(1_000_000)).ok()?;
        Some(self.zone.to_datetime(at))
    }

    /// The latest local time that has come for the first time: in a repeated hour, its end.
    fn last_local(&self, at: Timestamp) -> Option<DateTime> {
        let local = self.local(at)?;
        match self.zone.to_ambiguous_timestamp(local).offset() {
            AmbiguousOffset::Fold { before, after } if after.to_timestamp(local).ok()? <= instant(at)? => {
                let repeated = i64::from(before.seconds()) - i64::from(after.seconds());
                local.checked_add(SignedDuration::from_secs(repeated)).ok()
            }
            _ => Some(local),
        }
    }

    fn moment(&self, local: DateTime) -> Option<Timestamp> {
        let moment = match self.zone.to_ambiguous_timestamp(local).offset() {
            AmbiguousOffset::Unambiguous { offset } => offset.to_timestamp(local).ok()?,
            AmbiguousOffset::Fold { before, .. } => before.to_timestamp(local).ok()?,
            AmbiguousOffset::Gap { after, .. } => {
                // Read with the clocks' new offset it lies before the change, so the next one is it.
                let before_change = after.to_timestamp(local).ok()?;
                self.zone.following(before_change).next()?.timestamp()
            }
        };
        Some(Timestamp(moment.as_microsecond()))
    }
}

fn instant(at: Timestamp) -> Option<jiff::Timestamp> {
    jiff::Timestamp::from_microsecond(at.0).ok()
}

/// The five fields, as far as they can be told from the outside.
fn fields(source: &str) -> Result<Vec<&str>, String> {
    let source = source.trim();
    if !source.is_ascii() || source.len() > CHARS_MAX {
        return Err(format!("it has at most {CHARS_MAX} plain characters"));
    }
    let source = match NICKNAMES.iter().find(|(name, _)| name.eq_ignore_ascii_case(source)) {
        Some((_, fields)) => fields,
        None if source.starts_with('@') => {
            let known: Vec<_> = NICKNAMES.iter().map(|(name, _)| *name).collect();
            return Err(format!("the names are {}", known.join(", ")));
        }
        None => source,
    };
    let fields: Vec<&str> = source.split_whitespace().collect();
    match fields.len() {
        5 => {}
        6 => return Err("six fields, and there are none for seconds or years; expected five".to_owned()),
        count => return Err(format!("{count} fields where five are expected: minute hour day month weekday")),
    }
    let is_vague = |part: &str| part.trim_start_matches('+').eq_ignore_ascii_case("L");
    if fields[4].split(',').any(is_vague) {
        return Err("`L` alone names no weekday; the last Friday is `FRI#L`".to_owned());
    }
    Ok(fields)
}

impl PartialEq for Cron {
    fn eq(&self, other: &Self) -> bool {
        self.source == other.source && self.zone == other.zone
    }
}

impl fmt::Debug for Cron {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.source, self.zone_name())
    }
}
