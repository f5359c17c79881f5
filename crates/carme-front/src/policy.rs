//! What holds at a location besides who answers.

use std::path::PathBuf;
use std::sync::Arc;

use carme_balancer::StickySession;

use crate::compress::Compress;
use crate::header_rules::HeaderRule;
use crate::variable_rules::VariableRule;

/// What is done to requests and responses on their way. By default nothing is, and nothing is looked at.
#[derive(Debug, Clone, Default)]
pub struct Policy {
    /// Compression of suitable responses.
    pub compress: Option<Compress>,
    /// In their order, before anything else is done here; those of the [`SiteOptions`](crate::SiteOptions) come before
    /// those of a location.
    pub variables: Vec<VariableRule>,
    /// In their order, before the request is answered.
    pub request_headers: Vec<HeaderRule>,
    /// In their order, on every response, the front's own error pages included.
    pub response_headers: Vec<HeaderRule>,
    /// Folders from which the application may have files sent by `X-Sendfile` and `X-Accel-Redirect`.
    pub sendfile: Vec<PathBuf>,
    /// Clients stay at the worker of the application that answered them first.
    pub sticky: Option<StickySession>,
}

impl Policy {
    /// `None` if it changes nothing.
    pub(crate) fn into_shared(self) -> Option<Arc<Self>> {
        let Policy {
            compress,
            variables,
            request_headers,
            response_headers,
            sendfile,
            sticky,
        } = &self;
        let is_empty = compress.is_none()
            && variables.is_empty()
            && request_headers.is_empty()
            && response_headers.is_empty()
            && sendfile.is_empty()
            && sticky.is_none();
        (!is_empty).then(|| Arc::new(self))
    }

    /// Whether anything here depends on what is known of a request.
    pub(crate) fn reads_variables(&self) -> bool {
        let rules = self.request_headers.iter().chain(&self.response_headers);
        !self.variables.is_empty() || rules.into_iter().any(HeaderRule::reads_variables)
    }
}
