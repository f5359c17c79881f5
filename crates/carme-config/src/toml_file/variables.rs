//! `variables`: a list of changes of what is known of a request.

use super::schema;
use super::section::Section;
use crate::draft::At;
use crate::mount::MountPath;
use crate::nearest::did_you_mean;
use crate::pattern::Pattern;
use crate::problem::{Mistake, Problems};
use crate::template::{Syntax, Template};
use crate::variable::{RequestAttribute, Subject, VariableChange, VariableRule, VariableTest, settable};
use crate::{env_file, toml_file::rules};

/// The keys that say what is done.
const KINDS: [&str; 3] = ["set", "pass", "remove"];

/// The keys that say what is looked at.
const SUBJECTS: [&str; 3] = ["header", "attribute", "variable"];

/// What a variable has if nothing else is said, as in Apache.
pub(crate) const USUAL: &str = "1";

pub(super) fn variables(section: &Section<'_>, problems: &mut Problems) -> Vec<VariableRule> {
    let items = section.sections("variables", &schema::VARIABLE, problems);
    let items = items.unwrap_or_default();
    items.iter().filter_map(|item| rule(item, problems)).collect()
}

fn rule(item: &At<Section<'_>>, problems: &mut Problems) -> Option<VariableRule> {
    let section = &item.value;
    let named: Vec<&str> = KINDS.into_iter().filter(|key| section.has(key)).collect();
    let [kind] = named[..] else {
        let what = match named[..] {
            [first, second, ..] => format!("has `{first}` and `{second}`, which exclude each other"),
            _ => "says not what to do".to_owned(),
        };
        let cure = "write { set = \"NAME\" }, perhaps with a `value`, or { remove = \"NAME\" }";
        problems.push(item.problem(Mistake::new(what).cure(cure)));
        return None;
    };
    let name = section.text(kind, problems, settable);
    let when = test(item, problems);
    let below = match section.has("path") {
        true => section
            .text("path", problems, MountPath::parse)
            .map(|at| Some(at.value)),
        false => Some(None),
    };
    let change = match kind {
        "set" if section.has("value") => {
            let groups = when
                .as_ref()
                .and_then(|test| Some(test.as_ref()?.pattern.groups()));
            let syntax = Syntax {
                variables: false,
                groups,
            };
            let read = section.text("value", problems, |text| Template::parse(text, syntax));
            read.map(|at| VariableChange::Set(at.value))
        }
        "set" => Some(VariableChange::Set(Template::from(USUAL))),
        _ => {
            section.read("value", problems, |_| {
                let what = format!("has no meaning beside `{kind}`");
                Err::<(), _>(Mistake::new(what).cure("leave it out"))
            });
            match (kind, &name) {
                ("pass", Some(name)) => Some(VariableChange::passed(&name.value)),
                _ => Some(VariableChange::Remove),
            }
        }
    };
    Some(VariableRule {
        name: name?.value,
        change: change?,
        when: when?,
        below: below?,
    })
}

/// `Some(None)`: for all requests. `None`: what is wrong has been told.
fn test(item: &At<Section<'_>>, problems: &mut Problems) -> Option<Option<VariableTest>> {
    let section = &item.value;
    let named: Vec<&str> = SUBJECTS.into_iter().filter(|key| section.has(key)).collect();
    let has_pattern = section.has("matches");
    let pattern = section.text("matches", problems, Pattern::parse);
    let kind = match named[..] {
        [] if !has_pattern => return Some(None),
        [] => {
            let cure = "write header = \"User-Agent\", attribute = \"request_uri\" or variable = \"NAME\"";
            let mistake = Mistake::new("has `matches`, and does not say what of").cure(cure);
            problems.push(item.problem(mistake));
            return None;
        }
        [one] => one,
        [first, second, ..] => {
            let what = format!("has `{first}` and `{second}`, which exclude each other");
            problems.push(item.problem(Mistake::new(what).cure("write two rules")));
            return None;
        }
    };
    if !has_pattern {
        let cure = "write matches = \"^/static/\", a regular expression";
        problems.push(item.problem(Mistake::new(format!("has `{kind}`, and no `matches`")).cure(cure)));
    }
    let subject = section.text(kind, problems, |text| match kind {
        "header" => rules::field(text).map(Subject::Header),
        "attribute" => attribute(text).map(Subject::Attribute),
        _ => env_file::check_key(text).map(|()| Subject::Variable(text.to_owned())),
    });
    Some(Some(VariableTest {
        subject: subject?.value,
        pattern: pattern?.value,
    }))
}

fn attribute(text: &str) -> Result<RequestAttribute, Mistake> {
    RequestAttribute::named(text).ok_or_else(|| {
        let names: Vec<String> = RequestAttribute::names()
            .map(|name| format!("{name:?}"))
            .collect();
        let mistake = Mistake::new(format!("must be one of {}, found {text:?}", names.join(", ")));
        mistake.maybe_cure(did_you_mean(text, RequestAttribute::names()))
    })
}
