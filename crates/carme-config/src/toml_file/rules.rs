//! `request_headers` and `response_headers`: lists of changes.

use toml::de::DeValue;

use super::location::flag;
use super::schema::Keys;
use super::section::{Section, describe};
use crate::draft::At;
use crate::location::{EnvTest, HeaderChange, HeaderRule};
use crate::problem::{Mistake, Problems};

const CHANGES: [&str; 3] = ["set", "add", "remove"];

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
    let name = section.text(kind, problems, name);
    let value = section.text("value", problems, value);
    let statuses = statuses(section, problems);
    let env = match section.has("env") {
        true => section
            .text("env", problems, EnvTest::parse)
            .map(|at| Some(at.value)),
        false => Some(None),
    };
    let if_absent = flag(section, "if_absent", problems).unwrap_or_default();
    if kind == "remove" {
        for key in ["value", "if_absent"] {
            section.read(key, problems, |_| {
                Err::<(), _>(Mistake::new("has no meaning beside `remove`").cure("leave it out"))
            });
        }
        return Some(HeaderRule {
            change: HeaderChange::Remove(name?.value),
            statuses: statuses?,
            if_absent: false,
            env: env?,
        });
    }
    if !section.has("value") {
        problems.push(item.problem(
            Mistake::new("has no `value`").cure(format!("write {{ {kind} = \"Name\", value = \"text\" }}")),
        ));
    }
    let (name, value) = (name?.value, value?.value);
    Some(HeaderRule {
        change: match kind {
            "set" => HeaderChange::Set(name, value),
            _ => HeaderChange::Add(name, value),
        },
        statuses: statuses?,
        if_absent,
        env: env?,
    })
}

/// The name of a header field that may be changed.
pub(crate) fn name(text: &str) -> Result<String, Mistake> {
    let is_token = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    if text.is_empty() || !text.bytes().all(is_token) {
        return Err(Mistake::new(format!(
            "must be the name of a header field, found {text:?}"
        )));
    }
    let lower = text.to_ascii_lowercase();
    match FRAMING.contains(&lower.as_str()) {
        true => Err(Mistake::new(format!(
            "must not be {text}, which says where a message ends and is Carme's to write"
        ))),
        false => Ok(lower),
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

/// `404` or `"4xx"`.
fn status(value: &DeValue<'_>) -> Result<(u16, u16), Mistake> {
    let text = match value {
        DeValue::Integer(number) => number.as_str().to_owned(),
        DeValue::String(text) => text.to_string(),
        _ => String::new(),
    };
    let range = match text.strip_suffix("xx") {
        Some(digit) => digit
            .parse()
            .ok()
            .filter(|class| *class < 10)
            .map(|class: u16| (class * 100, class * 100 + 99)),
        None => text.parse().ok().map(|status| (status, status)),
    };
    if let Some(range @ (200..=599, ..=599)) = range {
        return Ok(range);
    }
    Err(Mistake::new(format!(
        "must be a status such as 404 or a class such as \"4xx\", found {}",
        describe(value)
    )))
}
