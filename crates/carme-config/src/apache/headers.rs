//! `Header` and `RequestHeader`.

use super::reading::{Context, Host, Outcome, Reading};
use super::source::Node;
use crate::draft::PolicyDraft;
use crate::location::{EnvTest, HeaderChange, HeaderRule};
use crate::nearest::did_you_mean;
use crate::problem::Mistake;
use crate::toml_file::rules;

pub(super) fn response(reading: &mut Reading, node: &Node, host: &mut Host, context: &Context) -> Outcome {
    if let Some(rule) = rule(reading, node)? {
        policy(host, context).response_headers.push(rule);
    }
    Ok(())
}

pub(super) fn request(reading: &mut Reading, node: &Node, host: &mut Host, context: &Context) -> Outcome {
    if let Some(rule) = rule(reading, node)? {
        policy(host, context).request_headers.push(rule);
    }
    Ok(())
}

/// The policy of the section that the directive stands in.
fn policy<'h>(host: &'h mut Host, context: &Context) -> &'h mut PolicyDraft {
    let Some(location) = &context.location else {
        return &mut host.policy;
    };
    let known = host
        .sections
        .iter()
        .position(|(path, _)| path.value == location.value);
    let at = known.unwrap_or_else(|| {
        host.sections.push((location.clone(), PolicyDraft::default()));
        host.sections.len() - 1
    });
    &mut host.sections[at].1
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

/// `None` if it means nothing here, which has been said.
fn rule(reading: &mut Reading, node: &Node) -> Result<Option<HeaderRule>, crate::problem::Problem> {
    let mut args = node.args.iter().peekable();
    args.next_if(|word| word.is("always") || word.is("onsuccess"));
    let action = args
        .next()
        .ok_or_else(|| node.wrong(Mistake::new("says not what to do")))?;
    let name_word = args
        .next()
        .ok_or_else(|| node.wrong(Mistake::new("names no field")))?;
    let wrong = |mistake: Mistake| node.wrong_arg(name_word, mistake);
    let name = rules::name(name_word.text.trim_end_matches(':')).map_err(wrong)?;
    let mut rule = HeaderRule {
        change: HeaderChange::Remove(name.clone()),
        statuses: Vec::new(),
        if_absent: false,
        env: None,
    };
    let kind = action.text.to_ascii_lowercase();
    match kind.as_str() {
        "unset" => {}
        "set" | "setifempty" | "append" | "add" | "merge" => {
            let word = args.next().ok_or_else(|| wrong(Mistake::new("has no value")))?;
            let value = value(&word.text).map_err(|mistake| node.wrong_arg(word, mistake))?;
            let value = rules::value(&value).map_err(|mistake| node.wrong_arg(word, mistake))?;
            rule.if_absent = kind == "setifempty";
            rule.change = match kind.as_str() {
                "set" | "setifempty" => HeaderChange::Set(name, value),
                _ => HeaderChange::Add(name, value),
            };
            if kind == "append" || kind == "merge" {
                let why = "adds a field of its own, which means the same, and does not join it with one that is there";
                reading.warn(action, &node.name.text, why);
            }
        }
        "echo" | "edit" | "edit*" | "note" => {
            let mistake = Mistake::new(format!("cannot {}", kind.trim_end_matches('*')));
            return Err(node.wrong_arg(action, mistake.cure("there are set, setifempty, add and unset")));
        }
        _ => {
            let mistake = Mistake::new(format!("does not know {:?}", action.text));
            return Err(node.wrong_arg(action, mistake.maybe_cure(did_you_mean(&action.text, ACTIONS))));
        }
    }
    for word in args {
        if word.is("early") {
            reading.warn(
                word,
                &node.name.text,
                "is not done early: rules are followed in their order",
            );
        } else if let Some(name) = word.text.strip_prefix("env=") {
            let test = EnvTest::parse(name).map_err(|mistake| node.wrong_arg(word, mistake))?;
            if reading.variables.contains_key(&test.name) {
                let what = format!(
                    "depends on {}, which SetEnvIf sets: header rules do not see it",
                    test.name
                );
                return Err(node.wrong_arg(word, Mistake::new(what).cure("write a <Location> for the path")));
            }
            rule.env = Some(test);
        } else {
            let mistake = Mistake::new(format!(
                "has a condition that Carme does not know: {:?}",
                word.text
            ));
            return Err(node.wrong_arg(word, mistake.cure("there is env=NAME and env=!NAME")));
        }
    }
    Ok(Some(rule))
}

/// `%{NAME}e` and `%%`; the others of Apache are not known.
fn value(text: &str) -> Result<String, Mistake> {
    let mut value = String::new();
    let mut rest = text;
    while let Some(at) = rest.find('%') {
        value.push_str(&rest[..at]);
        let after = &rest[at + 1..];
        let variable = after.strip_prefix('{').and_then(|rest| rest.split_once('}'));
        match (after.strip_prefix('%'), variable) {
            (Some(more), _) => {
                value.push('%');
                rest = more;
            }
            (None, Some((name, more))) if more.starts_with('e') && !name.is_empty() => {
                value.push_str(&format!("%{{{name}}}e"));
                rest = &more[1..];
            }
            _ => {
                return Err(Mistake::new(format!(
                    "has something in its value that Carme does not know: {text:?}"
                ))
                .cure("there is %{NAME}e, and %% for a percent sign"));
            }
        }
    }
    value.push_str(rest);
    Ok(value)
}
