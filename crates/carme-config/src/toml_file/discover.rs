//! `[balancers.NAME.discover]`, and files that name members.

use std::collections::HashMap;
use std::path::Path;
use std::time::Duration;

use super::document::Document;
use super::members::{member, settings};
use super::section::Section;
use super::{schema, set};
use crate::balancer::{
    ConsulToken, Discover, DiscoverSource, DnsQuestion, FoundMember, FoundRoute, Member, MemberUrl,
    consul_address, dns_server, found_url,
};
use crate::config::defaults;
use crate::draft::At;
use crate::paths;
use crate::problem::{Mistake, Place, Problems};
use crate::units::parse_duration;

/// The keys that say who names members, and those that go with each.
const SOURCES: [(&str, &[&str]); 3] = [
    ("dns", &["server", "interval"]),
    ("consul", &["address", "tag", "datacenter", "token", "token_file"]),
    ("file", &["interval"]),
];

pub(super) fn discover(section: &Section<'_>, base: &Path, problems: &mut Problems) -> Option<Discover> {
    let whole = section.read("discover", problems, |_| Ok(()))?;
    let section = section.section("discover", schema::DISCOVER.section, &schema::DISCOVER, problems)?;
    let named: Vec<_> = SOURCES.iter().filter(|(key, _)| section.has(key)).collect();
    let [(source, keys)] = named.as_slice() else {
        let mistake = Mistake::new(match named.len() {
            0 => "says nowhere who names the members".to_owned(),
            _ => format!(
                "has {}",
                named
                    .iter()
                    .map(|(key, _)| format!("`{key}`"))
                    .collect::<Vec<_>>()
                    .join(" and ")
            ),
        });
        problems.push(whole.problem(
            mistake.cure(
                "write one of dns = \"app.internal:8000\", consul = \"app\" and file = \"members.toml\"",
            ),
        ));
        return None;
    };
    for key in schema::DISCOVER.known.iter().filter(|key| !keys.contains(key)) {
        let with: Vec<_> = SOURCES
            .iter()
            .filter(|(_, keys)| keys.contains(key))
            .map(|(other, _)| format!("`{other}`"))
            .collect();
        if !with.is_empty() {
            section.read(key, problems, |_| {
                let with = with.join(" and ");
                Err::<(), _>(Mistake::new(format!("goes with {with}, not with `{source}`")))
            });
        }
    }
    let member = found_member(&section, problems);
    let source = match *source {
        "dns" => dns(&section, problems),
        "consul" => consul(&section, base, problems),
        _ => file(&section, base, problems),
    };
    Some(Discover {
        source: source?,
        member,
    })
}

fn dns(section: &Section<'_>, problems: &mut Problems) -> Option<DiscoverSource> {
    let servers = section.texts("server", problems, dns_server).unwrap_or_default();
    let interval = interval(section, problems);
    Some(DiscoverSource::Dns {
        question: section.text("dns", problems, DnsQuestion::parse)?.value,
        servers: servers.into_iter().map(|at| at.value).collect(),
        interval: interval.unwrap_or(defaults::DNS_INTERVAL),
    })
}

fn consul(section: &Section<'_>, base: &Path, problems: &mut Problems) -> Option<DiscoverSource> {
    let text = |key: &str, problems: &mut Problems| section.text(key, problems, not_empty).map(|at| at.value);
    let authority = section.text("address", problems, consul_address);
    let (tag, datacenter) = (text("tag", problems), text("datacenter", problems));
    let token = token(section, base, problems);
    Some(DiscoverSource::Consul {
        service: text("consul", problems)?,
        authority: authority.map_or_else(|| defaults::CONSUL.to_owned(), |at| at.value),
        tag,
        datacenter,
        token,
    })
}

fn not_empty(text: &str) -> Result<String, Mistake> {
    match text.trim() {
        "" => Err(Mistake::new("must be a name, found \"\"")),
        name => Ok(name.to_owned()),
    }
}

