//! A drawing that stands alone: no script, no font, nothing from elsewhere. Colours follow the
//! reader's preference for light or dark.

use std::fmt::Write;

use super::escape::xml;
use super::layout::{self, Layout, Link, Point, Size, Way};
use super::{Arrow, Line, Node, NodeKind, Picture};

const TITLE_SIZE: f64 = 13.0;
const TEXT_SIZE: f64 = 11.5;
const BADGE_SIZE: f64 = 10.5;
const BADGE_HEIGHT: f64 = 17.0;
const BADGE_GAP: f64 = 5.0;
const PADDING: f64 = 18.0;
/// The points of a hexagon, and the slope of a parallelogram.
const SLANT: f64 = 12.0;

const STYLE: &str = "\
.fpw{--paper:#fff;--ink:#1f2328;--dim:#59636e;--line:#818b98;--bad:#cf222e;--pill:#fff;
font-family:system-ui,-apple-system,'Segoe UI',Roboto,Helvetica,Arial,sans-serif}
.fpw .paper{fill:var(--paper)}
.fpw text{fill:var(--ink);text-anchor:middle;dominant-baseline:central}
.fpw .t{font-size:13px;font-weight:600}.fpw .d{font-size:11.5px;fill:var(--dim)}
.fpw .b{font-size:10.5px;fill:var(--dim)}.fpw .l{font-size:10.5px;fill:var(--dim)}
.fpw .s{fill:var(--f);stroke:var(--s);stroke-width:1.4;stroke-linejoin:round}
.fpw .s2{fill:none;stroke:var(--s);stroke-width:1}
.fpw .p{fill:var(--pill);stroke:var(--s);stroke-width:.8;stroke-opacity:.55}
.fpw .a{fill:none;stroke:var(--line);stroke-width:1.4}.fpw .h{fill:var(--line)}
.fpw .order .a{stroke-dasharray:1.5 4;stroke-linecap:round;stroke-width:1.7}
.fpw .failed-line .a{stroke:var(--bad);stroke-dasharray:6 4}.fpw .failed-line .h{fill:var(--bad)}
.fpw .failed-line .l{fill:var(--bad)}
.fpw .lp{fill:var(--paper)}
";

/// On dark paper: fill and line of each kind.
fn dark(kind: NodeKind) -> (&'static str, &'static str) {
    match kind {
        NodeKind::Start => ("#262c36", "#9198a1"),
        NodeKind::Agent => ("#271f3d", "#ab7df8"),
        NodeKind::Function => ("#1c2128", "#768390"),
        NodeKind::Directive => ("#33240d", "#db9a2c"),
        NodeKind::Wait => ("#0d2f2d", "#2fb3a8"),
        NodeKind::Workflow => ("#12263f", "#4493f8"),
        NodeKind::Completed => ("#12301c", "#3fb950"),
        NodeKind::Failed => ("#3c1618", "#f85149"),
    }
}

pub fn write(picture: &Picture) -> String {
    let boxes: Vec<Size> = picture.nodes.iter().map(size).collect();
    let links: Vec<Link> = picture.arrows.iter().map(link).collect();
    let layout = layout::layout(&boxes, &links);

    let mut out = head(picture, &layout);
    for (arrow, way) in picture.arrows.iter().zip(&layout.ways) {
        write_arrow(&mut out, picture, arrow, way);
    }
    for (arrow, way) in picture.arrows.iter().zip(&layout.ways) {
        write_label(&mut out, arrow, way);
    }
    for ((node, size), corner) in picture.nodes.iter().zip(&boxes).zip(&layout.boxes) {
        write_node(&mut out, node, *size, *corner);
    }
    out.push_str("</svg>\n");
    out
}

const ROOM: &str = "a string takes everything";

fn head(picture: &Picture, layout: &Layout) -> String {
    let (width, height, title) = (layout.width, layout.height, xml(&picture.title));
    let mut light = String::new();
    let mut night = String::new();
    for kind in NodeKind::ALL {
        let ((fill, stroke), (dark_fill, dark_stroke)) = (kind.colours(), dark(kind));
        writeln!(light, ".fpw .{}{{--f:{fill};--s:{stroke}}}", kind.class()).expect(ROOM);
        writeln!(night, ".fpw .{}{{--f:{dark_fill};--s:{dark_stroke}}}", kind.class()).expect(ROOM);
    }
    let night = format!(
        "@media (prefers-color-scheme:dark){{\n\
         .fpw{{--paper:#0d1117;--ink:#e6edf3;--dim:#9198a1;--line:#7d8590;--bad:#f85149;--pill:#161b22}}\n{night}}}\n"
    );
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" class=\"fpw\" role=\"img\" aria-label=\"{title}\" \
         viewBox=\"0 0 {width} {height}\" width=\"{width}\" height=\"{height}\">\n<title>{title}</title>\n\
         <style>\n{STYLE}{light}{night}</style>\n\
         <rect class=\"paper\" width=\"{width}\" height=\"{height}\" rx=\"10\"/>\n"
    )
}

