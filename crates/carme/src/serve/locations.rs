//! From configured locations to the front's.

use std::sync::Arc;

use carme_config::{Answer, Config};
use carme_front::{Compress, FileOptions, Files, Fixed, Location, Policy, Redirect, StickySession};
use http::{HeaderValue, StatusCode};

use super::balancers::{self, Balanced};
use super::develop::Served;
use super::rules;

/// The front's location; `None` if its app or its balancer is not there.
pub(super) fn location(
    config: &Config,
    configured: &carme_config::Location,
    apps: &[Served],
    balancers: &[Arc<Balanced>],
) -> Option<Location<Served>> {
    let path = configured.path.script_name();
    let mut policy = policy(&configured.policy);
    let location = match &configured.answer {
        Answer::App(index) => {
            let app = config.apps.get(*index)?;
            policy.sendfile.clone_from(&app.sendfile);
            policy.sticky = app.sticky.as_ref().map(sticky);
            Location::new(path, apps.get(*index)?.clone())
        }
        Answer::Balancer(proxying) => {
            let host = configured.host.as_ref().map(carme_config::HostPattern::as_str);
            Location::balanced(path, balancers::proxied(proxying, host, balancers, config)?)
        }
        Answer::Files(files) => Location::files(path, Files::new(files.folder.clone(), options(files))),
        Answer::Redirect { status, target } => Location::redirect(
            path,
            Redirect {
                status: code(*status),
                target: target.clone(),
            },
        ),
        Answer::Respond {
            status,
            body,
            content_type,
        } => Location::fixed(
            path,
            Fixed {
                status: code(*status),
                content_type: value(content_type),
                body: body.clone().into(),
            },
        ),
    };
    let location = location.with_policy(policy);
    Some(match &configured.host {
        Some(host) => location.at_host(host.as_str()),
        None => location,
    })
}

fn options(files: &carme_config::Files) -> FileOptions {
    FileOptions {
        index: files.index.clone(),
        fallback: files.fallback.clone(),
        follow_links: files.follow_links,
        hidden: files.hidden,
        precompressed: files.precompressed,
        cache: files.cache.as_deref().map(value),
        immutable: files.immutable.clone(),
        media_types: files
            .media_types
            .iter()
            .map(|(ending, kind)| (ending.clone(), value(kind)))
            .collect(),
    }
}

/// What is done on the way.
pub(super) fn policy(policy: &carme_config::Policy) -> Policy {
    let compress = |compress: &carme_config::Compress| Compress {
        min_size: compress.min_size.as_u64(),
        types: compress.types.clone(),
        even_private: compress.even_private,
    };
    Policy {
        compress: policy.compress.as_ref().map(compress),
        variables: policy.variables.iter().filter_map(rules::variable).collect(),
        request_headers: policy.request_headers.iter().map(rules::header).collect(),
        response_headers: policy.response_headers.iter().map(rules::header).collect(),
        sendfile: Vec::new(),
        sticky: None,
    }
}

fn sticky(sticky: &carme_config::Sticky) -> StickySession {
    StickySession {
        cookie: sticky.cookie.clone(),
        parameter: sticky.parameter.clone(),
        separator: sticky.separator,
        semicolon_delimits: sticky.semicolon,
    }
}

// The configuration was checked: none of these fails.

fn code(status: u16) -> StatusCode {
    StatusCode::from_u16(status).unwrap_or(StatusCode::OK)
}

fn value(text: &str) -> HeaderValue {
    HeaderValue::from_bytes(text.as_bytes()).unwrap_or(HeaderValue::from_static(""))
}
