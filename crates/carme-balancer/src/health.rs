//! Health checks: what to ask a member, when, and what its answers mean.
//!
//! `mod_proxy_hcheck.c` without its sockets: parameters and defaults of `set_worker_hc_param`, the request of
//! `create_hcheck_req`, the verdict and the states of `hc_check`. One thing is different on purpose: passes and fails
//! have to come one after another, as Apache's manual has it; Apache's code never forgets a failure, so that three of
//! them in a year disable a member with `hcfails=3`.

mod expression;

use std::num::NonZeroU32;
use std::time::{Duration, Instant};

pub use expression::{Expression, ExpressionError};

/// `hcmethod`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum CheckMethod {
    /// A connection is enough.
    Tcp,
    /// `OPTIONS *`
    Options {
        /// HTTP/1.1 instead of 1.0.
        http11: bool,
    },
    /// `HEAD` of the member's path and `hcuri`.
    Head {
        /// HTTP/1.1 instead of 1.0.
        http11: bool,
    },
    /// `GET` of the same.
    Get {
        /// HTTP/1.1 instead of 1.0.
        http11: bool,
    },
}

impl CheckMethod {
    /// All, under their names in the configuration (in any case). `CPING` is AJP's and not among them.
    pub const ALL: [(&'static str, CheckMethod); 7] = [
        ("TCP", CheckMethod::Tcp),
        ("OPTIONS", CheckMethod::Options { http11: false }),
        ("HEAD", CheckMethod::Head { http11: false }),
        ("GET", CheckMethod::Get { http11: false }),
        ("OPTIONS11", CheckMethod::Options { http11: true }),
        ("HEAD11", CheckMethod::Head { http11: true }),
        ("GET11", CheckMethod::Get { http11: true }),
    ];

    /// The method of that name.
    pub fn of_name(name: &str) -> Option<CheckMethod> {
        Some(
            CheckMethod::ALL
                .into_iter()
                .find(|(known, _)| known.eq_ignore_ascii_case(name))?
                .1,
        )
    }

    /// The name in configuration and status.
    pub fn name(self) -> &'static str {
        CheckMethod::ALL
            .into_iter()
            .find(|(_, method)| *method == self)
            .map_or("", |(name, _)| name)
    }
}

/// `hcmethod`, `hcinterval`, `hcpasses`, `hcfails`, `hcuri`, `hcexpr`, or a `ProxyHCTemplate` of them.
#[derive(Debug, Clone, PartialEq)]
pub struct HealthCheck {
    /// What is asked.
    pub method: CheckMethod,
    /// `hcinterval`: from the end of one check to the next.
    pub interval: Duration,
    /// `hcpasses`: so many passed checks one after another bring a member back.
    pub passes: NonZeroU32,
    /// `hcfails`: so many failed ones take it out.
    pub fails: NonZeroU32,
    /// `hcuri`: goes after the path of the member's URL and a `/`.
    pub uri: String,
    /// What passes.
    pub condition: Condition,
}

impl HealthCheck {
    /// `hcinterval`'s default.
    pub const DEFAULT_INTERVAL: Duration = Duration::from_secs(30);

    /// A check with Apache's defaults.
    pub fn new(method: CheckMethod) -> HealthCheck {
        HealthCheck {
            method,
            interval: HealthCheck::DEFAULT_INTERVAL,
            passes: NonZeroU32::MIN,
            fails: NonZeroU32::MIN,
            uri: String::new(),
            condition: Condition::Success,
        }
    }

    /// Method and target of the check's request; `member_path` is the path of the member's URL, perhaps empty. `None`
    /// where a connection is enough.
    pub fn request_line(&self, member_path: &str) -> Option<(&'static str, String)> {
        let method = match self.method {
            CheckMethod::Tcp => return None,
            CheckMethod::Options { .. } => return Some(("OPTIONS", "*".to_owned())),
            CheckMethod::Head { .. } => "HEAD",
            CheckMethod::Get { .. } => "GET",
        };
        // Apache writes `path/uri` and relies on one of them having no slash; a doubled or missing one helps nobody.
        let path = member_path.trim_end_matches('/');
        Some((method, format!("{path}/{}", self.uri.trim_start_matches('/'))))
    }

    /// Whether a response passes.
    pub fn is_passed_by(&self, response: &CheckResponse<'_>) -> bool {
        match &self.condition {
            Condition::Success => (200..400).contains(&response.status),
            Condition::Expect(expect) => expect.holds(response),
            Condition::Expression(expression) => expression.holds(response),
        }
    }
}

/// What a check's response has to be.
#[derive(Debug, Clone, PartialEq)]
pub enum Condition {
    /// 2xx or 3xx.
    Success,
    /// What Carme's own configuration can say.
    Expect(Expect),
    /// `hcexpr`: what a `ProxyHCExpr` says.
    Expression(Expression),
}

/// A condition without a language; all of it must hold.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Expect {
    /// The first and the last status of each range; 200 to 399 if there is none.
    pub statuses: Vec<(u16, u16)>,
    /// A text in the body.
    pub contains: Option<String>,
    /// A text that is not in it.
    pub lacks: Option<String>,
}

impl Expect {
    fn holds(&self, response: &CheckResponse<'_>) -> bool {
        let ranges = if self.statuses.is_empty() {
            &[(200, 399)]
        } else {
            &self.statuses[..]
        };
        let has = |text: &String| {
            text.is_empty()
                || response
                    .body
                    .windows(text.len())
                    .any(|part| part == text.as_bytes())
        };
        ranges
            .iter()
            .any(|&(first, last)| (first..=last).contains(&response.status))
            && self.contains.as_ref().is_none_or(has)
            && !self.lacks.as_ref().is_some_and(has)
    }
}

/// A check's response. A connection alone has none; it passes.
#[derive(Debug, Clone, Copy)]
pub struct CheckResponse<'a> {
    /// Its status.
    pub status: u16,
    /// Its fields, in order.
    pub headers: &'a [(&'a str, &'a [u8])],
    /// Its body; empty for HEAD and OPTIONS.
    pub body: &'a [u8],
}

/// A check's result.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Check {
    /// Connected, and the response if one was asked for passes.
    Passed,
    /// Anything else.
    Failed,
}

/// What a result changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HealthChange {
    /// Nothing yet.
    None,
    /// Enough passes: the member is in use again.
    Enabled,
    /// Enough failures: the member is not used until it passes.
    Disabled,
}

/// How far a member is with its checks.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Progress {
    /// Results of the kind that would change something, one after another.
    pub(crate) in_row: u32,
    /// The end of the last check.
    pub(crate) last: Option<Instant>,
    /// A check is on its way.
    pub(crate) running: bool,
}

impl Progress {
    /// `hc_check`'s states. `is_down`: the member has failed its checks or is in Error; passes bring it back from both.
    pub(crate) fn take(
        &mut self,
        rule: &HealthCheck,
        result: Check,
        is_down: bool,
        now: Instant,
    ) -> HealthChange {
        self.running = false;
        self.last = Some(now);
        let (counts, needed, change) = match is_down {
            true => (result == Check::Passed, rule.passes, HealthChange::Enabled),
            false => (result == Check::Failed, rule.fails, HealthChange::Disabled),
        };
        self.in_row = if counts { self.in_row + 1 } else { 0 };
        if self.in_row < needed.get() {
            return HealthChange::None;
        }
        self.in_row = 0;
        change
    }

    /// When the next check is due; at once before the first.
    pub(crate) fn due(&self, rule: &HealthCheck) -> Option<Instant> {
        self.last.map(|last| last + rule.interval)
    }
}

#[cfg(test)]
mod tests;
