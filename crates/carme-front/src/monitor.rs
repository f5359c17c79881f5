//! The pages for those who watch the server: alive, ready, metrics. The front answers them itself, so they come however
//! full the queue is and whatever the workers do.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use bytes::Bytes;
use http::header::{self, HeaderMap, HeaderValue};
use http::{Method, Response, StatusCode};

use crate::app::Exchange;
use crate::outgoing::{Content, Outgoing};
use crate::record::Record;
use crate::respond;

/// What the pages show, from those who know it.
pub trait Insight: Send + Sync + 'static {
    /// The server has begun to stop.
    fn is_draining(&self) -> bool;

    /// Each app, in the configuration's order.
    fn apps(&self) -> Vec<Readiness>;

    /// All metrics in Prometheus' text format. What would block is done elsewhere meanwhile.
    fn metrics(&self) -> Pin<Box<dyn Future<Output = String> + Send>>;
}

/// Whether an app can answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Readiness {
    /// The app's name: letters, digits, `_` and `-`.
    pub app: String,
    /// How many workers it should have.
    pub workers: usize,
    /// How many take requests.
    pub ready: usize,
    /// How many are being started.
    pub starting: usize,
    /// How many have failed and are started again after a pause.
    pub failed: usize,
}

impl Readiness {
    fn is_ready(&self) -> bool {
        self.ready > 0
    }

    /// What the error log says in more words, which are nobody's business here.
    fn sentence(&self) -> String {
        let Readiness {
            app, workers, ready, ..
        } = self;
        let mut sentence = format!("{app}: {ready} of {workers} workers ready");
        for (count, what) in [(self.starting, "starting"), (self.failed, "failed")] {
            if count > 0 {
                sentence.push_str(&format!(", {count} {what}"));
            }
        }
        sentence
    }

    fn json(&self) -> String {
        let Readiness {
            app,
            workers,
            ready,
            starting,
            failed,
        } = self;
        let is_ready = self.is_ready();
        format!(
            "\"{app}\":{{\"ready\":{is_ready},\"workers\":{workers},\"ready_workers\":{ready},\
             \"starting\":{starting},\"failed\":{failed}}}"
        )
    }
}

/// Which pages a site has, and under which paths.
pub struct Monitor {
    /// 200 while the server serves, 503 while it stops.
    pub alive: Option<String>,
    /// 200 if every app is ready, 503 if not; below it, the same for one app by its name.
    pub ready: Option<String>,
    /// The metrics.
    pub metrics: Option<String>,
    /// What they show.
    pub insight: Arc<dyn Insight>,
}

/// A page that was asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Page {
    Alive,
    Ready,
    ReadyApp(String),
    Metrics,
}

/// What is answered.
pub(crate) struct Shown {
    status: StatusCode,
    content_type: &'static str,
    text: String,
}

impl Monitor {
    /// The page at this decoded path, if there is one.
    pub(crate) fn find(&self, path: &[u8]) -> Option<Page> {
        let is = |page: &Option<String>| page.as_ref().is_some_and(|page| page.as_bytes() == path);
        if is(&self.alive) {
            return Some(Page::Alive);
        }
        if is(&self.ready) {
            return Some(Page::Ready);
        }
        if is(&self.metrics) {
            return Some(Page::Metrics);
        }
        let below = path
            .strip_prefix(self.ready.as_ref()?.as_bytes())?
            .strip_prefix(b"/")?;
        Some(Page::ReadyApp(str::from_utf8(below).ok()?.to_owned()))
    }

    pub(crate) async fn show(&self, page: Page, headers: &HeaderMap) -> Shown {
        let json = prefers_json(headers);
        match page {
            Page::Metrics => Shown {
                status: StatusCode::OK,
                content_type: carme_metrics::CONTENT_TYPE,
                text: self.insight.metrics().await,
            },
            Page::Alive => match self.insight.is_draining() {
                false => said(true, "ok", json, &[]),
                true => said(false, "stopping", json, &[]),
            },
            Page::Ready => self.readiness(json, &self.insight.apps()),
            Page::ReadyApp(name) => {
                let mut apps = self.insight.apps();
                apps.retain(|app| app.app == name);
                match apps.is_empty() {
                    true => Shown {
                        status: StatusCode::NOT_FOUND,
                        ..said(false, "no such app", json, &[])
                    },
                    false => self.readiness(json, &apps),
                }
            }
        }
    }

    fn readiness(&self, json: bool, apps: &[Readiness]) -> Shown {
        if self.insight.is_draining() {
            return said(false, "stopping", json, apps);
        }
        match apps.iter().all(Readiness::is_ready) {
            true => said(true, "ready", json, apps),
            false => said(false, "not ready", json, apps),
        }
    }
}

fn said(well: bool, word: &str, json: bool, apps: &[Readiness]) -> Shown {
    let status = match well {
        true => StatusCode::OK,
        false => StatusCode::SERVICE_UNAVAILABLE,
    };
    if json {
        let apps: Vec<String> = apps.iter().map(Readiness::json).collect();
        let apps = match apps.is_empty() {
            true => String::new(),
            false => format!(",\"apps\":{{{}}}", apps.join(",")),
        };
        return Shown {
            status,
            content_type: "application/json",
            text: format!("{{\"status\":\"{word}\"{apps}}}\n"),
        };
    }
    let apps: String = apps.iter().map(|app| app.sentence() + "\n").collect();
    Shown {
        status,
        content_type: "text/plain; charset=utf-8",
        text: format!("{word}\n{apps}"),
    }
}