// Sizes

fn size(node: &Node) -> Size {
    let rows = badge_rows(node);
    let badges = rows.iter().map(|row| row_width(row)).fold(0.0, f64::max);
    let text = width_of(&node.title, TITLE_SIZE * 1.12).max(width_of(&node.detail, TEXT_SIZE)).max(badges);
    let slant = if matches!(node.kind, NodeKind::Directive | NodeKind::Wait) { SLANT } else { 0.0 };
    let width = (text + 2.0 * PADDING + slant).max(140.0).ceil();
    let badges = rows.len() as f64 * (BADGE_HEIGHT + BADGE_GAP);
    Size { width: width + width % 2.0, height: 46.0 + if badges > 0.0 { badges + 3.0 } else { 0.0 } }
}

fn link(arrow: &Arrow) -> Link {
    let label = arrow.label.as_deref().map(|label| Size { width: width_of(label, BADGE_SIZE) + 12.0, height: 18.0 });
    Link { from: arrow.from, to: arrow.to, label, joins: arrow.line == Line::Needs }
}

/// Two short ones side by side, a long one alone.
fn badge_rows(node: &Node) -> Vec<Vec<&str>> {
    const ROW_MAX: f64 = 210.0;
    let mut rows: Vec<Vec<&str>> = Vec::new();
    for badge in &node.badges {
        match rows.last_mut() {
            Some(row) if row_width(row) + BADGE_GAP + badge_width(badge) <= ROW_MAX => row.push(badge),
            _ => rows.push(vec![badge]),
        }
    }
    rows
}

fn row_width(row: &[&str]) -> f64 {
    row.iter().map(|badge| badge_width(badge)).sum::<f64>() + BADGE_GAP * row.len().saturating_sub(1) as f64
}

fn badge_width(badge: &str) -> f64 {
    width_of(badge, BADGE_SIZE * 1.05) + 16.0
}

/// About as wide as common sans-serif fonts make it; nobody here can measure.
fn width_of(text: &str, size: f64) -> f64 {
    let em = |c: char| match c {
        'i' | 'j' | 'l' | 'I' | '.' | ',' | ':' | ';' | '\'' | '|' | '!' => 0.27,
        'f' | 't' | 'r' | ' ' | '(' | ')' | '[' | ']' | '/' | '-' | '"' => 0.36,
        'm' | 'w' | 'M' | 'W' | '@' | '%' | '&' | '+' | '=' | '<' | '>' => 0.84,
        'A'..='Z' => 0.68,
        c if c.is_ascii() => 0.57,
        '\u{1100}'.. => 1.02,
        _ => 0.62,
    };
    text.chars().map(em).sum::<f64>() * size
}

// Arrows

fn write_arrow(out: &mut String, picture: &Picture, arrow: &Arrow, way: &Way) {
    let class = match arrow.line {
        Line::Needs | Line::Completed | Line::Settled => "then",
        Line::Order => "order",
        Line::Failed => "failed-line",
    };
    let says = format!("{} → {}", picture.nodes[arrow.from].title, picture.nodes[arrow.to].title);
    let label = arrow.label.as_deref().map_or(String::new(), |label| format!(": {label}"));
    let Some(end) = way.points.last() else { return };
    let hint = xml(&format!("{says}{label}"));
    let (x, y) = (end.x, end.y);
    writeln!(
        out,
        "<g class=\"{class}\"><title>{hint}</title><path class=\"a\" d=\"{}\"/>\
         <path class=\"h\" d=\"M{} {}L{x} {y}L{} {}L{x} {}z\"/></g>",
        curve(&way.points),
        round(x - 4.5),
        round(y - 8.0),
        round(x + 4.5),
        round(y - 8.0),
        round(y - 6.0),
    )
    .expect(ROOM);
}

/// Downwards out of each point and into the next; straight where they stand above each other. It
/// ends a little early, so that no line shows beside the tip of its arrow.
fn curve(points: &[Point]) -> String {
    const EARLY: f64 = 6.0;
    let mut path = String::new();
    let last = points.len().saturating_sub(1);
    for (at, point) in points.iter().enumerate() {
        let (x, y) = (point.x, if at == last { round(point.y - EARLY) } else { point.y });
        match at.checked_sub(1).map(|before| points[before]) {
            None => write!(path, "M{x} {y}"),
            Some(from) if (from.x - x).abs() < 0.05 => write!(path, "V{y}"),
            Some(from) => {
                let middle = round(f64::midpoint(from.y, y));
                write!(path, "C{} {middle} {x} {middle} {x} {y}", from.x)
            }
        }
        .expect(ROOM);
    }
    path
}

