//! Diagnostics for people: the line, what is wrong with it, and what would be right.

use std::ops::Range;

use annotate_snippets::{AnnotationKind, Group, Level, Origin, Renderer, Snippet, normalize_untrusted_str};

use super::{Diagnostic, Places, Severity};

/// The renderer looks at every byte that it is given, for each diagnostic anew.
const SHOWN_BYTES_MAX: usize = 32 * 1024;

/// `origin` is the name of the file, or whatever the text came from.
pub fn render(diagnostics: &[Diagnostic], source: &str, origin: &str, colour: bool) -> String {
    let renderer = if colour { Renderer::styled() } else { Renderer::plain() };
    let places = Places::of(source);
    let blocks: Vec<_> =
        diagnostics.iter().map(|diagnostic| renderer.render(&[group(diagnostic, &places, origin)])).collect();
    blocks.join("\n\n")
}

fn group<'a>(diagnostic: &'a Diagnostic, places: &Places<'a>, origin: &'a str) -> Group<'a> {
    let level = match diagnostic.severity {
        Severity::Error => Level::ERROR,
        Severity::Warning => Level::WARNING,
    };
    let title = level.primary_title(diagnostic.message.as_str()).id(diagnostic.code);
    let group = match &diagnostic.span {
        None => title.element(Origin::path(origin)),
        Some(span) => {
            let also = diagnostic.also.iter().map(|(span, _)| span);
            let window = window(places, also.chain([span]));
            if window.bytes.len() > SHOWN_BYTES_MAX {
                title.element(place_alone(span, places, origin))
            } else {
                title.element(snippet(diagnostic, span, &window, places, origin))
            }
        }
    };
    match &diagnostic.help {
        Some(help) => group.element(Level::HELP.message(normalize_untrusted_str(help))),
        None => group,
    }
}

/// Where the lines are too long to be shown: a generated document is often one single line.
fn place_alone<'a>(span: &Range<usize>, places: &Places<'_>, origin: &'a str) -> Origin<'a> {
    let (line, column) = places.line_and_column(span.start);
    Origin::path(origin).line(line as usize).char_column(column as usize)
}

fn snippet<'a>(
    diagnostic: &'a Diagnostic,
    span: &Range<usize>,
    window: &Window,
    places: &Places<'a>,
    origin: &'a str,
) -> Snippet<'a, annotate_snippets::Annotation<'a>> {
    let inside = |span: &Range<usize>| within(places.source, span, &window.bytes);
    let snippet = Snippet::source(&places.source[window.bytes.clone()])
        .line_start(window.first_line + 1)
        .path(origin)
        .annotation(AnnotationKind::Primary.span(inside(span)).label(diagnostic.label.as_deref()));
    let also = diagnostic.also.iter();
    snippet.annotations(also.map(|(span, label)| AnnotationKind::Context.span(inside(span)).label(label.as_str())))
}

struct Window {
    first_line: usize,
    bytes: Range<usize>,
}

/// The lines that the spans touch: the renderer need not look at the rest of a long document.
fn window<'r>(places: &Places<'_>, spans: impl Iterator<Item = &'r Range<usize>>) -> Window {
    let (mut first_line, mut last_line) = (usize::MAX, 0);
    for span in spans {
        let span = within(places.source, span, &(0..places.source.len()));
        first_line = first_line.min(places.line(span.start));
        last_line = last_line.max(places.line(span.end));
    }
    let bytes = places.line_range(first_line).start..places.line_range(last_line).end;
    Window { first_line, bytes }
}

/// A span as the window counts it, on the boundaries of characters.
fn within(source: &str, span: &Range<usize>, window: &Range<usize>) -> Range<usize> {
    let bound = |at: usize| source.floor_char_boundary(at).clamp(window.start, window.end) - window.start;
    let start = bound(span.start);
    start..bound(span.end).max(start)
}
