//! `listen`: addresses as strings, or as tables with what holds at that one alone.

use std::path::Path;

use toml::de::{DeTable, DeValue};

use super::location::flag_at;
use super::schema;
use super::section::{Section, text};
use crate::bind::Bind;
use crate::draft::At;
use crate::problem::{Mistake, Problems};
use crate::proxies::{Proxies, nobody_may_announce};

/// An address, and whether it says itself that connections begin with a PROXY header.
pub(super) struct Listen {
    pub(super) bind: At<Bind>,
    pub(super) proxy_protocol: Option<At<bool>>,
}

/// `None` if there is no such key; what cannot be read is left out.
pub(super) fn listen(section: &Section<'_>, base: &Path, problems: &mut Problems) -> Option<Vec<Listen>> {
    enum Written<'d> {
        Bind(Bind),
        Table(&'d DeTable<'d>),
    }
    let written = section.list("listen", problems, |value| match value {
        DeValue::Table(table) => Ok(Written::Table(table)),
        other => text(other, |text| Bind::parse(text, base)).map(Written::Bind),
    })?;
    let read = |At {
                    value,
                    subject,
                    place,
                }: At<Written<'_>>| match value {
        Written::Bind(value) => Some(Listen {
            bind: At {
                value,
                subject,
                place,
            },
            proxy_protocol: None,
        }),
        Written::Table(table) => {
            let title = schema::LISTENER.section;
            let table = Section::open(section.document, title, table, &schema::LISTENER, problems);
            if !table.has("address") {
                let at = At {
                    value: (),
                    subject,
                    place,
                };
                let mistake = Mistake::new("has a table without `address`");
                problems.push(at.problem(mistake.cure("write { address = \"127.0.0.1:8000\" }")));
            }
            let proxy_protocol = flag_at(&table, "proxy_protocol", problems);
            Some(Listen {
                bind: table.text("address", problems, |text| Bind::parse(text, base))?,
                proxy_protocol,
            })
        }
    };
    Some(written.into_iter().filter_map(read).collect())
}

/// What single addresses say of the PROXY protocol, by their index; checked once it is known who is trusted.
pub(super) fn announce(
    said: Vec<(usize, Bind, At<bool>)>,
    proxies: &mut Proxies,
    is_sound: bool,
    problems: &mut Problems,
) {
    for (index, bind, protocol) in said {
        proxies.protocol_at.insert(index, protocol.value);
        if protocol.value
            && is_sound
            && let Err(mistake) = nobody_may_announce(&bind, proxies)
        {
            problems.push(protocol.problem(mistake));
        }
    }
}