fn round(value: f64) -> f64 {
    (value * 10.0).round() / 10.0
}

fn write_label(out: &mut String, arrow: &Arrow, way: &Way) {
    let (Some(label), Some(at)) = (&arrow.label, way.label) else { return };
    let width = round(width_of(label, BADGE_SIZE) + 10.0);
    let class = if arrow.line == Line::Failed { "failed-line" } else { "then" };
    writeln!(
        out,
        "<g class=\"{class}\"><rect class=\"lp\" x=\"{}\" y=\"{}\" width=\"{width}\" height=\"17\" rx=\"4\"/>\
         <text class=\"l\" x=\"{}\" y=\"{}\">{}</text></g>",
        round(at.x - width / 2.0),
        round(at.y - 8.5),
        at.x,
        at.y,
        xml(label),
    )
    .expect(ROOM);
}

// Nodes

fn write_node(out: &mut String, node: &Node, size: Size, corner: Point) {
    let middle = round(corner.x + size.width / 2.0);
    let hint = node.hint.as_deref().map_or(node.title.clone(), |hint| format!("{}: {hint}", node.title));
    writeln!(out, "<g class=\"{}\"><title>{}</title>", node.kind.class(), xml(&hint)).expect(ROOM);
    writeln!(out, "{}", shape(node.kind, size, corner)).expect(ROOM);
    let (title_y, detail_y) = (round(corner.y + 16.0), round(corner.y + 32.0));
    writeln!(out, "<text class=\"t\" x=\"{middle}\" y=\"{title_y}\">{}</text>", xml(&node.title)).expect(ROOM);
    writeln!(out, "<text class=\"d\" x=\"{middle}\" y=\"{detail_y}\">{}</text>", xml(&node.detail)).expect(ROOM);
    let mut y = corner.y + 43.0;
    for row in badge_rows(node) {
        write_badges(out, &row, middle, y);
        y += BADGE_HEIGHT + BADGE_GAP;
    }
    out.push_str("</g>\n");
}

fn write_badges(out: &mut String, row: &[&str], middle: f64, y: f64) {
    let mut x = middle - row_width(row) / 2.0;
    for badge in row {
        let width = badge_width(badge);
        writeln!(
            out,
            "<rect class=\"p\" x=\"{}\" y=\"{}\" width=\"{}\" height=\"{BADGE_HEIGHT}\" rx=\"8.5\"/>\
             <text class=\"b\" x=\"{}\" y=\"{}\">{}</text>",
            round(x),
            round(y),
            round(width),
            round(x + width / 2.0),
            round(y + BADGE_HEIGHT / 2.0),
            xml(badge),
        )
        .expect(ROOM);
        x += width + BADGE_GAP;
    }
}

/// Each kind has a shape of its own, so that nobody needs the colours.
fn shape(kind: NodeKind, size: Size, corner: Point) -> String {
    let (x, y, right, bottom) = (corner.x, corner.y, round(corner.x + size.width), round(corner.y + size.height));
    let rect = |radius: f64| format!("<rect class=\"s\" x=\"{x}\" y=\"{y}\" {} rx=\"{radius}\"/>", extent(size));
    match kind {
        NodeKind::Start => rect(23.0),
        NodeKind::Agent => rect(12.0),
        NodeKind::Function => rect(2.0),
        NodeKind::Directive => {
            let (in_left, in_right) = (round(x + SLANT), round(right - SLANT));
            format!("<path class=\"s\" d=\"M{in_left} {y}H{right}L{in_right} {bottom}H{x}z\"/>")
        }
        NodeKind::Wait => {
            let (in_left, in_right, middle) = (round(x + SLANT), round(right - SLANT), round(f64::midpoint(y, bottom)));
            format!(
                "<path class=\"s\" d=\"M{in_left} {y}H{in_right}L{right} {middle}L{in_right} {bottom}H{in_left}\
                 L{x} {middle}z\"/>"
            )
        }
        NodeKind::Workflow => {
            let inner = |at: f64| format!("<path class=\"s2\" d=\"M{} {y}V{bottom}\"/>", round(at));
            format!("{}{}{}", rect(4.0), inner(x + 6.0), inner(right - 6.0))
        }
        NodeKind::Completed | NodeKind::Failed => {
            let inner = Size { width: size.width - 6.0, height: size.height - 6.0 };
            let (x, y) = (round(x + 3.0), round(y + 3.0));
            format!("{}<rect class=\"s2\" x=\"{x}\" y=\"{y}\" {} rx=\"20\"/>", rect(23.0), extent(inner))
        }
    }
}

fn extent(size: Size) -> String {
    format!("width=\"{}\" height=\"{}\"", size.width, size.height)
}
