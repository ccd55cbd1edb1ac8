//! Columns of text.

use comfy_table::{CellAlignment, ContentArrangement, Table, presets};

/// A table without lines: text to the left, numbers to the right.
pub(super) struct Columns {
    table: Table,
}

impl Columns {
    /// Columns to the left, then columns to the right.
    pub fn new(left: &[&str], right: &[&str]) -> Self {
        let mut table = Table::new();
        table.load_preset(presets::NOTHING).set_content_arrangement(ContentArrangement::Disabled);
        table.set_header(left.iter().chain(right));
        for (place, column) in table.column_iter_mut().enumerate() {
            column.set_padding((0, 2));
            if place >= left.len() {
                column.set_cell_alignment(CellAlignment::Right);
            }
        }
        Self { table }
    }

    /// Aligns the column at `place` to the left after all.
    pub fn left(mut self, place: usize) -> Self {
        if let Some(column) = self.table.column_mut(place) {
            column.set_cell_alignment(CellAlignment::Left);
        }
        self
    }

    /// Adds a row.
    pub fn row(&mut self, cells: Vec<String>) {
        self.table.add_row(cells);
    }

    /// The text without blanks at the ends of lines; none if there are no rows.
    pub fn text(self) -> Option<String> {
        (self.table.row_count() > 0)
            .then(|| self.table.lines().map(|line| line.trim_end().to_owned()).collect::<Vec<_>>().join("\n"))
    }
}
