//! Named values of one request, as answered and as logged.

use std::collections::BTreeMap;

#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(crate) struct Table(BTreeMap<String, String>);

impl Table {
    /// The format of log lines that have these fields.
    pub(crate) fn format(fields: &[(&str, &str)]) -> String {
        let fields: Vec<String> = fields
            .iter()
            .map(|(name, field)| format!("{name}={field}"))
            .collect();
        fields.join("\\t")
    }

    /// Of such a line.
    pub(crate) fn of_line(line: &str) -> Table {
        let mut table = Table::default();
        for pair in line.split('\t') {
            let (name, value) = pair.split_once('=').unwrap_or_else(|| panic!("no field: {line}"));
            table.set(name, value);
        }
        table
    }

    pub(crate) fn set(&mut self, name: &str, value: impl ToString) {
        self.0.insert(name.to_owned(), value.to_string());
    }

    /// `-` if it is not there.
    pub(crate) fn get(&self, name: &str) -> &str {
        self.0.get(name).map_or("-", String::as_str)
    }

    pub(crate) fn extend(&mut self, other: &Table) {
        self.0.extend(other.0.clone());
    }

    /// The values of this one that are others there: name, and both.
    pub(crate) fn differing<'t>(&'t self, other: &'t Table) -> impl Iterator<Item = (&'t str, String)> {
        let all = self.0.iter();
        all.filter(|(name, value)| other.get(name) != value.as_str())
            .map(|(name, value)| (name.as_str(), format!("{value:?} and {:?}", other.get(name))))
    }
}
