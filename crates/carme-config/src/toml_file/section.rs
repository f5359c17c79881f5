//! One table of the file: its keys checked against the known ones, its values read with their places.

use std::num::NonZeroUsize;
use std::time::Duration;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::document::Document;
use super::schema::{self, Keys};
use crate::draft::At;
use crate::nearest::did_you_mean;
use crate::number::AtMost;
use crate::problem::{Mistake, Problem, Problems};

/// A table that is being read.
pub(super) struct Section<'d> {
    pub(super) document: &'d Document<'d>,
    table: &'d DeTable<'d>,
}

impl<'d> Section<'d> {
    /// Opens a table as the section `title`, reporting every key that is not known.
    pub(super) fn open(
        document: &'d Document<'d>,
        title: &str,
        table: &'d DeTable<'d>,
        keys: &Keys,
        problems: &mut Problems,
    ) -> Self {
        for key in table.keys() {
            let name: &str = key.get_ref();
            if keys.known.contains(&name) {
                continue;
            }
            let (what, cure) = if keys.later.contains(&name) {
                (
                    format!("`{name}` in {title} is not available yet in this version of Carme"),
                    None,
                )
            } else {
                (
                    format!("unknown key `{name}` in {title}"),
                    Some(instead(name, title, keys)),
                )
            };
            problems.push(Problem {
                place: document.place(&key.span()),
                what,
                cure,
            });
        }
        Section { document, table }
    }

    fn entry(&self, key: &str) -> Option<(&'d Spanned<toml::de::DeString<'d>>, &'d Spanned<DeValue<'d>>)> {
        self.table.get_key_value(key)
    }

    fn at<T>(&self, subject: String, span: &std::ops::Range<usize>, value: T) -> At<T> {
        At {
            value,
            subject,
            place: self.document.place(span),
        }
    }

    /// Reads a key's value, if the key is there; what is wrong with it is reported.
    pub(super) fn read<T>(
        &self,
        key: &str,
        problems: &mut Problems,
        read: impl FnOnce(&'d DeValue<'d>) -> Result<T, Mistake>,
    ) -> Option<At<T>> {
        let (_, value) = self.entry(key)?;
        let empty = self.at(format!("`{key}`"), &value.span(), ());
        match read(value.get_ref()) {
            Ok(read) => Some(At {
                value: read,
                subject: empty.subject,
                place: empty.place,
            }),
            Err(mistake) => {
                problems.push(empty.problem(mistake));
                None
            }
        }
    }

    /// A string, parsed further.
    pub(super) fn text<T>(
        &self,
        key: &str,
        problems: &mut Problems,
        parse: impl FnOnce(&str) -> Result<T, Mistake>,
    ) -> Option<At<T>> {
        self.read(key, problems, |value| text(value, parse))
    }

    /// A string as it is.
    pub(super) fn string(&self, key: &str, problems: &mut Problems) -> Option<At<String>> {
        self.text(key, problems, |text| Ok(text.to_owned()))
    }

    pub(super) fn duration(&self, key: &str, problems: &mut Problems) -> Option<Duration> {
        self.text(key, problems, crate::units::parse_duration)
            .map(|at| at.value)
    }

    pub(super) fn count(&self, key: &str, problems: &mut Problems, bound: AtMost) -> Option<NonZeroUsize> {
        self.read(key, problems, |value| number(value, bound))
            .map(|at| at.value)
    }

    /// A part of a whole: a number from 0 to 1.
    pub(super) fn fraction(&self, key: &str, problems: &mut Problems) -> Option<f64> {
        let fraction = self.read(key, problems, |value| {
            let number = match value {
                DeValue::Integer(number) => number.as_str().parse::<f64>().ok(),
                DeValue::Float(number) => number.as_str().parse::<f64>().ok(),
                _ => None,
            };
            number
                .filter(|number| (0.0..=1.0).contains(number))
                .ok_or_else(|| {
                    Mistake::new(format!("must be a number from 0 to 1, found {}", describe(value)))
                })
        });
        fraction.map(|at| at.value)
    }

