//! Changes of header fields.

use std::fmt;

use crate::env_file;
use crate::pattern::Pattern;
use crate::problem::Mistake;
use crate::template::{Syntax, Template};

/// One change of a header.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HeaderRule {
    /// What is changed; names and values are valid.
    pub change: HeaderChange,
    /// `status`: the first and the last status of each range; all if there is none.
    pub statuses: Vec<(u16, u16)>,
    /// `if_absent`: only if there is no such field yet.
    pub if_absent: bool,
    /// `env`: only if a variable of the request is set, or is not.
    pub env: Option<EnvTest>,
}

/// Whether a variable of the request, as `%{NAME}e` prints it, is set: `NAME`, or `!NAME` if it must not be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EnvTest {
    /// Its name.
    pub name: String,
    /// Whether it must be set.
    pub is_set: bool,
}

impl HeaderRule {
    /// The value that it gives, if it gives one.
    pub fn value(&self) -> Option<&Template> {
        match &self.change {
            HeaderChange::Set(_, value)
            | HeaderChange::Add(_, value)
            | HeaderChange::Append(_, value)
            | HeaderChange::Merge(_, value) => Some(value),
            HeaderChange::Edit(_, edit) => Some(&edit.value),
            HeaderChange::Remove(_) => None,
        }
    }

    /// Whether it depends on a variable of this name.
    pub(crate) fn reads_variable(&self, name: &str) -> bool {
        let tested = self.env.as_ref().map(|test| test.name.as_str());
        let shown = self.value().into_iter().flat_map(Template::variables);
        tested
            .into_iter()
            .chain(shown)
            .any(|known| known.eq_ignore_ascii_case(name))
    }
}

impl EnvTest {
    pub(crate) fn parse(text: &str) -> Result<Self, Mistake> {
        let (name, is_set) = match text.strip_prefix('!') {
            Some(name) => (name, false),
            None => (text, true),
        };
        env_file::check_key(name)?;
        Ok(EnvTest {
            name: name.to_owned(),
            is_set,
        })
    }
}

impl fmt::Display for EnvTest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", if self.is_set { "" } else { "!" }, self.name)
    }
}

/// A change of one header field; its name is in lower case.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HeaderChange {
    /// `set`: the only value.
    Set(String, Template),
    /// `add`: one value more.
    Add(String, Template),
    /// `append`: one element more in its list.
    Append(String, Template),
    /// `merge`: the same, unless it is there.
    Merge(String, Template),
    /// `edit`: something else where a pattern is found.
    Edit(String, Edit),
    /// `remove`
    Remove(String),
}

/// A change inside a value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Edit {
    /// `matches`
    pub pattern: Pattern,
    /// `value`: what takes its place.
    pub value: Template,
    /// `every`: wherever it is found, and not the first time alone.
    pub every: bool,
}

impl Edit {
    /// What may be in its value.
    pub(crate) fn syntax(pattern: &Pattern) -> Syntax {
        Syntax {
            groups: Some(pattern.groups()),
            ..Syntax::HEADER
        }
    }
}
