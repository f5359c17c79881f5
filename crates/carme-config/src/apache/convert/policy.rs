//! Variables and header rules.

use super::writer::{Writer, list, quoted, status, table};
use crate::header_rule::{Edit, HeaderChange, HeaderRule};
use crate::template::{Syntax, Template};
use crate::toml_file::variables::USUAL;
use crate::variable::{Subject, VariableChange, VariableRule};

impl Writer {
    pub(super) fn rules(
        &mut self,
        variables: &[VariableRule],
        request: &[HeaderRule],
        response: &[HeaderRule],
    ) {
        self.tables("variables", variables.iter().map(variable));
        self.tables("request_headers", request.iter().map(header));
        self.tables("response_headers", response.iter().map(header));
    }

    fn tables(&mut self, key: &str, tables: impl ExactSizeIterator<Item = String>) {
        if tables.len() > 0 {
            self.line(&format!("{key} = ["));
            for table in tables {
                self.line(&format!("    {table},"));
            }
            self.line("]");
        }
    }
}

fn variable(rule: &VariableRule) -> String {
    let mut parts = Vec::new();
    match &rule.change {
        VariableChange::Remove => parts.push(pair("remove", &rule.name)),
        VariableChange::Pass(_) => parts.push(pair("pass", &rule.name)),
        VariableChange::Set(value) => {
            parts.push(pair("set", &rule.name));
            if *value != Template::from(USUAL) {
                parts.push(pair("value", &value.show(rule.syntax())));
            }
        }
    }
    if let Some(test) = &rule.when {
        parts.push(match &test.subject {
            Subject::Header(name) => pair("header", name),
            Subject::Attribute(attribute) => pair("attribute", attribute.as_str()),
            Subject::Variable(name) => pair("variable", name),
        });
        parts.push(pair("matches", test.pattern.as_str()));
    }
    parts.extend(rule.below.as_ref().map(|path| pair("path", &path.to_string())));
    table(parts)
}

fn header(rule: &HeaderRule) -> String {
    let with_value =
        |key, name: &str, value: &Template| vec![pair(key, name), pair("value", &value.show(Syntax::HEADER))];
    let mut parts = match &rule.change {
        HeaderChange::Set(name, value) => with_value("set", name, value),
        HeaderChange::Add(name, value) => with_value("add", name, value),
        HeaderChange::Append(name, value) => with_value("append", name, value),
        HeaderChange::Merge(name, value) => with_value("merge", name, value),
        HeaderChange::Edit(name, edit) => {
            let mut parts = vec![
                pair("edit", name),
                pair("matches", edit.pattern.as_str()),
                pair("value", &edit.value.show(Edit::syntax(&edit.pattern))),
            ];
            parts.extend(edit.every.then(|| "every = true".to_owned()));
            parts
        }
        HeaderChange::Remove(name) => vec![pair("remove", name)],
    };
    parts.extend(rule.if_absent.then(|| "if_absent = true".to_owned()));
    if !rule.statuses.is_empty() {
        let statuses = list(rule.statuses.iter().map(|range| status(*range)));
        parts.push(format!("status = {statuses}"));
    }
    parts.extend(rule.env.as_ref().map(|test| pair("env", &test.to_string())));
    table(parts)
}

fn pair(key: &str, value: &str) -> String {
    format!("{key} = {}", quoted(value))
}
