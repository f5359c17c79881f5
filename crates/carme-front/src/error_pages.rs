//! The user's own pages for what the front answers by itself.

use std::ops::RangeInclusive;

use bytes::Bytes;
use http::{HeaderValue, StatusCode};

use crate::request_id::RequestId;

/// What a page is written in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Markup {
    /// Values are escaped.
    Html,
    /// Values stand as they are.
    Plain,
}

/// One page, as the user wrote it: `{status}`, `{reason}` and `{request_id}` stand for their values, everything else
/// for itself.
#[derive(Debug, Clone)]
pub struct ErrorPage {
    /// The statuses that it is for.
    pub statuses: RangeInclusive<u16>,
    /// What it is written in.
    pub markup: Markup,
    /// Its text.
    pub text: String,
}

/// Pages by status; the one for the fewest statuses counts.
#[derive(Debug, Clone, Default)]
pub struct ErrorPages(Vec<Template>);

#[derive(Debug, Clone)]
struct Template {
    statuses: RangeInclusive<u16>,
    markup: Markup,
    parts: Vec<Part>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Part {
    Text(Box<str>),
    Status,
    Reason,
    RequestId,
}

impl ErrorPages {
    /// These pages.
    pub fn new(pages: impl IntoIterator<Item = ErrorPage>) -> Self {
        let mut templates: Vec<_> = pages
            .into_iter()
            .map(|page| Template {
                statuses: page.statuses,
                markup: page.markup,
                parts: parse(&page.text),
            })
            .collect();
        templates.sort_by_key(|template| template.statuses.end() - template.statuses.start());
        ErrorPages(templates)
    }

    /// The content type and the page for a status, if there is one.
    pub(crate) fn page(
        &self,
        status: StatusCode,
        reason: &str,
        id: &RequestId,
    ) -> Option<(HeaderValue, Bytes)> {
        let template = self
            .0
            .iter()
            .find(|template| template.statuses.contains(&status.as_u16()))?;
        let content_type = match template.markup {
            Markup::Html => "text/html; charset=utf-8",
            Markup::Plain => "text/plain; charset=utf-8",
        };
        let page = template.render(status, reason, id.as_str());
        Some((HeaderValue::from_static(content_type), Bytes::from(page)))
    }
}

impl Template {
    fn render(&self, status: StatusCode, reason: &str, id: &str) -> String {
        let mut page = String::new();
        for part in &self.parts {
            let value = match part {
                Part::Text(text) => {
                    page.push_str(text);
                    continue;
                }
                Part::Status => status.as_str(),
                Part::Reason => reason,
                Part::RequestId => id,
            };
            match self.markup {
                Markup::Html => escape(value, &mut page),
                Markup::Plain => page.push_str(value),
            }
        }
        page
    }
}

fn parse(text: &str) -> Vec<Part> {
    let mut parts = Vec::new();
    let mut plain = String::new();
    let mut rest = text;
    while let Some(at) = rest.find('{') {
        plain.push_str(&rest[..at]);
        rest = &rest[at..];
        let variable = [
            ("{status}", Part::Status),
            ("{reason}", Part::Reason),
            ("{request_id}", Part::RequestId),
        ]
        .into_iter()
        .find_map(|(name, part)| Some((rest.strip_prefix(name)?, part)));
        match variable {
            Some((after, part)) => {
                if !plain.is_empty() {
                    parts.push(Part::Text(std::mem::take(&mut plain).into()));
                }
                parts.push(part);
                rest = after;
            }
            None => {
                plain.push('{');
                rest = &rest[1..];
            }
        }
    }
    plain.push_str(rest);
    if !plain.is_empty() {
        parts.push(Part::Text(plain.into()));
    }
    parts
}

fn escape(value: &str, page: &mut String) {
    for character in value.chars() {
        match character {
            '&' => page.push_str("&amp;"),
            '<' => page.push_str("&lt;"),
            '>' => page.push_str("&gt;"),
            '"' => page.push_str("&quot;"),
            '\'' => page.push_str("&#39;"),
            other => page.push(other),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn page(statuses: RangeInclusive<u16>, markup: Markup, text: &str) -> ErrorPage {
        ErrorPage {
            statuses,
            markup,
            text: text.to_owned(),
        }
    }

    fn rendered(text: &str, markup: Markup, id: &str) -> String {
        let pages = ErrorPages::new([page(400..=599, markup, text)]);
        pages.0[0].render(StatusCode::NOT_FOUND, "Not Found", id)
    }

    #[test]
    fn variables_stand_for_their_values_and_braces_for_themselves() {
        for (text, expected) in [
            ("", ""),
            ("{status}", "404"),
            ("{status}{reason}{request_id}", "404Not Foundid"),
            ("<b>{status}</b> {reason}.", "<b>404</b> Not Found."),
            ("body { color: red } {", "body { color: red } {"),
            ("{{status}}", "{404}"),
            ("{Status} {statu{status}", "{Status} {statu404"),
            ("é{reason}é", "éNot Foundé"),
        ] {
            assert_eq!(rendered(text, Markup::Html, "id"), expected, "{text}");
        }
    }

    #[test]
    fn values_are_escaped_in_html_alone() {
        let id = "<a href='x'>\"&";
        assert_eq!(
            rendered("{request_id}", Markup::Html, id),
            "&lt;a href=&#39;x&#39;&gt;&quot;&amp;"
        );
        assert_eq!(rendered("{request_id}", Markup::Plain, id), id);
    }

    #[test]
    fn the_page_for_the_fewest_statuses_counts() {
        let pages = ErrorPages::new([
            page(500..=599, Markup::Plain, "class"),
            page(503..=503, Markup::Html, "one"),
        ]);
        let text = |code: u16| {
            let status = StatusCode::from_u16(code).unwrap();
            let (content_type, page) = pages.page(status, "", &RequestId::next())?;
            Some(format!(
                "{} {}",
                content_type.to_str().unwrap(),
                str::from_utf8(&page).unwrap()
            ))
        };
        assert_eq!(text(502).as_deref(), Some("text/plain; charset=utf-8 class"));
        assert_eq!(text(503).as_deref(), Some("text/html; charset=utf-8 one"));
        assert_eq!(text(404), None);
    }

    proptest::proptest! {
        #[test]
        fn a_text_without_variables_is_itself(text in "[^}]*") {
            proptest::prop_assert_eq!(rendered(&text, Markup::Html, "id"), text);
        }
    }
}
