//! `SetEnvIf` and its kin, `SetEnv` and `UnsetEnv`: variables of requests.
//!
//! Only those that something looks at are kept: a log, a header rule, another `SetEnvIf`.

use super::headers::policy;
use super::lexer::Word;
use super::reading::{Context, Host, Outcome, Reading};
use super::requests::literal;
use super::source::Node;
use crate::config::AccessLog;
use crate::draft::PolicyDraft;
use crate::env_file;
use crate::pattern::Pattern;
use crate::problem::{Mistake, Problem};
use crate::template::Template;
use crate::toml_file::{rules, variables};
use crate::variable::{RequestAttribute, Subject, VariableRule, VariableTest, settable};

/// `SetEnvIf ATTRIBUTE EXPRESSION [!]NAME[=VALUE]…`
pub(super) fn set_if(reading: &mut Reading, node: &Node, host: &mut Host, context: &Context) -> Outcome {
    let subject = subject(reading, node, node.arg(0)?)?;
    tested(reading, node, host, context, (subject, 1))
}

/// `BrowserMatch EXPRESSION [!]NAME[=VALUE]…`
pub(super) fn browser_match(
    reading: &mut Reading,
    node: &Node,
    host: &mut Host,
    context: &Context,
) -> Outcome {
    let subject = Subject::Header("user-agent".to_owned());
    tested(reading, node, host, context, (subject, 0))
}

/// The expression, at an index, and the changes behind it.
fn tested(
    reading: &mut Reading,
    node: &Node,
    host: &mut Host,
    context: &Context,
    (subject, at): (Subject, usize),
) -> Outcome {
    let expression = node.arg(at)?;
    node.arg(at + 1)?;
    let ignores_case = node.name.text.to_ascii_lowercase().ends_with("nocase");
    let text = match ignores_case {
        true => format!("(?i){}", expression.text),
        false => expression.text.clone(),
    };
    let pattern = Pattern::parse(&text).map_err(|mistake| node.wrong_arg(expression, mistake))?;
    // With one that is plain text Apache fills nothing in.
    let is_plain = !ignores_case && literal(&expression.text).is_some();
    let test = VariableTest { subject, pattern };
    let mut rules = Vec::new();
    for word in &node.args[at + 1..] {
        rules.extend(change(reading, node, word, (&test, is_plain))?);
    }
    // All changes go with one test in Apache: what it looks at is changed last.
    rules.sort_by_key(|rule| matches!(&test.subject, Subject::Variable(name) if same(name, &rule.name)));
    policy(host, context).variables.extend(rules);
    Ok(())
}

/// What `SetEnvIf` looks at.
fn subject(reading: &mut Reading, node: &Node, word: &Word) -> Result<Subject, Problem> {
    if let Some(attribute) = RequestAttribute::named(&word.text) {
        return Ok(Subject::Attribute(attribute));
    }
    if word.is("Remote_Host") {
        let why = "is the address of the client: Carme looks no names up";
        reading.warn(word, &word.text, why);
        return Ok(Subject::Attribute(RequestAttribute::RemoteAddr));
    }
    // In Apache a header field of that name comes first, which would be the client's word.
    if reading
        .variables
        .iter()
        .any(|known| same(&known.value, &word.text))
    {
        return Ok(Subject::Variable(word.text.clone()));
    }
    let is_name = |byte: u8| byte.is_ascii_alphanumeric() || b"-_".contains(&byte);
    if !word.text.bytes().all(is_name) {
        let what = format!("looks at fields whose names fit an expression: {:?}", word.text);
        let cure = "name one field, or write one SetEnvIf for each";
        return Err(node.wrong_arg(word, Mistake::new(what).cure(cure)));
    }
    rules::field(&word.text)
        .map(Subject::Header)
        .map_err(|mistake| node.wrong_arg(word, mistake))
}

/// `NAME`, `NAME=VALUE` or `!NAME`; `None` if nobody can change that.
fn change(
    reading: &mut Reading,
    node: &Node,
    word: &Word,
    (test, is_plain): (&VariableTest, bool),
) -> Result<Option<VariableRule>, Problem> {
    let (name, value) = match (word.text.strip_prefix('!'), word.text.split_once('=')) {
        (Some(name), _) => (name, None),
        (None, Some((name, value))) => (name, Some(value)),
        (None, None) => (word.text.as_str(), Some(variables::USUAL)),
    };
    let Some(name) = changeable(reading, node, word, name)? else {
        return Ok(None);
    };
    let mut rule = VariableRule {
        name,
        value: None,
        when: Some(test.clone()),
    };
    if let Some(value) = value {
        let parsed = match is_plain {
            true => Ok(Template::from(value)),
            false => Template::parse(value, rule.syntax()),
        };
        rule.value = Some(parsed.map_err(|mistake| node.wrong_arg(word, mistake))?);
    }
    Ok(Some(rule))
}

fn changeable(
    reading: &mut Reading,
    node: &Node,
    word: &Word,
    name: &str,
) -> Result<Option<String>, Problem> {
    if carme_log::Variable::is_own(name) {
        reading.warn(
            word,
            &node.name.text,
            format!("changes {name}, which Carme itself sets"),
        );
        return Ok(None);
    }
    let name = settable(name).map_err(|mistake| node.wrong_arg(word, mistake))?;
    reading.variables.push(word.at(&node.name.text, name.clone()));
    Ok(Some(name))
}