    /// A list, or one value as a list of one; each has its own place.
    pub(super) fn list<T>(
        &self,
        key: &str,
        problems: &mut Problems,
        mut parse: impl FnMut(&'d DeValue<'d>) -> Result<T, Mistake>,
    ) -> Option<Vec<At<T>>> {
        let (_, value) = self.entry(key)?;
        let items = match value.get_ref() {
            DeValue::Array(items) => items.iter().collect(),
            _ => vec![value],
        };
        let mut read = Vec::with_capacity(items.len());
        for item in items {
            match parse(item.get_ref()) {
                Ok(parsed) => read.push(self.at(format!("`{key}`"), &item.span(), parsed)),
                Err(mistake) => problems.push(self.at(format!("`{key}`"), &item.span(), ()).problem(mistake)),
            }
        }
        Some(read)
    }

    /// A list of strings, or one string; each has its own place.
    pub(super) fn texts<T>(
        &self,
        key: &str,
        problems: &mut Problems,
        mut parse: impl FnMut(&str) -> Result<T, Mistake>,
    ) -> Option<Vec<At<T>>> {
        self.list(key, problems, |value| text(value, &mut parse))
    }

    /// A table, as it is: its keys are the user's.
    pub(super) fn entries(
        &self,
        key: &str,
        problems: &mut Problems,
    ) -> Vec<(At<String>, &'d Spanned<DeValue<'d>>)> {
        let table = self.read(key, problems, |value| match value {
            DeValue::Table(table) => Ok(table),
            other => Err(Mistake::new(format!(
                "must be a table, found {}",
                describe(other)
            ))),
        });
        let entry = |(name, value): (&'d Spanned<toml::de::DeString<'d>>, &'d Spanned<DeValue<'d>>)| {
            (
                self.at(
                    format!("`{}`", name.get_ref()),
                    &name.span(),
                    name.get_ref().to_string(),
                ),
                value,
            )
        };
        let mut entries: Vec<_> = table
            .map(|at| at.value.iter().map(entry).collect())
            .unwrap_or_default();
        // The parser sorts by name; the user's order is the one of the places.
        entries.sort_by_key(|(_, value): &(_, &Spanned<DeValue<'_>>)| value.span().start);
        entries
    }

    /// A table of strings: its keys are the user's. A mistake in either is reported at the value.
    pub(super) fn pairs<T>(
        &self,
        key: &str,
        problems: &mut Problems,
        mut parse: impl FnMut(&str, &str) -> Result<T, Mistake>,
    ) -> Vec<(String, T)> {
        let mut pairs = Vec::new();
        for (name, value) in self.entries(key, problems) {
            match text(value.get_ref(), |text| parse(&name.value, text)) {
                Ok(value) => pairs.push((name.value, value)),
                Err(mistake) => {
                    let place = self.document.place(&value.span());
                    let at = At {
                        value: (),
                        subject: name.subject,
                        place,
                    };
                    problems.push(at.problem(mistake));
                }
            }
        }
        pairs
    }

    /// A table with known keys, opened.
    pub(super) fn section(
        &self,
        key: &str,
        title: &str,
        keys: &Keys,
        problems: &mut Problems,
    ) -> Option<Section<'d>> {
        let table = self.read(key, problems, |value| match value {
            DeValue::Table(table) => Ok(table),
            other => Err(
                Mistake::new(format!("must be a table, found {}", describe(other)))
                    .cure(format!("it has the keys {}", keys.known.join(", "))),
            ),
        })?;
        Some(Section::open(self.document, title, table.value, keys, problems))
    }

    /// A list of tables with known keys, each opened and with its place.
    pub(super) fn sections(
        &self,
        key: &str,
        keys: &Keys,
        problems: &mut Problems,
    ) -> Option<Vec<At<Section<'d>>>> {
        let items = self.read(key, problems, |value| match value {
            DeValue::Array(items) => Ok(items),
            other => Err(
                Mistake::new(format!("must be a list of tables, found {}", describe(other)))
                    .cure(format!("begin each with [[{key}]]")),
            ),
        })?;
        let mut opened = Vec::new();
        for item in items.value.iter() {
            match item.get_ref() {
                DeValue::Table(table) => {
                    let section = Section::open(self.document, keys.section, table, keys, problems);
                    opened.push(self.at(keys.section.to_owned(), &item.span(), section));
                }
                other => {
                    let mistake = Mistake::new(format!(
                        "must be a list of tables, found {} in it",
                        describe(other)
                    ))
                    .cure(format!("begin each with [[{key}]]"));
                    problems.push(self.at(format!("`{key}`"), &item.span(), ()).problem(mistake));
                }
            }
        }
        Some(opened)
    }

