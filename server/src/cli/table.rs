//! Lists as tables that fit the terminal: wide columns are cut first, then the least important ones
//! are left out. What somebody copies, an id, is never cut.

use comfy_table::{Attribute, Cell as Drawn, CellAlignment, Color, ContentArrangement};

use super::screen::{Screen, Tone, plain, width_of};

pub struct Table {
    columns: Vec<Column>,
    rows: Vec<Vec<Cell>>,
}

pub struct Column {
    title: &'static str,
    /// How narrow it may get; none: it is never cut.
    narrowest: Option<usize>,
    /// Columns with the highest number are left out first; 0 always stays.
    leave_out: u8,
    is_number: bool,
}

pub struct Cell {
    text: String,
    tone: Tone,
}

const GAP: usize = 2;

impl Column {
    /// Always there, never cut.
    pub fn id(title: &'static str) -> Self {
        Self { title, narrowest: None, leave_out: 0, is_number: false }
    }

    /// Always there, cut when it must be.
    pub fn text(title: &'static str, narrowest: usize) -> Self {
        Self { narrowest: Some(narrowest), ..Self::id(title) }
    }

    pub fn number(title: &'static str) -> Self {
        Self { is_number: true, ..Self::id(title) }
    }

    pub fn leave_out(self, leave_out: u8) -> Self {
        Self { leave_out, ..self }
    }
}

impl Cell {
    pub fn new(tone: Tone, text: impl AsRef<str>) -> Self {
        Self { text: plain(text.as_ref()), tone }
    }

    pub fn plain(text: impl ToString) -> Self {
        Self::new(Tone::Plain, text.to_string())
    }

    pub fn dim(text: impl ToString) -> Self {
        Self::new(Tone::Dim, text.to_string())
    }

    /// What is absent is a dim dash.
    pub fn maybe(text: Option<impl ToString>) -> Self {
        text.map_or(Self::dim("-"), Self::plain)
    }
}

impl Table {
    pub fn new<const N: usize>(columns: [Column; N]) -> Self {
        Self { columns: columns.into(), rows: Vec::new() }
    }

    pub fn row<const N: usize>(&mut self, cells: [Cell; N]) {
        debug_assert_eq!(N, self.columns.len());
        self.rows.push(cells.into());
    }

    pub fn render(&self, screen: &Screen) -> String {
        let widths = self.widths(screen.width);
        let mut drawn = comfy_table::Table::new();
        drawn.load_style(comfy_table::presets::NOTHING).set_content_arrangement(ContentArrangement::Disabled);
        if screen.colour {
            drawn.enforce_styling();
        } else {
            drawn.force_no_tty();
        }
        let shown = |index: &usize| widths[*index].is_some();
        let indexes: Vec<usize> = (0..self.columns.len()).filter(shown).collect();
        drawn.set_header(indexes.iter().map(|index| draw(Tone::Dim, self.columns[*index].title)));
        for row in &self.rows {
            let cells = indexes.iter().map(|index| {
                let width = widths[*index].unwrap_or_default();
                draw(row[*index].tone, &screen.fit(&row[*index].text, width))
            });
            drawn.add_row(cells);
        }
        for (column, index) in drawn.column_iter_mut().zip(&indexes) {
            let is_last = Some(index) == indexes.last();
            column.set_padding((0, if is_last { 0 } else { GAP as u16 }));
            if self.columns[*index].is_number {
                column.set_cell_alignment(CellAlignment::Right);
            }
        }
        drawn.lines().map(|line| line.trim_end().to_owned() + "\n").collect()
    }

