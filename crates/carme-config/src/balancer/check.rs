//! The parts of a balancer against each other.

use std::collections::HashMap;

use super::{Balancer, MemberUrl};
use crate::draft::{At, Draft};
use crate::nearest::did_you_mean;
use crate::paths;
use crate::problem::{Mistake, Problem, Problems};

/// A balancer with the places of what can be wrong beside something else.
#[derive(Debug)]
pub(crate) struct BalancerDraft {
    /// Its name, and where it begins.
    pub(crate) name: At<String>,
    /// All of it, `tls.ca` still as it was written.
    pub(crate) balancer: Balancer,
    /// The place of each member.
    pub(crate) places: Vec<At<()>>,
    /// Whether all members could be read: if not, routes may be missing.
    pub(crate) all_read: bool,
    /// `tls_ca`
    pub(crate) ca: Option<At<String>>,
}

impl BalancerDraft {
    /// The checked balancer.
    pub(crate) fn complete(&self, draft: &Draft, problems: &mut Problems) -> Balancer {
        let mut balancer = self.balancer.clone();
        if balancer.members.is_empty() && balancer.discover.is_none() && self.all_read {
            let mistake = Mistake::new("has no members").cure(format!(
                "add [[balancers.{}.members]] with url = \"http://10.0.0.1:9001\", or `discover`",
                balancer.name
            ));
            problems.push(self.problem(mistake));
        }
        self.urls(problems);
        for (member, place) in balancer.members.iter().zip(&self.places) {
            if let Some(mistake) = member.pool.mistake() {
                problems.push(place.problem(mistake));
            }
        }
        if let Some(ca) = &self.ca {
            let path = paths::absolute(&draft.base, &ca.value);
            if let Err(error) = carme_tls::certificates_of_servers(&path) {
                let what = format!("names {}, which {}", error.file.display(), error.what);
                problems.push(ca.problem(Mistake::new(what).maybe_cure(error.cure)));
            }
            balancer.tls.ca = Some(path);
        }
        balancer
    }

    pub(crate) fn problem(&self, mistake: Mistake) -> Problem {
        Problem {
            place: self.name.place.clone(),
            what: format!("the balancer `{}` {}", self.name.value, mistake.what),
            cure: mistake.cure,
        }
    }

    fn urls(&self, problems: &mut Problems) {
        let mut taken: HashMap<&MemberUrl, &At<()>> = HashMap::new();
        for (member, place) in self.balancer.members.iter().zip(&self.places) {
            if let Some(first) = taken.insert(&member.url, place) {
                let what = format!("is there already: {} at {}", member.url, first.place);
                problems.push(place.problem(Mistake::new(what).cure("a larger share is `loadfactor`")));
            }
        }
    }

    /// Sessions that are sent on to a route that no member has: they go to any, as in Apache. A member that comes later
    /// may have it.
    pub(crate) fn warnings(&self, warnings: &mut Problems) {
        // The route may be that of one that is found.
        if !self.all_read || self.balancer.discover.is_some() {
            return;
        }
        let routes = || {
            self.balancer
                .members
                .iter()
                .filter_map(|member| member.route.as_deref())
        };
        for (member, place) in self.balancer.members.iter().zip(&self.places) {
            let Some(redirect) = &member.redirect else {
                continue;
            };
            if !routes().any(|route| route == redirect) {
                let known = match routes().collect::<Vec<_>>().as_slice() {
                    [] => None,
                    routes => Some(format!("there is {}", routes.join(", "))),
                };
                let what = format!(
                    "sends clients on to {redirect:?}, and no member has this route: they go to any member"
                );
                let cure = did_you_mean(redirect, routes()).or(known);
                warnings.push(place.problem(Mistake::new(what).maybe_cure(cure)));
            }
        }
    }
}

/// The index of the balancer with this name.
pub(crate) fn named_balancer(name: &At<String>, draft: &Draft) -> Result<usize, Problem> {
    let names = || {
        draft
            .balancers
            .iter()
            .map(|balancer| balancer.name.value.as_str())
    };
    names().position(|known| known == name.value).ok_or_else(|| {
        let known = match names().collect::<Vec<_>>().as_slice() {
            [] => Some(format!(
                "add [balancers.{}] and [[balancers.{0}.members]]",
                name.value
            )),
            names => Some(format!("there is {}", names.join(", "))),
        };
        name.problem(
            Mistake::new(format!("names no balancer: {:?}", name.value))
                .maybe_cure(did_you_mean(&name.value, names()).or(known)),
        )
    })
}
