//! `SetEnvIf` and its kin, `SetEnv`, `PassEnv` and `UnsetEnv`: variables of requests.
//!
//! Those that nothing looks at are forgotten in the end; see [`super::seen_variables`].

use super::headers::policy;
use super::lexer::Word;
use super::proxy;
use super::reading::{Answers, Context, Host, Outcome, Reading, Rule};
use super::requests::literal;
use super::source::Node;
use super::switches::{NO_PROXY, NO_PROXY_LATE};
use crate::draft::PolicyDraft;
use crate::env_file;
use crate::pattern::Pattern;
use crate::problem::{Mistake, Problem};
use crate::template::Template;
use crate::toml_file::{rules, variables};
use crate::variable::{
    RequestAttribute, Subject, VariableChange, VariableRule, VariableTest, is_fixed, settable,
};

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
        if same(word.text.split('=').next().unwrap_or_default(), NO_PROXY) {
            match context.location {
                None => host.rules.push(no_proxy(node, word, &test.subject, expression)?),
                Some(_) => reading.warn(word, &node.name.text, NO_PROXY_LATE),
            }
        }
        rules.extend(change(reading, node, word, (&test, is_plain))?);
    }
    // All changes go with one test in Apache: what it looks at is changed last.
    rules.sort_by_key(|rule| matches!(&test.subject, Subject::Variable(name) if same(name, &rule.name)));
    policy(host, context).variables.extend(rules);
    Ok(())
}

/// `no-proxy` for some requests: a path that is not passed on, if it is that.
fn no_proxy(node: &Node, word: &Word, subject: &Subject, expression: &Word) -> Result<Rule, Problem> {
    let path = match subject {
        Subject::Attribute(RequestAttribute::RequestUri) => proxy::excluded(&expression.text),
        _ => None,
    };
    let path = path.ok_or_else(|| {
        let what = "keeps requests from ProxyPass that are not just those below a path";
        let cure = "known is SetEnvIf Request_URI ^/path/ no-proxy; the same is ProxyPass /path/ !";
        node.wrong_arg(word, Mistake::new(what).cure(cure))
    })?;
    let path = proxy::path(&path).map_err(|mistake| node.wrong_arg(expression, mistake))?;
    Ok(Rule {
        path: word.at(&node.name.text, path),
        what: Answers::NeverProxy,
    })
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
    reading.variables.push(word.at(&node.name.text, name.clone()));
    let mut rule = VariableRule {
        name,
        change: VariableChange::Remove,
        when: Some(test.clone()),
        below: None,
    };
    if let Some(value) = value {
        let parsed = match is_plain {
            true => Ok(Template::from(value)),
            false => Template::parse(value, rule.syntax()),
        };
        rule.change = VariableChange::Set(parsed.map_err(|mistake| node.wrong_arg(word, mistake))?);
    }
    Ok(Some(rule))
}

fn changeable(
    reading: &mut Reading,
    node: &Node,
    word: &Word,
    name: &str,
) -> Result<Option<String>, Problem> {
    if is_fixed(name) {
        let why = format!("changes {name}, which Carme itself sets");
        reading.warn(word, &node.name.text, why);
        return Ok(None);
    }
    settable(name)
        .map(Some)
        .map_err(|mistake| node.wrong_arg(word, mistake))
}

/// `SetEnv NAME [VALUE]`
pub(super) fn set(reading: &mut Reading, node: &Node, host: &mut Host, context: &Context) -> Outcome {
    let name = node.arg(0)?;
    let value = node.args.get(1).map_or("", |word| word.text.as_str());
    env_file::check_value(value).map_err(|mistake| node.wrong_arg(name, mistake))?;
    let change = VariableChange::Set(Template::from(value));
    for_every_request(reading, node, name, policy(host, context), change)
}

/// `PassEnv NAME…`
pub(super) fn pass(reading: &mut Reading, node: &Node, host: &mut Host, context: &Context) -> Outcome {
    node.arg(0)?;
    for word in &node.args {
        let change = VariableChange::passed(&word.text);
        if change == VariableChange::Pass(None) {
            let why = format!("passes {}, which the server's environment has not", word.text);
            reading.warn(word, &node.name.text, why);
        }
        for_every_request(reading, node, word, policy(host, context), change)?;
    }
    Ok(())
}

fn for_every_request(
    reading: &mut Reading,
    node: &Node,
    word: &Word,
    policy: &mut PolicyDraft,
    change: VariableChange,
) -> Outcome {
    if let Some(name) = changeable(reading, node, word, &word.text)? {
        reading
            .late_variables
            .push(word.at(&node.name.text, name.clone()));
        policy.variables.push(VariableRule {
            name,
            change,
            when: None,
            below: None,
        });
    }
    Ok(())
}

/// `UnsetEnv NAME…`: what `SetEnv` and `PassEnv` give is taken away, and nothing else.
pub(super) fn unset(reading: &mut Reading, node: &Node, host: &mut Host, context: &Context) -> Outcome {
    node.arg(0)?;
    for word in &node.args {
        let gives = |rule: &VariableRule| rule.when.is_none() && same(&rule.name, &word.text);
        policy(host, context).variables.retain(|rule| !gives(rule));
        // It may come from outside.
        if context.location.is_some() || host.place.is_some() {
            for_every_request(reading, node, word, policy(host, context), VariableChange::Remove)?;
        }
    }
    Ok(())
}

pub(super) fn same(a: &str, b: &str) -> bool {
    a.eq_ignore_ascii_case(b)
}
