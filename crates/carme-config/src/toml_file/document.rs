//! A TOML text with its places.

use std::ops::Range;
use std::path::PathBuf;

use toml::Spanned;
use toml::de::DeTable;

use crate::problem::{Place, Problem, Problems};

/// The text, and where its lines begin.
#[derive(Debug)]
pub(super) struct Document<'t> {
    path: PathBuf,
    text: &'t str,
    lines: Vec<usize>,
}

impl<'t> Document<'t> {
    pub(super) fn new(path: PathBuf, text: &'t str) -> Self {
        let lines = std::iter::once(0)
            .chain(text.match_indices('\n').map(|(at, _)| at + 1))
            .collect();
        Document { path, text, lines }
    }

    /// Parses the text; all errors of its syntax are collected.
    pub(super) fn parse(&self) -> Result<Spanned<DeTable<'t>>, Problems> {
        let (table, errors) = DeTable::parse_recoverable(self.text);
        if errors.is_empty() {
            return Ok(table);
        }
        let mut problems = Problems::default();
        for error in errors {
            problems.push(Problem {
                place: error
                    .span()
                    .map_or_else(|| self.whole(), |span| self.place(&span)),
                what: error.message().to_owned(),
                cure: None,
            });
        }
        Err(problems.in_order())
    }

    /// Line and column of the span's beginning.
    pub(super) fn place(&self, span: &Range<usize>) -> Place {
        let at = span.start.min(self.text.len());
        let line = self.lines.partition_point(|start| *start <= at);
        let before = self.text.get(self.lines[line - 1]..at).unwrap_or_default();
        Place::File {
            path: self.path.clone(),
            line,
            column: before.chars().count() + 1,
        }
    }

    pub(super) fn whole(&self) -> Place {
        Place::WholeFile(self.path.clone())
    }
}
