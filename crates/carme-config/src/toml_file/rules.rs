//! `request_headers` and `response_headers`: lists of changes.

use toml::de::DeValue;

use super::location::flag;
use super::schema::Keys;
use super::section::{Section, describe};
use crate::draft::At;
use crate::header_rule::{Edit, EnvTest, HeaderChange, HeaderRule};
use crate::pattern::Pattern;
use crate::problem::{Mistake, Problems};
use crate::template::{Syntax, Template};

const CHANGES: [&str; 6] = ["set", "add", "append", "merge", "edit", "remove"];

/// What frames a message is the server's business: a wrong one would let requests be smuggled.
const FRAMING: [&str; 8] = [
    "connection",
    "content-length",
    "keep-alive",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];

pub(super) fn rules(
    section: &Section<'_>,
    keys: &Keys,
    key: &str,
    problems: &mut Problems,
) -> Vec<HeaderRule> {
    let items = section.sections(key, keys, problems).unwrap_or_default();
    items.iter().filter_map(|item| rule(item, problems)).collect()
}

fn rule(item: &At<Section<'_>>, problems: &mut Problems) -> Option<HeaderRule> {
    let section = &item.value;
    let named: Vec<&str> = CHANGES.into_iter().filter(|key| section.has(key)).collect();
    let kind = match named[..] {
        [one] => one,
        [] => {
            let mistake = Mistake::new("says not what to do")
                .cure("write { set = \"Name\", value = \"text\" }, or add, or { remove = \"Name\" }");
            problems.push(item.problem(mistake));
            return None;
        }
        [first, second, ..] => {
            let mistake = Mistake::new(format!("has `{first}` and `{second}`, which exclude each other"))
                .cure("write two rules");
            problems.push(item.problem(mistake));
            return None;
        }
    };
    let name = section.text(kind, problems, |text| match kind {
        "append" | "merge" => list_name(text),
        _ => name(text),
    });
    let statuses = statuses(section, problems);
    let env = match section.has("env") {
        true => section
            .text("env", problems, EnvTest::parse)
            .map(|at| Some(at.value)),
        false => Some(None),
    };
    let if_absent = flag(section, "if_absent", problems).unwrap_or_default();
    for (keys, kinds) in [
        (&["value"][..], &CHANGES[..5]),
        (&["if_absent"], &["set", "add"]),
        (&["matches", "every"], &["edit"]),
    ] {
        for key in keys.iter().filter(|_| !kinds.contains(&kind)) {
            section.read(key, problems, |_| {
                let mistake = Mistake::new(format!("has no meaning beside `{kind}`"));
                Err::<(), _>(mistake.cure("leave it out"))
            });
        }
    }
    let change = match kind {
        "remove" => HeaderChange::Remove(name?.value),
        "edit" => edit(item, name, problems)?,
        _ => {
            let value = section.text("value", problems, |text| template(text, Syntax::HEADER));
            has_value(item, kind, "value = \"text\"", problems);
            let (name, value) = (name?.value, value?.value);
            match kind {
                "set" => HeaderChange::Set(name, value),
                "add" => HeaderChange::Add(name, value),
                "append" => HeaderChange::Append(name, value),
                _ => HeaderChange::Merge(name, value),
            }
        }
    };
    Some(HeaderRule {
        change,
        statuses: statuses?,
        if_absent,
        env: env?,
    })
}

fn edit(item: &At<Section<'_>>, name: Option<At<String>>, problems: &mut Problems) -> Option<HeaderChange> {
    let section = &item.value;
    let pattern = section.text("matches", problems, Pattern::parse);
    if !section.has("matches") {
        let mistake = Mistake::new("does not say where").cure("write matches = \"^(.*)$\"");
        problems.push(item.problem(mistake));
    }
    let every = flag(section, "every", problems).unwrap_or_default();
    has_value(
        item,
        "edit",
        "matches = \"^(.*)$\", value = \"$1; Secure\"",
        problems,
    );
    let pattern = pattern?.value;
    let value = section.text("value", problems, |text| template(text, Edit::syntax(&pattern)));
    let edit = Edit {
        value: value?.value,
        pattern,
        every,
    };
    Some(HeaderChange::Edit(name?.value, edit))
}

