//! Times and lengths of time as people say them. JSON and YAML keep the full ones.

use fleetprompt_core::{Span, Timestamp};

/// `3m ago`, `in 20s`.
pub fn ago(at: Timestamp, now: Timestamp) -> String {
    let past = now - at;
    match past.0 {
        i64::MIN..-1_000_000 => format!("in {}", coarse(Span(-past.0))),
        -1_000_000..1_000_000 => "just now".to_owned(),
        _ => format!("{} ago", coarse(past)),
    }
}

/// One unit, rounded down: `42s`, `3m`, `5h`, `12d`.
fn coarse(span: Span) -> String {
    let seconds = span.0 / 1_000_000;
    match seconds {
        ..60 => format!("{seconds}s"),
        60..3_600 => format!("{}m", seconds / 60),
        3_600..86_400 => format!("{}h", seconds / 3_600),
        _ => format!("{}d", seconds / 86_400),
    }
}

/// Three digits: `840µs`, `12.4ms`, `1.28s`, `2m05s`, `3h07m`, `2d04h`.
pub fn took(span: Span) -> String {
    let micros = span.0.max(0);
    let seconds = micros / 1_000_000;
    match micros {
        ..1_000 => format!("{micros}µs"),
        1_000..10_000 => format!("{:.1}ms", micros as f64 / 1e3),
        10_000..1_000_000 => format!("{}ms", micros / 1_000),
        1_000_000..10_000_000 => format!("{:.2}s", micros as f64 / 1e6),
        10_000_000..60_000_000 => format!("{:.1}s", micros as f64 / 1e6),
        _ if seconds < 3_600 => format!("{}m{:02}s", seconds / 60, seconds % 60),
        _ if seconds < 86_400 => format!("{}h{:02}m", seconds / 3_600, seconds / 60 % 60),
        _ => format!("{}d{:02}h", seconds / 86_400, seconds / 3_600 % 24),
    }
}

/// Since the beginning: `+0.000s`, `+12.345s`, `+2m05.3s`, `+3h07m12s`.
pub fn offset(span: Span) -> String {
    let micros = span.0.max(0);
    let seconds = micros / 1_000_000;
    match seconds {
        ..60 => format!("+{}.{:03}s", seconds, micros / 1_000 % 1_000),
        60..3_600 => format!("+{}m{:02}.{}s", seconds / 60, seconds % 60, micros / 100_000 % 10),
        3_600..86_400 => format!("+{}h{:02}m{:02}s", seconds / 3_600, seconds / 60 % 60, seconds % 60),
        _ => format!("+{}d{:02}h{:02}m", seconds / 86_400, seconds / 3_600 % 24, seconds / 60 % 60),
    }
}

/// `2026-11-22 08:30:00.250 UTC`.
pub fn full(at: Timestamp) -> String {
    let text = at.to_string();
    match text.split_once('T') {
        Some((date, time)) => format!("{date} {} UTC", time.get(..12).unwrap_or(time)),
        None => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_said_with_one_unit() {
        let now = Timestamp(1_000_000_000_000_000);
        let ago = |seconds: i64| ago(Timestamp(now.0 - seconds * 1_000_000), now);
        let said: Vec<_> = [0, 1, 59, 60, 3_599, 3_600, 86_400 * 12, -20].map(ago).into();
        assert_eq!(said, ["just now", "1s ago", "59s ago", "1m ago", "59m ago", "1h ago", "12d ago", "in 20s"]);
    }

    #[test]
    fn lengths_have_about_three_digits() {
        let said: Vec<_> =
            [840, 1_250, 12_400, 1_284_000, 12_400_000, 125_000_000, 11_220_000_000].map(|us| took(Span(us))).into();
        assert_eq!(said, ["840µs", "1.2ms", "12ms", "1.28s", "12.4s", "2m05s", "3h07m"]);
    }

    #[test]
    fn offsets_and_full_times() {
        let said: Vec<_> = [0, 12_345_678, 125_300_000, 11_232_000_000].map(|us| offset(Span(us))).into();
        assert_eq!(said, ["+0.000s", "+12.345s", "+2m05.3s", "+3h07m12s"]);
        assert_eq!(full(Timestamp(0)), "1970-01-01 00:00:00.000 UTC");
    }
}
