//! What each look means after those before it. No I/O and no clock.

use std::fmt;
use std::time::Duration;

use crate::pause;

/// So many answers in a row have to say that there are no members.
pub const BELIEVED_EMPTY: u32 = 3;

/// Between two looks while that is in doubt, at least.
const DOUBT: Duration = Duration::from_secs(5);

/// So many members are named in a line of the log.
const NAMED: usize = 8;

/// What an engine answers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Look<M> {
    /// All members there are, in order.
    pub members: Vec<M>,
    /// What the engine named that cannot be a member, and why.
    pub left_out: Vec<String>,
    /// When it shall be asked again.
    pub again: Duration,
    /// Whether it means it when there are none: somebody wrote that, and no server has lost its data.
    pub is_meant: bool,
}

/// Why there is no answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Failure {
    /// The engine does not answer, or cannot.
    #[error("{0}")]
    Away(String),
    /// It says something that makes no sense; it is looked at again after so long.
    #[error("{what}")]
    Wrong {
        /// What is wrong and where.
        what: String,
        /// When it is looked at again.
        again: Duration,
    },
}

/// What somebody should be told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum News {
    /// There are other members.
    Members(String),
    /// There is no answer any more, and why.
    Lost(String),
    /// There is one again.
    Back,
    /// There are no members, it says; the last known ones stay for now.
    InDoubt,
    /// Some of what it says is left out.
    LeftOut(Vec<String>),
}

/// What follows from a look.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Step<M> {
    pub(crate) news: Vec<News>,
    /// The members from now on, if they are others.
    pub(crate) members: Option<Vec<M>>,
    pub(crate) pause: Duration,
    /// Whether the next look shall be a whole one, whatever the engine remembers.
    pub(crate) anew: bool,
}

/// Whether there was an answer last time.
#[derive(Debug)]
enum State {
    Answering,
    /// So many failures in a row, and what was said of the last one.
    Failing {
        failures: u32,
        said: String,
    },
}

/// What is known so far.
#[derive(Debug)]
pub(crate) struct Course<M> {
    state: State,
    members: Option<Vec<M>>,
    /// Answers in a row that there are none.
    empty: u32,
    left_out: Vec<String>,
}

impl<M: Clone + PartialEq + fmt::Display> Course<M> {
    pub(crate) fn new() -> Self {
        Course {
            state: State::Answering,
            members: None,
            empty: 0,
            left_out: Vec::new(),
        }
    }

    /// Takes the outcome of a look; `part` is a random number from 0 to 1.
    pub(crate) fn step(&mut self, outcome: Result<Look<M>, Failure>, part: f64) -> Step<M> {
        match outcome {
            Ok(look) => self.answered(look, part),
            Err(failure) => self.failed(failure, part),
        }
    }

    fn answered(&mut self, look: Look<M>, part: f64) -> Step<M> {
        let mut news = Vec::new();
        if let State::Failing { .. } = std::mem::replace(&mut self.state, State::Answering) {
            news.push(News::Back);
        }
        if look.left_out != self.left_out {
            if !look.left_out.is_empty() {
                news.push(News::LeftOut(look.left_out.clone()));
            }
            self.left_out = look.left_out;
        }
        let had_some = self.members.as_ref().is_some_and(|members| !members.is_empty());
        if look.members.is_empty() && had_some && !look.is_meant {
            self.empty += 1;
            if self.empty < BELIEVED_EMPTY {
                if self.empty == 1 {
                    news.push(News::InDoubt);
                }
                return Step {
                    news,
                    members: None,
                    pause: pause::between_looks(look.again.max(DOUBT), part),
                    anew: true,
                };
            }
        }
        self.empty = 0;
        let is_other = self.members.as_ref() != Some(&look.members);
        if is_other {
            let old = self.members.as_deref().unwrap_or_default();
            news.push(News::Members(difference(old, &look.members)));
            self.members = Some(look.members.clone());
        }
        Step {
            news,
            members: is_other.then_some(look.members),
            pause: pause::between_looks(look.again, part),
            anew: false,
        }
    }

    fn failed(&mut self, failure: Failure, part: f64) -> Step<M> {
        self.empty = 0;
        let what = failure.to_string();
        let (failures, is_news) = match &self.state {
            State::Answering => (1, true),
            // Another mistake in a file is another thing to mend; another way of not answering is not.
            State::Failing { failures, said } => (
                failures.saturating_add(1),
                matches!(failure, Failure::Wrong { .. }) && *said != what,
            ),
        };
        self.state = State::Failing {
            failures,
            said: what.clone(),
        };
        Step {
            news: is_news.then_some(News::Lost(what)).into_iter().collect(),
            members: None,
            pause: match failure {
                Failure::Away(_) => pause::after_failures(failures, part),
                Failure::Wrong { again, .. } => pause::between_looks(again, part),
            },
            anew: true,
        }
    }
}

/// What a set of members has that another has not, in words.
fn difference<M: PartialEq + fmt::Display>(old: &[M], new: &[M]) -> String {
    let names = |of: &[M]| of.iter().map(ToString::to_string).collect::<Vec<_>>();
    let (old_names, new_names) = (names(old), names(new));
    let without = |these: &[String], those: &[String]| {
        let those: std::collections::HashSet<_> = those.iter().collect();
        let left: Vec<_> = these.iter().filter(|name| !those.contains(name)).collect();
        match left.len() {
            0 => None,
            many => {
                let named = left.iter().take(NAMED).map(|name| name.as_str());
                let named = named.collect::<Vec<_>>().join(", ");
                Some(match many.saturating_sub(NAMED) {
                    0 => named,
                    more => format!("{named} and {more} more"),
                })
            }
        }
    };
    let count = match new.len() {
        0 => "no members".to_owned(),
        1 => "1 member".to_owned(),
        many => format!("{many} members"),
    };
    let changes = [
        without(&new_names, &old_names).map(|names| format!("new: {names}")),
        without(&old_names, &new_names).map(|names| format!("gone: {names}")),
    ];
    let changes: Vec<_> = changes.into_iter().flatten().collect();
    match changes.is_empty() {
        true if old.is_empty() && new.is_empty() => count,
        true => format!("{count}, with other settings"),
        false => format!("{count}; {}", changes.join("; ")),
    }
}

#[cfg(test)]
mod tests;