/// `SetEnv NAME [VALUE]`
pub(super) fn set(reading: &mut Reading, node: &Node, host: &mut Host, context: &Context) -> Outcome {
    let name = node.arg(0)?;
    let value = node.args.get(1).map_or("", |word| word.text.as_str());
    if name.text.starts_with("proxy-")
        || matches!(
            name.text.as_str(),
            "no-proxy" | "force-proxy-request-1.0" | "nokeepalive"
        )
    {
        reading.warn(
            name,
            &node.name.text,
            format!("sets {}, which Apache's modules look at", name.text),
        );
        return Ok(());
    }
    let check = env_file::check_key(&name.text).and_then(|()| env_file::check_value(value));
    check.map_err(|mistake| node.wrong_arg(name, mistake))?;
    let why = "is in os.environ of the workers, and not in environ of each request";
    reading.warn(&node.name, &node.name.text, why);
    host.env.push((name.text.clone(), value.to_owned()));
    if let Ok(name) = settable(&name.text) {
        policy(host, context).variables.push(VariableRule {
            name,
            value: Some(Template::from(value)),
            when: None,
        });
    }
    Ok(())
}

/// `UnsetEnv NAME…`: what `SetEnv` gives is taken away, and nothing else.
pub(super) fn unset(reading: &mut Reading, node: &Node, host: &mut Host, context: &Context) -> Outcome {
    node.arg(0)?;
    for word in &node.args {
        host.env.retain(|(known, _)| *known != word.text);
        let gives = |rule: &VariableRule| rule.when.is_none() && same(&rule.name, &word.text);
        policy(host, context).variables.retain(|rule| !gives(rule));
        // It may come from outside.
        if context.location.is_some() || host.place.is_some() {
            let name = changeable(reading, node, word, &word.text)?;
            policy(host, context)
                .variables
                .extend(name.map(|name| VariableRule {
                    name,
                    value: None,
                    when: None,
                }));
        }
    }
    Ok(())
}

fn same(a: &str, b: &str) -> bool {
    a.eq_ignore_ascii_case(b)
}

impl Reading {
    /// Forgets the variables that nobody looks at, and says so. The others are in the order in which Apache sets them.
    pub(super) fn order_variables(&mut self, logs: &[AccessLog]) {
        let read = self.read_variables(logs);
        let is_read = |name: &str| read.iter().any(|known| same(known, name));
        for at in std::mem::take(&mut self.variables) {
            if !is_read(&at.value) {
                let what = format!(
                    "changes {}, and nothing here looks at it: no log, no header rule",
                    at.value
                );
                self.warnings.push(at.problem(Mistake::new(what)));
            }
        }
        for policy in self.policies_mut() {
            policy.variables.retain(|rule| is_read(&rule.name));
            // SetEnv comes when all SetEnvIf are done.
            policy.variables.sort_by_key(|rule| rule.when.is_none());
        }
    }

    /// The names that something looks at.
    fn read_variables(&self, logs: &[AccessLog]) -> Vec<String> {
        let formats: Vec<_> = logs
            .iter()
            .filter_map(|log| carme_log::Format::parse(&log.format).ok())
            .collect();
        let in_logs = |name: &str| {
            let mut conditions = logs.iter().filter_map(|log| log.when.as_ref());
            conditions.any(|when| when.reads_variable(name))
                || formats.iter().any(|format| format.reads_variable(name))
        };
        let in_headers = |name: &str| {
            let rules = |policy: &'_ PolicyDraft| {
                let mut rules = policy.request_headers.iter().chain(&policy.response_headers);
                rules.any(|rule| rule.reads_variable(name))
            };
            self.policies().any(rules)
        };
        let rules = || self.policies().flat_map(|policy| &policy.variables);
        let mut read: Vec<String> = Vec::new();
        loop {
            let looked_at = |name: &str| {
                rules().any(|rule| match &rule.when {
                    Some(VariableTest {
                        subject: Subject::Variable(subject),
                        ..
                    }) => same(subject, name) && read.iter().any(|known| same(known, &rule.name)),
                    _ => false,
                })
            };
            let is_new = |name: &&String| !read.iter().any(|known| same(known, name));
            let found = rules()
                .map(|rule| &rule.name)
                .filter(is_new)
                .find(|name| in_logs(name) || in_headers(name) || looked_at(name));
            match found.cloned() {
                Some(name) => read.push(name),
                None => return read,
            }
        }
    }

    fn policies(&self) -> impl Iterator<Item = &PolicyDraft> {
        std::iter::once(&self.main).chain(&self.hosts).flat_map(|host| {
            let sections = host.sections.iter().map(|(_, policy)| policy);
            std::iter::once(&host.policy).chain(sections)
        })
    }

    fn policies_mut(&mut self) -> impl Iterator<Item = &mut PolicyDraft> {
        std::iter::once(&mut self.main)
            .chain(&mut self.hosts)
            .flat_map(|host| {
                let sections = host.sections.iter_mut().map(|(_, policy)| policy);
                std::iter::once(&mut host.policy).chain(sections)
            })
    }
}
