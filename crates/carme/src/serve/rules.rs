//! From configured rules to the front's: variables of requests, and header fields.

use std::sync::Arc;

use bytes::Bytes;
use carme_config::{RequestAttribute, VariableChange};
use carme_front::{
    Edit, HeaderChange, HeaderRule, HeaderText, Piece, StatusRange, Subject, Template, VariableRule,
    VariableTest,
};
use carme_log::{Condition, Variable};
use http::{HeaderName, HeaderValue};

/// `None` if the server's environment has not what it would pass on.
pub(super) fn variable(rule: &carme_config::VariableRule) -> Option<VariableRule> {
    let value = match &rule.change {
        VariableChange::Set(value) => Some(template(value, Bytes::from)),
        VariableChange::Pass(value) => Some(Template::Fixed(Bytes::from(value.clone()?))),
        VariableChange::Remove => None,
    };
    Some(VariableRule {
        name: Arc::from(rule.name.as_str()),
        value,
        when: rule.when.as_ref().map(|test| VariableTest {
            subject: subject(&test.subject),
            pattern: test.pattern.regex().clone(),
        }),
        below: rule.below.as_ref().map(|path| path.script_name().into()),
    })
}

fn subject(subject: &carme_config::Subject) -> Subject {
    match subject {
        carme_config::Subject::Header(field) => Subject::Header(name(field)),
        carme_config::Subject::Attribute(attribute) => match attribute {
            RequestAttribute::RemoteAddr => Subject::RemoteAddr,
            RequestAttribute::ServerAddr => Subject::ServerAddr,
            RequestAttribute::RequestMethod => Subject::RequestMethod,
            RequestAttribute::RequestProtocol => Subject::RequestProtocol,
            RequestAttribute::RequestUri => Subject::RequestUri,
        },
        carme_config::Subject::Variable(name) => Subject::Variable(Variable::named(name)),
    }
}

pub(super) fn header(rule: &carme_config::HeaderRule) -> HeaderRule {
    HeaderRule {
        change: match &rule.change {
            carme_config::HeaderChange::Set(field, value) => HeaderChange::Set(name(field), text(value)),
            carme_config::HeaderChange::Add(field, value) => HeaderChange::Add(name(field), text(value)),
            carme_config::HeaderChange::Append(field, value) => {
                HeaderChange::Append(name(field), text(value))
            }
            carme_config::HeaderChange::Merge(field, value) => HeaderChange::Merge(name(field), text(value)),
            carme_config::HeaderChange::Edit(field, edit) => HeaderChange::Edit(
                name(field),
                Edit {
                    pattern: edit.pattern.regex().clone(),
                    text: text(&edit.value),
                    every: edit.every,
                },
            ),
            carme_config::HeaderChange::Remove(field) => HeaderChange::Remove(name(field)),
        },
        statuses: rule
            .statuses
            .iter()
            .map(|&(first, last)| StatusRange { first, last })
            .collect(),
        if_absent: rule.if_absent,
        when: rule.env.as_ref().map(|test| {
            let is_set = Condition::variable(&test.name);
            match test.is_set {
                true => is_set,
                false => is_set.not(),
            }
        }),
    }
}

fn text(template: &carme_config::Template) -> HeaderText {
    self::template(template, |text| {
        // The configuration was checked: this does not fail, and nor does a name.
        HeaderValue::try_from(text).unwrap_or(HeaderValue::from_static(""))
    })
}

fn template<T>(template: &carme_config::Template, fixed: impl FnOnce(String) -> T) -> Template<T> {
    match template.pieces() {
        [] => Template::Fixed(fixed(String::new())),
        [carme_config::Piece::Text(text)] => Template::Fixed(fixed(text.clone())),
        pieces => Template::Composed(pieces.iter().map(piece).collect()),
    }
}

fn piece(piece: &carme_config::Piece) -> Piece {
    match piece {
        carme_config::Piece::Text(text) => Piece::Text(Bytes::from(text.clone())),
        carme_config::Piece::Variable(name) => Piece::Variable(Variable::named(name)),
        carme_config::Piece::Group(number) => Piece::Group(*number),
    }
}

fn name(text: &str) -> HeaderName {
    text.parse().unwrap_or(HeaderName::from_static("x-invalid"))
}