fn token(section: &Section<'_>, base: &Path, problems: &mut Problems) -> Option<ConsulToken> {
    let usable = |text: &str| match text.trim() {
        token if !token.is_empty() && token.bytes().all(|byte| byte.is_ascii_graphic()) => {
            Ok(ConsulToken(token.to_owned()))
        }
        _ => Err(Mistake::new("holds no token: one is a word without spaces")),
    };
    let written = section.text("token", problems, usable);
    let read = section.text("token_file", problems, |file| {
        let path = paths::absolute(base, file);
        let text = std::fs::read_to_string(&path).map_err(|error| {
            Mistake::new(format!("names {}, which cannot be read: {error}", path.display()))
        })?;
        usable(text.lines().next().unwrap_or_default())
    });
    if let (Some(_), Some(file)) = (&written, &read) {
        problems.push(file.problem(Mistake::new("is given beside `token`").cure("keep one of them")));
    }
    written.or(read).map(|at| at.value)
}

fn file(section: &Section<'_>, base: &Path, problems: &mut Problems) -> Option<DiscoverSource> {
    let interval = interval(section, problems);
    Some(DiscoverSource::File {
        path: paths::absolute(base, &section.text("file", problems, not_empty)?.value),
        interval: interval.unwrap_or(defaults::FILE_INTERVAL),
    })
}

/// Shorter, and it would do nothing else.
fn interval(section: &Section<'_>, problems: &mut Problems) -> Option<Duration> {
    let bounds = Duration::from_millis(100)..=Duration::from_secs(86_400);
    let interval = section.text("interval", problems, |text| match parse_duration(text)? {
        interval if bounds.contains(&interval) => Ok(interval),
        _ => Err(Mistake::new(format!(
            "must be from \"100ms\" to \"1d\", found {text:?}"
        ))),
    });
    interval.map(|at| at.value)
}

fn found_member(section: &Section<'_>, problems: &mut Problems) -> FoundMember {
    let mut found = FoundMember::plain();
    let title = schema::FOUND_MEMBER.section;
    let place = section.read("member", problems, |_| Ok(()));
    let Some(section) = section.section("member", title, &schema::FOUND_MEMBER, problems) else {
        return found;
    };
    let url = section.text("url", problems, found_url);
    set(&mut found.member.url, url.map(|at| at.value));
    let route = section.text("route", problems, FoundRoute::parse);
    set(&mut found.route, route.map(|at| at.value));
    settings(&section, &mut found.member, problems);
    if let (Some(mistake), Some(place)) = (found.member.pool.mistake(), place) {
        problems.push(place.problem(mistake));
    }
    found
}

impl FoundMember {
    /// The members that a file names: `[[members]]` as in `carme.toml`, each with what is said of all. `path` names the
    /// places in problems.
    ///
    /// # Errors
    /// Everything that is wrong in it.
    pub fn read(&self, text: &str, path: &Path) -> Result<Vec<Member>, Problems> {
        let document = Document::new(path.to_owned(), text);
        let table = document.parse()?;
        let mut problems = Problems::default();
        let top = Section::open(
            &document,
            schema::MEMBERS.section,
            table.get_ref(),
            &schema::MEMBERS,
            &mut problems,
        );
        // An empty file is more likely one that is being written than one that means it.
        if !top.has("members") {
            let whole = At {
                value: (),
                subject: "the file".to_owned(),
                place: document.whole(),
            };
            let mistake = Mistake::new("names no members");
            problems
                .push(whole.problem(mistake.cure("write [[members]], or members = [] if there are none")));
        }
        let mut members = Vec::new();
        let mut places: HashMap<MemberUrl, Place> = HashMap::new();
        for item in top
            .sections("members", &schema::MEMBER, &mut problems)
            .unwrap_or_default()
        {
            let Some(member) = member(&item, |url| self.at(url), &mut problems) else {
                continue;
            };
            if let Some(first) = places.get(&member.url) {
                let what = format!("is there already: {} at {first}", member.url);
                problems.push(item.problem(Mistake::new(what)));
            }
            if let Some(mistake) = member.pool.mistake() {
                problems.push(item.problem(mistake));
            }
            places.insert(member.url.clone(), item.place);
            members.push(member);
        }
        match problems.is_empty() {
            true => Ok(members),
            false => Err(problems.in_order()),
        }
    }
}
