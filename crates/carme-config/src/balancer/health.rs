//! How a member is asked whether it is well.

use std::num::NonZeroUsize;
use std::time::Duration;

use crate::nearest::did_you_mean;
use crate::problem::Mistake;

/// `hcmethod` and what belongs to it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HealthCheck {
    /// `hcmethod`: how it is asked.
    pub method: HealthMethod,
    /// `hcinterval`: how often.
    pub interval: Duration,
    /// `hcpasses`: after so many good answers in a row it is used again.
    pub passes: NonZeroUsize,
    /// `hcfails`: after so many bad ones it is not used.
    pub fails: NonZeroUsize,
    /// `hcuri`: what is added to its address; empty for the address as it is.
    pub uri: String,
    /// `hcexpect`: which answers are good.
    pub expect: HealthExpect,
}

/// How a member is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HealthMethod {
    /// `tcp`: a connection is enough.
    Tcp,
    /// `options`
    Options,
    /// `head`
    Head,
    /// `get`
    Get,
}

/// Which answers are good; what is said of both must hold.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct HealthExpect {
    /// `status`: the first and the last status of each range; 200 to 399 if there is none.
    pub statuses: Vec<(u16, u16)>,
    /// `contains`: a text in the body.
    pub contains: Option<String>,
    /// `lacks`: a text that is not in it.
    pub lacks: Option<String>,
}

impl HealthExpect {
    /// Whether it looks at bodies.
    pub fn reads_body(&self) -> bool {
        self.contains.is_some() || self.lacks.is_some()
    }
}

impl HealthMethod {
    const NAMES: [(&'static str, HealthMethod); 4] = [
        ("tcp", HealthMethod::Tcp),
        ("options", HealthMethod::Options),
        ("head", HealthMethod::Head),
        ("get", HealthMethod::Get),
    ];

    /// Reads a name in any case; `GET11` and its like are the same with HTTP/1.1, which is what is spoken anyway. `none`
    /// is no check.
    pub(crate) fn parse(text: &str) -> Result<Option<Self>, Mistake> {
        let lower = text.to_ascii_lowercase();
        let name = match lower.strip_suffix("11") {
            Some("tcp") | None => &lower,
            Some(name) => name,
        };
        if name == "none" {
            return Ok(None);
        }
        let known = Self::NAMES.iter().find(|(known, _)| *known == name);
        known.map(|(_, method)| Some(*method)).ok_or_else(|| {
            let mistake = Mistake::new(format!(
                "must be \"tcp\", \"options\", \"head\", \"get\" or \"none\", found {text:?}"
            ));
            match name {
                "cping" => {
                    mistake.cure("CPING is for AJP, which is not spoken: write \"tcp\" or \"options\"")
                }
                _ => mistake.maybe_cure(did_you_mean(name, Self::NAMES.map(|(name, _)| name))),
            }
        })
    }

    /// As it is written in `carme.toml`.
    pub fn as_str(self) -> &'static str {
        Self::NAMES
            .iter()
            .find(|(_, method)| *method == self)
            .map_or("", |(name, _)| name)
    }
}

impl HealthCheck {
    /// A check with the defaults of everything else.
    pub(crate) fn by(method: HealthMethod) -> Self {
        HealthCheck {
            method,
            interval: crate::config::defaults::HEALTH_INTERVAL,
            passes: NonZeroUsize::MIN,
            fails: NonZeroUsize::MIN,
            uri: String::new(),
            expect: HealthExpect::default(),
        }
    }

    /// What cannot be together.
    pub(crate) fn check(&self) -> Result<(), Mistake> {
        let (is_tcp, expect) = (self.method == HealthMethod::Tcp, &self.expect);
        if is_tcp && (*expect != HealthExpect::default() || !self.uri.is_empty()) {
            return Err(
                Mistake::new("checks by a connection alone, and nothing is answered to look at")
                    .cure("write hcmethod = \"get\""),
            );
        }
        if expect.reads_body() && self.method != HealthMethod::Get {
            return Err(Mistake::new(format!(
                "looks at bodies, and {} has none",
                self.method.as_str().to_ascii_uppercase()
            ))
            .cure("write hcmethod = \"get\""));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn methods() {
        for (text, expected) in [
            ("TCP", Some(HealthMethod::Tcp)),
            ("get", Some(HealthMethod::Get)),
            ("GET11", Some(HealthMethod::Get)),
            ("HEAD11", Some(HealthMethod::Head)),
            ("OPTIONS", Some(HealthMethod::Options)),
            ("None", None),
        ] {
            assert_eq!(HealthMethod::parse(text), Ok(expected), "{text}");
        }
        for (text, cure) in [
            (
                "CPING",
                "CPING is for AJP, which is not spoken: write \"tcp\" or \"options\"",
            ),
            ("gte", "did you mean `get`?"),
        ] {
            let mistake = HealthMethod::parse(text).expect_err(text);
            assert_eq!(mistake.cure.as_deref(), Some(cure));
        }
        HealthMethod::parse("TCP11").expect_err("there is none");
    }
}
