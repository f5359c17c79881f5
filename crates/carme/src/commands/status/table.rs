//! A table for people.

use comfy_table::presets::NOTHING;
use comfy_table::{CellAlignment, ColumnConstraint, ContentArrangement, Table};

/// A heading, and what stands below it.
pub(super) type Column<'c, R> = (&'static str, Box<dyn Fn(&R) -> String + 'c>);

/// The first two columns and URLs are names and stand at the left; the others are figures.
pub(super) fn table<R>(columns: &[Column<'_, R>], rows: &[R]) -> String {
    let mut table = Table::new();
    table
        .load_style(NOTHING)
        .set_content_arrangement(ContentArrangement::Disabled)
        .set_header(columns.iter().map(|(heading, _)| *heading));
    for row in rows {
        table.add_row(columns.iter().map(|(_, show)| show(row)));
    }
    for (at, (column, (heading, _))) in table.column_iter_mut().zip(columns).enumerate() {
        column
            .set_padding((0, 2))
            .set_constraint(ColumnConstraint::ContentWidth);
        if at > 1 && *heading != "URL" {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    table.trim_fmt()
}