/// Whether JSON is the first of the known types that `Accept` names; probes send none, browsers name HTML first.
fn prefers_json(headers: &HeaderMap) -> bool {
    let accepted = headers.get_all(header::ACCEPT).iter();
    accepted
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .filter_map(|range| range.split(';').next())
        .find_map(|media| match media.trim().to_ascii_lowercase().as_str() {
            "application/json" | "application/*" => Some(true),
            "text/plain" | "text/html" | "text/*" | "*/*" => Some(false),
            _ => None,
        })
        .unwrap_or(false)
}

/// The answer with the page, or that it can only be read.
pub(crate) async fn answer<E: Exchange>(
    monitor: &Monitor,
    page: Page,
    record: Box<Record>,
) -> Response<Outgoing<E>> {
    let mut response = Response::new(());
    if !matches!(record.method, Method::GET | Method::HEAD) {
        *response.status_mut() = StatusCode::METHOD_NOT_ALLOWED;
        let headers = response.headers_mut();
        headers.insert(header::ALLOW, HeaderValue::from_static("GET, HEAD"));
        return respond::finish(record, response, Content::Empty);
    }
    let shown = monitor.show(page, &record.headers).await;
    *response.status_mut() = shown.status;
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(shown.content_type));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    let content = if record.method == Method::HEAD {
        headers.insert(header::CONTENT_LENGTH, HeaderValue::from(shown.text.len()));
        Content::Empty
    } else {
        Content::Whole(Bytes::from(shown.text))
    };
    respond::finish(record, response, content)
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Fixed {
        draining: bool,
        ready: usize,
    }

    impl Insight for Fixed {
        fn is_draining(&self) -> bool {
            self.draining
        }

        fn apps(&self) -> Vec<Readiness> {
            let app = |app: &str, ready| Readiness {
                app: app.to_owned(),
                workers: 3,
                ready,
                starting: 2 - ready.min(2),
                failed: 1,
            };
            vec![app("site", 2), app("shop", self.ready)]
        }

        fn metrics(&self) -> Pin<Box<dyn Future<Output = String> + Send>> {
            Box::pin(async { "a 1\n".to_owned() })
        }
    }

    fn monitor(draining: bool, ready: usize) -> Monitor {
        Monitor {
            alive: Some("/healthz".to_owned()),
            ready: Some("/readyz".to_owned()),
            metrics: Some("/metrics".to_owned()),
            insight: Arc::new(Fixed { draining, ready }),
        }
    }

    async fn shown(monitor: &Monitor, path: &str, accept: &str) -> (u16, String) {
        let page = monitor.find(path.as_bytes()).expect(path);
        let mut headers = HeaderMap::new();
        headers.insert(header::ACCEPT, accept.parse().unwrap());
        let shown = monitor.show(page, &headers).await;
        (shown.status.as_u16(), shown.text)
    }

    #[tokio::test]
    async fn what_each_page_says() {
        let well = monitor(false, 1);
        let ill = monitor(false, 0);
        let draining = monitor(true, 1);
        let site = "site: 2 of 3 workers ready, 1 failed\n";
        for (monitor, path, status, text) in [
            (&well, "/healthz", 200, "ok\n".to_owned()),
            (&ill, "/healthz", 200, "ok\n".to_owned()),
            (&draining, "/healthz", 503, "stopping\n".to_owned()),
            (
                &well,
                "/readyz",
                200,
                format!("ready\n{site}shop: 1 of 3 workers ready, 1 starting, 1 failed\n"),
            ),
            (
                &ill,
                "/readyz",
                503,
                format!("not ready\n{site}shop: 0 of 3 workers ready, 2 starting, 1 failed\n"),
            ),
            (&ill, "/readyz/site", 200, format!("ready\n{site}")),
            (&ill, "/readyz/nope", 404, "no such app\n".to_owned()),
            (&draining, "/readyz/site", 503, format!("stopping\n{site}")),
            (&ill, "/metrics", 200, "a 1\n".to_owned()),
        ] {
            assert_eq!(shown(monitor, path, "*/*").await, (status, text), "{path}");
        }
        let json = "application/json";
        assert_eq!(
            shown(&well, "/healthz", json).await,
            (200, "{\"status\":\"ok\"}\n".to_owned())
        );
        assert_eq!(
            shown(&ill, "/readyz/shop", json).await,
            (
                503,
                "{\"status\":\"not ready\",\"apps\":{\"shop\":{\"ready\":false,\"workers\":3,\"ready_workers\":0,\
                 \"starting\":2,\"failed\":1}}}\n"
                    .to_owned()
            )
        );
    }

    #[test]
    fn only_whole_paths_are_pages() {
        let monitor = monitor(false, 1);
        for path in [
            "/",
            "/healthz/",
            "/healthzz",
            "/ready",
            "/readyz2",
            "/metrics/x",
            "/x/healthz",
        ] {
            assert_eq!(monitor.find(path.as_bytes()), None, "{path}");
        }
        assert_eq!(monitor.find(b"/readyz/a"), Some(Page::ReadyApp("a".to_owned())));
        let none = Monitor {
            alive: None,
            ready: None,
            metrics: None,
            ..monitor
        };
        assert_eq!(none.find(b"/healthz"), None);
    }

    #[test]
    fn json_for_those_who_ask_for_it() {
        for (accept, json) in [
            ("application/json", true),
            ("Application/JSON;q=0.9, */*", true),
            ("text/html, application/json", false),
            ("image/png, application/json", true),
            ("*/*", false),
            ("", false),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(header::ACCEPT, accept.parse().unwrap());
            assert_eq!(prefers_json(&headers), json, "{accept}");
        }
        assert!(!prefers_json(&HeaderMap::new()));
    }
}