fn has_value(item: &At<Section<'_>>, kind: &str, rest: &str, problems: &mut Problems) {
    if !item.value.has("value") {
        let cure = format!("write {{ {kind} = \"Name\", {rest} }}");
        problems.push(item.problem(Mistake::new("has no `value`").cure(cure)));
    }
}

/// The name of a field whose values can be joined.
pub(crate) fn list_name(text: &str) -> Result<String, Mistake> {
    match name(text)? {
        name if name == "set-cookie" => {
            let mistake = Mistake::new("must not be Set-Cookie, of which each cookie has a field of its own");
            Err(mistake.cure("write `add`"))
        }
        name => Ok(name),
    }
}

/// The value of a header field, perhaps with variables in it.
fn template(text: &str, syntax: Syntax) -> Result<Template, Mistake> {
    Template::parse(&value(text)?, syntax)
}

/// The name of a header field that may be changed.
pub(crate) fn name(text: &str) -> Result<String, Mistake> {
    let lower = field(text)?;
    match FRAMING.contains(&lower.as_str()) {
        true => Err(Mistake::new(format!(
            "must not be {text}, which says where a message ends and is Carme's to write"
        ))),
        false => Ok(lower),
    }
}

/// The name of any header field, in lower case.
pub(crate) fn field(text: &str) -> Result<String, Mistake> {
    let is_token = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    match !text.is_empty() && text.bytes().all(is_token) {
        true => Ok(text.to_ascii_lowercase()),
        false => Err(Mistake::new(format!(
            "must be the name of a header field, found {text:?}"
        ))),
    }
}

/// The value of a header field.
pub(crate) fn value(text: &str) -> Result<String, Mistake> {
    match text.chars().find(|c| c.is_control() && *c != '\t') {
        Some(odd) => Err(Mistake::new(format!(
            "must be one line of text, without {odd:?}, found {text:?}"
        ))),
        None => Ok(text.trim().to_owned()),
    }
}

/// `None` if they are wrong.
pub(super) fn statuses(section: &Section<'_>, problems: &mut Problems) -> Option<Vec<(u16, u16)>> {
    if !section.has("status") {
        return Some(Vec::new());
    }
    let read = section.read("status", problems, |value| match value {
        DeValue::Array(items) => items.iter().map(|item| status(item.get_ref())).collect(),
        one => status(one).map(|range| vec![range]),
    });
    read.map(|at| at.value)
}

/// `404`, `"4xx"` or `"500-599"`.
fn status(value: &DeValue<'_>) -> Result<(u16, u16), Mistake> {
    let text = match value {
        DeValue::Integer(number) => number.as_str().to_owned(),
        DeValue::String(text) => text.to_string(),
        _ => String::new(),
    };
    status_text(&text).map_err(|_| Mistake::new(format!("{A_STATUS}, found {}", describe(value))))
}

const A_STATUS: &str = "must be a status such as 404, a class such as \"4xx\" or \"400-599\"";

/// `404`, `4xx` or `400-599`.
pub(crate) fn status_text(text: &str) -> Result<(u16, u16), Mistake> {
    let range = match (text.strip_suffix("xx"), text.split_once('-')) {
        (Some(digit), _) => digit
            .parse()
            .ok()
            .filter(|class| *class < 10)
            .map(|class: u16| (class * 100, class * 100 + 99)),
        (None, Some((first, last))) => first.parse().ok().zip(last.parse().ok()),
        (None, None) => text.parse().ok().map(|status| (status, status)),
    };
    match range {
        Some(range @ (200..=599, ..=599)) if range.0 <= range.1 => Ok(range),
        _ => Err(Mistake::new(format!("{A_STATUS}, found {text:?}"))),
    }
}