    /// A table with known keys or a list of such tables, each opened and with its place.
    pub(super) fn tables(
        &self,
        key: &str,
        keys: &Keys,
        problems: &mut Problems,
    ) -> Option<Vec<At<Section<'d>>>> {
        let title = format!("`{key}`");
        let tables = self.list(key, problems, |value| match value {
            DeValue::Table(table) => Ok(table),
            other => Err(Mistake::new(format!(
                "must be a table or a list of tables, found {}",
                describe(other)
            ))
            .cure(format!("it has the keys {}", keys.known.join(", ")))),
        })?;
        let opened = tables.into_iter().map(|at| At {
            value: Section::open(self.document, &title, at.value, keys, problems),
            subject: at.subject,
            place: at.place,
        });
        Some(opened.collect())
    }

    /// Whether there are no keys at all.
    pub(super) fn is_empty(&self) -> bool {
        self.table.is_empty()
    }

    /// Whether the key is there at all, right or wrong.
    pub(super) fn has(&self, key: &str) -> bool {
        self.table.contains_key(key)
    }
}

/// What to write instead of an unknown key.
fn instead(name: &str, title: &str, keys: &Keys) -> String {
    let known = format!("{title} knows: {}", keys.known.join(", "));
    if let Some(meant) = did_you_mean(name, keys.known.iter().copied()) {
        return format!("{meant} {known}");
    }
    match schema::ALL.iter().find(|other| other.known.contains(&name)) {
        Some(other) => format!("`{name}` belongs into {}; {known}", other.section),
        None => known,
    }
}

/// A string, parsed further. For a number, the cure that the same digits in quotes would get.
pub(super) fn text<T>(
    value: &DeValue<'_>,
    parse: impl FnOnce(&str) -> Result<T, Mistake>,
) -> Result<T, Mistake> {
    let digits = match value {
        DeValue::String(text) => return parse(text),
        DeValue::Integer(number) => number.to_string(),
        DeValue::Float(number) => number.to_string(),
        other => {
            return Err(Mistake::new(format!(
                "must be a string, found {}",
                describe(other)
            )));
        }
    };
    let mistake = Mistake::new(format!("must be a string, found {}", describe(value)));
    let quoted = format!("write it in quotes: \"{digits}\"");
    Err(mistake.cure(match parse(&digits) {
        Ok(_) => quoted,
        Err(other) => other.cure.unwrap_or(quoted),
    }))
}

/// A whole number.
pub(super) fn number(value: &DeValue<'_>, bound: AtMost) -> Result<NonZeroUsize, Mistake> {
    match value {
        DeValue::Integer(number) => {
            let parsed = i128::from_str_radix(number.as_str(), number.radix());
            // Only a number beyond 128 bits does not parse; it is out of bounds like any other.
            bound.check(parsed.unwrap_or(i128::MAX))
        }
        other => {
            let mistake = Mistake::new(format!(
                "must be a whole number from 1 to {}, found {}",
                bound.0,
                describe(other)
            ));
            Err(match other {
                DeValue::String(text) if text.trim().parse::<u32>().is_ok() => {
                    mistake.cure(format!("write {} without quotes", text.trim()))
                }
                _ => mistake,
            })
        }
    }
}

/// A value as it is called in a message.
pub(super) fn describe(value: &DeValue<'_>) -> String {
    match value {
        DeValue::String(text) => format!("the string {text:?}"),
        DeValue::Integer(number) => format!("the number {number}"),
        DeValue::Float(number) => format!("the number {number}"),
        DeValue::Boolean(value) => format!("{value}"),
        DeValue::Datetime(_) => "a date".to_owned(),
        DeValue::Array(_) => "a list".to_owned(),
        DeValue::Table(_) => "a table".to_owned(),
    }
}
