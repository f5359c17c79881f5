//! The addresses that names had, for when one cannot be looked up.

use std::collections::HashMap;
use std::net::IpAddr;

use super::client::{Addresses, Asked};
use crate::course::Failure;

/// The last answer for each name, IPv4 and IPv6 apart: a server may answer for one and fail for the other.
#[derive(Debug, Default)]
pub(super) struct Known(HashMap<String, [Option<Vec<IpAddr>>; 2]>);

impl Known {
    /// What holds after an answer.
    ///
    /// # Errors
    /// Why the name has no addresses that anybody knows of, if not because a server says that there are none.
    pub(super) fn settle(
        &mut self,
        name: &str,
        asked: [Asked<Vec<IpAddr>>; 2],
    ) -> Result<Addresses, Failure> {
        let known = self.0.entry(name.to_owned()).or_default();
        let mut addresses = Vec::new();
        let mut life = None;
        let mut failures = Vec::new();
        for (known, asked) in known.iter_mut().zip(asked) {
            match asked {
                Ok(answer) => {
                    life = [life, answer.as_ref().map(|(_, life)| *life)]
                        .into_iter()
                        .flatten()
                        .min();
                    *known = Some(answer.map(|(addresses, _)| addresses).unwrap_or_default());
                }
                Err(failure) => failures.push(failure),
            }
            addresses.extend(known.iter().flatten());
        }
        let nobody_answers = failures.len() == 2;
        match failures.into_iter().next() {
            Some(failure) if nobody_answers || addresses.is_empty() => Err(failure),
            _ => Ok(Addresses { addresses, life }),
        }
    }

    /// These are the addresses that came with another answer.
    pub(super) fn remember(&mut self, name: &str, addresses: &[IpAddr]) {
        let (v4, v6) = addresses.iter().partition(|address| address.is_ipv4());
        self.0.insert(name.to_owned(), [Some(v4), Some(v6)]);
    }

    /// The addresses that a name had, if it had any.
    pub(super) fn addresses(&self, name: &str) -> Option<Vec<IpAddr>> {
        let known = self.0.get(name)?.iter().flatten().flatten();
        let addresses: Vec<_> = known.copied().collect();
        (!addresses.is_empty()).then_some(addresses)
    }

    /// Only these names are of interest any more.
    pub(super) fn forget_others(&mut self, names: &[String]) {
        self.0.retain(|name, _| names.contains(name));
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn some(address: &str, life: u64) -> Asked<Vec<IpAddr>> {
        Ok(Some((
            vec![address.parse().expect("an address")],
            Duration::from_secs(life),
        )))
    }

    fn failed() -> Asked<Vec<IpAddr>> {
        Err(Failure::Away("failed".to_owned()))
    }

    fn settled(known: &mut Known, asked: [Asked<Vec<IpAddr>>; 2]) -> Result<String, String> {
        let settled = known.settle("a", asked).map_err(|failure| failure.to_string())?;
        let addresses: Vec<_> = settled.addresses.iter().map(ToString::to_string).collect();
        Ok(format!(
            "{} {:?}",
            addresses.join(","),
            settled.life.map(|life| life.as_secs())
        ))
    }

    #[test]
    fn both_kinds_count_and_the_shorter_life() {
        let known = &mut Known::default();
        let both = [some("10.0.0.1", 9), some("::1", 5)];
        assert_eq!(settled(known, both), Ok("10.0.0.1,::1 Some(5)".to_owned()));
        assert_eq!(
            settled(known, [some("10.0.0.2", 9), Ok(None)]),
            Ok("10.0.0.2 Some(9)".to_owned())
        );
        assert_eq!(settled(known, [Ok(None), Ok(None)]), Ok(" None".to_owned()));
    }

    #[test]
    fn a_kind_that_fails_keeps_what_it_had() {
        let known = &mut Known::default();
        assert!(settled(known, [some("10.0.0.1", 9), some("::1", 5)]).is_ok());
        assert_eq!(
            settled(known, [some("10.0.0.2", 9), failed()]),
            Ok("10.0.0.2,::1 Some(9)".to_owned())
        );
        assert_eq!(settled(known, [Ok(None), failed()]), Ok("::1 None".to_owned()));
        assert_eq!(
            settled(known, [failed(), failed()]),
            Err("failed".to_owned()),
            "that is no answer"
        );
    }

    #[test]
    fn a_kind_that_always_fails_does_no_harm() {
        let known = &mut Known::default();
        assert_eq!(
            settled(known, [some("10.0.0.1", 9), failed()]),
            Ok("10.0.0.1 Some(9)".to_owned())
        );
        // It cannot be said that there are none.
        assert_eq!(settled(known, [Ok(None), failed()]), Err("failed".to_owned()));
    }

    #[test]
    fn addresses_that_came_with_another_answer_are_known() {
        let known = &mut Known::default();
        known.remember(
            "a",
            &["fd00::1", "10.0.0.1"].map(|text| text.parse().expect("an address")),
        );
        assert_eq!(
            settled(known, [failed(), some("fd00::2", 9)]),
            Ok("10.0.0.1,fd00::2 Some(9)".to_owned())
        );
        assert_eq!(known.addresses("a").map(|addresses| addresses.len()), Some(2));
        assert_eq!(known.addresses("b"), None);
    }

    #[test]
    fn names_that_are_not_asked_for_are_forgotten() {
        let known = &mut Known::default();
        assert!(settled(known, [some("10.0.0.1", 9), Ok(None)]).is_ok());
        known.forget_others(&["b".to_owned()]);
        assert_eq!(settled(known, [failed(), Ok(None)]), Err("failed".to_owned()));
    }
}
