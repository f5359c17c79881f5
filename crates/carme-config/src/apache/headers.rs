//! `Header` and `RequestHeader`.

use super::reading::{Context, Host, Outcome, Reading};
use super::requests::{LogRequests, expression};
use super::source::Node;
use crate::draft::{At, PolicyDraft};
use crate::header_rule::{Edit, EnvTest, HeaderChange, HeaderRule};
use crate::nearest::did_you_mean;
use crate::pattern::Pattern;
use crate::problem::{Mistake, Problem};
use crate::template::{Syntax, Template};
use crate::toml_file::rules;

pub(super) fn response(reading: &mut Reading, node: &Node, host: &mut Host, context: &Context) -> Outcome {
    let rule = rule(reading, node)?;
    policy(host, context).response_headers.push(rule);
    Ok(())
}

pub(super) fn request(reading: &mut Reading, node: &Node, host: &mut Host, context: &Context) -> Outcome {
    let rule = rule(reading, node)?;
    policy(host, context).request_headers.push(rule);
    Ok(())
}

/// The policy of the section that the directive stands in.
pub(super) fn policy<'h>(host: &'h mut Host, context: &Context) -> &'h mut PolicyDraft {
    match (&context.location, &context.directory) {
        (Some(location), _) => of(&mut host.sections, location),
        (None, Some(directory)) => of(&mut host.directories, directory),
        (None, None) => &mut host.policy,
    }
}

fn of<'s, P: Clone + PartialEq>(
    sections: &'s mut Vec<(At<P>, PolicyDraft)>,
    place: &At<P>,
) -> &'s mut PolicyDraft {
    let known = sections.iter().position(|(known, _)| known.value == place.value);
    let at = known.unwrap_or_else(|| {
        sections.push((place.clone(), PolicyDraft::default()));
        sections.len() - 1
    });
    &mut sections[at].1
}

const ACTIONS: [&str; 10] = [
    "set",
    "setifempty",
    "append",
    "add",
    "merge",
    "unset",
    "echo",
    "edit",
    "edit*",
    "note",
];

fn rule(reading: &mut Reading, node: &Node) -> Result<HeaderRule, Problem> {
    let mut args = node.args.iter().peekable();
    args.next_if(|word| word.is("always") || word.is("onsuccess"));
    let action = args
        .next()
        .ok_or_else(|| node.wrong(Mistake::new("says not what to do")))?;
    let name_word = args
        .next()
        .ok_or_else(|| node.wrong(Mistake::new("names no field")))?;
    let wrong = |mistake: Mistake| node.wrong_arg(name_word, mistake);
    let kind = action.text.to_ascii_lowercase();
    let field = name_word.text.trim_end_matches(':');
    let name = match kind.as_str() {
        "append" | "merge" => rules::list_name(field),
        _ => rules::name(field),
    };
    let name = name.map_err(wrong)?;
    let mut value = |what: &str, syntax: Option<usize>| {
        let word = args
            .next()
            .ok_or_else(|| wrong(Mistake::new(format!("has no {what}"))))?;
        template(&word.text, syntax).map_err(|mistake| node.wrong_arg(word, mistake))
    };
    let change = match kind.as_str() {
        "unset" => HeaderChange::Remove(name),
        "set" | "setifempty" => HeaderChange::Set(name, value("value", None)?),
        "add" => HeaderChange::Add(name, value("value", None)?),
        "append" => HeaderChange::Append(name, value("value", None)?),
        "merge" => HeaderChange::Merge(name, value("value", None)?),
        "edit" | "edit*" => {
            let word = args
                .next()
                .ok_or_else(|| wrong(Mistake::new("has no expression")))?;
            let pattern = Pattern::parse(&word.text).map_err(|mistake| node.wrong_arg(word, mistake))?;
            let word = args.next().ok_or_else(|| wrong(Mistake::new("has no value")))?;
            let value = template(&word.text, Some(pattern.groups()));
            HeaderChange::Edit(
                name,
                Edit {
                    value: value.map_err(|mistake| node.wrong_arg(word, mistake))?,
                    pattern,
                    every: kind == "edit*",
                },
            )
        }
        "echo" | "note" => {
            let mistake = Mistake::new(format!("cannot {kind}"));
            let cure = "there are set, setifempty, add, append, merge, edit and unset";
            return Err(node.wrong_arg(action, mistake.cure(cure)));
        }
        _ => {
            let mistake = Mistake::new(format!("does not know {:?}", action.text));
            return Err(node.wrong_arg(action, mistake.maybe_cure(did_you_mean(&action.text, ACTIONS))));
        }
    };
    let mut rule = HeaderRule {
        change,
        statuses: Vec::new(),
        if_absent: kind == "setifempty",
        env: None,
    };
    for word in args {
        if word.is("early") {
            reading.warn(
                word,
                &node.name.text,
                "is not done early: rules are followed in their order",
            );
        } else if let Some(name) = word.text.strip_prefix("env=") {
            let test = EnvTest::parse(name).map_err(|mistake| node.wrong_arg(word, mistake))?;
            rule.env = Some(test);
        } else if let Some(text) = word.text.strip_prefix("expr=") {
            let is_request = node.name.is("RequestHeader");
            let requests = expression(text).and_then(|requests| only_for(&mut rule, &requests, is_request));
            requests.map_err(|mistake| node.wrong_arg(word, mistake))?;
        } else {
            let mistake = Mistake::new(format!(
                "has a condition that Carme does not know: {:?}",
                word.text
            ));
            return Err(node.wrong_arg(word, mistake.cure("there are env=NAME, env=!NAME and expr=…")));
        }
    }
    Ok(rule)
}

