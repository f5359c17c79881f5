//! What differs on purpose where sites are compared (docs/src/balancing.md, docs/src/from-apache.md): it has to differ just
//! so.

use crate::table::Table;

/// One field of one step.
pub(crate) struct Difference {
    pub(crate) site: &'static str,
    pub(crate) step: usize,
    pub(crate) field: &'static str,
    /// What only Apache has there.
    apache: &'static [&'static str],
    /// What only Carme has there.
    carme: &'static [&'static str],
}

impl Difference {
    pub(crate) fn is_so(&self, apache: &Table, carme: &Table) -> bool {
        let (apache, carme) = (apache.get(self.field), carme.get(self.field));
        let only = |values: &[&str], here: &str, there: &str| {
            let mut values = values.iter();
            values.all(|value| here.contains(value) && !there.contains(value))
        };
        only(self.apache, apache, carme) && only(self.carme, carme, apache)
    }
}

const fn after_a_full_member(
    field: &'static str,
    apache: &'static [&'static str],
    carme: &'static [&'static str],
) -> Difference {
    Difference {
        site: "acquire another",
        step: 6,
        field,
        apache,
        carme,
    }
}

pub(crate) const DIFFERENCES: &[Difference] = &[
    // What an untrusted client claims goes to nobody.
    Difference {
        site: "claims",
        step: 0,
        field: "sent fields",
        apache: &[
            "forwarded: for=192.0.2.1",
            "x-forwarded-for: 192.0.2.1",
            "x-forwarded-host: other.test",
        ],
        carme: &[],
    },
    // Apache's member that was full has paid for requests that went to the other.
    after_a_full_member("member", &["b"], &["a"]),
    after_a_full_member("fields", &["x-member: b"], &["x-member: a"]),
    after_a_full_member("sent", &["b GET"], &["a GET"]),
    after_a_full_member("sent fields", &["b host"], &["a host"]),
    after_a_full_member("sent body", &["b "], &["a "]),
    after_a_full_member("worker", &[], &[]),
    // The same in other letters.
    Difference {
        site: "ping",
        step: 1,
        field: "sent fields",
        apache: &["expect: 100-Continue"],
        carme: &["expect: 100-continue"],
    },
];
