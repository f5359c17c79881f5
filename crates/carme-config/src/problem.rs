//! What is wrong with a configuration: where, what, and what to write instead.

use std::fmt;
use std::path::PathBuf;

/// Where the user wrote something.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    /// A place in a file; line and column (in characters) count from 1.
    File {
        /// The file, as the user named it.
        path: PathBuf,
        /// The line.
        line: usize,
        /// The character in that line.
        column: usize,
    },
    /// A file as a whole: it is missing, or cannot be read.
    WholeFile(PathBuf),
    /// The command line.
    CommandLine,
    /// The process's environment variables.
    Environment,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Place::File { path, line, column } => write!(f, "{}:{line}:{column}", path.display()),
            Place::WholeFile(path) => write!(f, "{}", path.display()),
            Place::CommandLine => f.write_str("command line"),
            Place::Environment => f.write_str("environment"),
        }
    }
}

/// One thing that is wrong. Printed as `place: what`, and the cure on a line of its own.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub struct Problem {
    /// Where it was written.
    pub place: Place,
    /// What is wrong, naming the key or option.
    pub what: String,
    /// What to write instead, when that can be told.
    pub cure: Option<String>,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.place, self.what)?;
        match &self.cure {
            Some(cure) => write!(f, "\n    help: {cure}"),
            None => Ok(()),
        }
    }
}

/// What is wrong with one value, before anybody said whose value it is: "must be …, found …".
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mistake {
    /// The rest of a sentence that begins with the name of the key or option.
    pub what: String,
    /// What to write instead.
    pub cure: Option<String>,
}

impl Mistake {
    /// A mistake without a known cure.
    pub(crate) fn new(what: impl Into<String>) -> Self {
        Mistake {
            what: what.into(),
            cure: None,
        }
    }

    /// The same with a cure.
    pub(crate) fn cure(mut self, cure: impl Into<String>) -> Self {
        self.cure = Some(cure.into());
        self
    }

    /// The same with a cure, if there is one.
    pub(crate) fn maybe_cure(mut self, cure: Option<String>) -> Self {
        self.cure = cure.or(self.cure);
        self
    }
}

/// Everything that is wrong, in the order in which it was found. Never empty when it is returned as an error.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Problems(Vec<Problem>);

impl Problems {
    pub(crate) fn push(&mut self, problem: Problem) {
        if !self.0.contains(&problem) {
            self.0.push(problem);
        }
    }

    /// Those of another text, too.
    pub fn extend(&mut self, others: Problems) {
        for problem in others.0 {
            self.push(problem);
        }
    }

    /// Whether nothing is wrong; never so of an error.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Sorts what stands in the same file by its line, so that the user can walk down the file.
    pub(crate) fn in_order(mut self) -> Self {
        self.0.sort_by(|a, b| match (&a.place, &b.place) {
            (
                Place::File { path, line, column },
                Place::File {
                    path: other_path,
                    line: other_line,
                    column: other_column,
                },
            ) if path == other_path => (line, column).cmp(&(other_line, other_column)),
            _ => std::cmp::Ordering::Equal,
        });
        self
    }

    /// The problems one by one.
    pub fn iter(&self) -> std::slice::Iter<'_, Problem> {
        self.0.iter()
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }
}

impl From<Problem> for Problems {
    fn from(problem: Problem) -> Self {
        Problems(vec![problem])
    }
}

impl<'a> IntoIterator for &'a Problems {
    type Item = &'a Problem;
    type IntoIter = std::slice::Iter<'a, Problem>;
    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (number, problem) in self.0.iter().enumerate() {
            if number > 0 {
                f.write_str("\n")?;
            }
            problem.fmt(f)?;
        }
        Ok(())
    }
}

impl std::error::Error for Problems {}