/// What an expression says, where a rule can say it.
fn only_for(rule: &mut HeaderRule, requests: &LogRequests, is_request: bool) -> Result<(), Mistake> {
    let (asked, is_set) = match (requests.only.as_slice(), requests.except.as_slice()) {
        ([asked], []) => (asked, true),
        ([], [asked]) => (asked, false),
        _ => return Ok(()),
    };
    if !asked.paths.is_empty() {
        return Err(Mistake::new("has a condition of a path").cure("write the directive in a <Location>"));
    }
    if let [name] = asked.env.as_slice() {
        rule.env = Some(EnvTest {
            name: name.clone(),
            is_set,
        });
    }
    if let [(first, last)] = *asked.statuses.as_slice() {
        if is_request {
            return Err(Mistake::new(
                "has a condition of a status, which a request has not",
            ));
        }
        let ranges = match is_set {
            true => vec![(first, last)],
            false => vec![(0, first.saturating_sub(1)), (last.saturating_add(1), u16::MAX)],
        };
        let possible = ranges
            .into_iter()
            .map(|(first, last)| (first.max(200), last.min(599)));
        rule.statuses = possible.filter(|(first, last)| first <= last).collect();
        if rule.statuses.is_empty() {
            return Err(Mistake::new("has a condition that no response fits"));
        }
    }
    Ok(())
}

/// A value as `mod_headers` has it.
fn template(text: &str, groups: Option<usize>) -> Result<Template, Mistake> {
    let plain = Syntax {
        variables: false,
        groups,
    };
    let text = rules::value(text)?;
    let mut template = Template::default();
    let mut rest = text.as_str();
    while let Some(at) = rest.find('%') {
        template.push_parsed(&rest[..at], plain)?;
        let after = &rest[at + 1..];
        let (name, letter) = match after.strip_prefix('{').map(|rest| rest.split_once('}')) {
            Some(Some((name, letter))) => (name, letter),
            Some(None) => return Err(unknown(&text)),
            None => ("", after),
        };
        let mut characters = letter.chars();
        match (characters.next(), name) {
            (Some('%'), "") => template.push_text("%"),
            (Some('t'), "") => template.push_labelled("t=", "START_TIME_US"),
            (Some('D'), "") => template.push_labelled("D=", "DURATION_US"),
            (Some('e'), name) if !name.is_empty() => template.push_variable(name),
            (Some('s'), name) if carme_log::Variable::is_tls(name) => template.push_variable(name),
            _ => return Err(unknown(&text)),
        }
        rest = characters.as_str();
    }
    template.push_parsed(rest, plain)?;
    Ok(template)
}

fn unknown(text: &str) -> Mistake {
    let what = format!("has something in its value that Carme does not know: {text:?}");
    Mistake::new(what).cure("there are %{NAME}e, %{SSL_…}s, %t and %D, and %% for a percent sign")
}