    /// How wide each column is shown; none: not at all.
    fn widths(&self, width: usize) -> Vec<Option<usize>> {
        let natural = self.natural_widths();
        let mut shown: Vec<bool> = vec![true; natural.len()];
        loop {
            let least = |index: usize| match self.columns[index].narrowest {
                Some(narrowest) => natural[index].min(narrowest.max(width_of(self.columns[index].title))),
                None => natural[index],
            };
            let indexes: Vec<usize> = (0..natural.len()).filter(|index| shown[*index]).collect();
            let least_total = indexes.iter().map(|index| least(*index)).sum::<usize>() + GAP * (indexes.len() - 1);
            let droppable = indexes.iter().copied().filter(|index| self.columns[*index].leave_out > 0);
            match droppable.max_by_key(|index| self.columns[*index].leave_out) {
                Some(index) if least_total > width => shown[index] = false,
                _ => return self.shrunk(&natural, &shown, least, width),
            }
        }
    }

    fn shrunk(
        &self,
        natural: &[usize],
        shown: &[bool],
        least: impl Fn(usize) -> usize,
        width: usize,
    ) -> Vec<Option<usize>> {
        let mut widths: Vec<Option<usize>> =
            natural.iter().zip(shown).map(|(width, shown)| shown.then_some(*width)).collect();
        let total = |widths: &[Option<usize>]| widths.iter().flatten().map(|width| width + GAP).sum::<usize>() - GAP;
        while total(&widths) > width {
            let above = |index: &usize| widths[*index].is_some_and(|now| now > least(*index));
            let Some(widest) = (0..widths.len()).filter(above).max_by_key(|index| widths[*index]) else { break };
            widths[widest] = widths[widest].map(|width| width - 1);
        }
        widths
    }

    fn natural_widths(&self) -> Vec<usize> {
        let cells = |index: usize| self.rows.iter().map(move |row| width_of(&row[index].text));
        let width = |(index, column): (usize, &Column)| cells(index).chain([width_of(column.title)]).max().unwrap_or(0);
        // Nobody reads a cell of a thousand columns, and the fitting goes step by step.
        self.columns.iter().enumerate().map(width).map(|width| width.min(400)).collect()
    }
}

fn draw(tone: Tone, text: &str) -> Drawn {
    let cell = Drawn::new(text);
    match tone {
        Tone::Plain => cell,
        Tone::Dim => cell.add_attribute(Attribute::Dim),
        Tone::Strong => cell.add_attribute(Attribute::Bold),
        Tone::Good => cell.fg(Color::DarkGreen),
        Tone::Bad => cell.fg(Color::DarkRed),
        Tone::Warn => cell.fg(Color::DarkYellow),
        Tone::Busy => cell.fg(Color::DarkCyan),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table() -> Table {
        let mut table = Table::new([
            Column::id("ID"),
            Column::text("WORKFLOW", 10),
            Column::text("CORRELATION", 8).leave_out(2),
            Column::number("TOOK").leave_out(1),
        ]);
        table.row([
            Cell::plain("run_01h455vb4pex5vsknk084sn02q"),
            Cell::plain("forum-new-thread-triage"),
            Cell::dim("order-2026-11-22-000042"),
            Cell::plain("1.28s"),
        ]);
        table
    }

    #[test]
    fn everything_is_shown_where_there_is_room() {
        let text = table().render(&Screen::still(120));
        assert_eq!(text.lines().count(), 2);
        assert!(text.contains("forum-new-thread-triage  order-2026-11-22-000042  1.28s"), "{text}");
    }

    #[test]
    fn no_line_is_wider_than_the_screen_and_the_id_stays_whole() {
        for width in 42..120 {
            let text = table().render(&Screen::still(width));
            assert!(text.contains("run_01h455vb4pex5vsknk084sn02q"), "{width}\n{text}");
            assert!(text.lines().all(|line| width_of(line) <= width), "{width}\n{text}");
        }
    }

    #[test]
    fn colours_take_no_room() {
        let coloured = table().render(&Screen { colour: true, ..Screen::still(80) });
        assert!(coloured.contains("\x1b["));
        let bare = anstream::adapter::strip_str(&coloured).to_string();
        assert!(bare.lines().all(|line| width_of(line) <= 80), "{bare}");
    }

    #[test]
    fn the_least_important_column_goes_first() {
        let text = table().render(&Screen::still(56));
        assert!(!text.contains("CORRELATION") && text.contains("TOOK"), "{text}");
    }
}
