//! "Did you mean": the name that somebody probably meant.

/// The candidate that differs little enough from `name` to be a slip of the fingers.
pub fn nearest<'a>(name: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let allowed = (name.chars().count() / 3).clamp(1, 3);
    // A stranger chooses the names: the distance of long ones costs their product.
    let short = |text: &str| text.len() <= 64;
    if !short(name) {
        return None;
    }
    candidates
        .into_iter()
        .filter(|candidate| short(candidate))
        .map(|candidate| (distance(name, candidate), candidate))
        .filter(|(distance, _)| *distance <= allowed)
        .min()
        .map(|(_, candidate)| candidate)
}

fn distance(name: &str, candidate: &str) -> usize {
    if name.eq_ignore_ascii_case(candidate) { 0 } else { strsim::damerau_levenshtein(name, candidate) }
}

/// "`a`, `b` and 3 more", or "nothing".
pub fn listed<'a>(names: impl IntoIterator<Item = &'a str>) -> String {
    const NAMES_MAX: usize = 10;
    let mut names: Vec<&str> = names.into_iter().collect();
    names.sort_unstable();
    let shown: Vec<String> = names.iter().take(NAMES_MAX).map(|name| quoted(name)).collect();
    match names.len().saturating_sub(NAMES_MAX) {
        0 if shown.is_empty() => "nothing".to_owned(),
        0 => shown.join(", "),
        more => format!("{} and {more} more", shown.join(", ")),
    }
}

fn quoted(name: &str) -> String {
    const CHARS_MAX: usize = 60;
    match name.char_indices().nth(CHARS_MAX) {
        Some((end, _)) => format!("`{}…`", &name[..end]),
        None => format!("`{name}`"),
    }
}
