//! The error log: one plain line for each line of each event, on standard error or in a file.
//!
//!     2026-11-23 09:00:00.123 [error] site site_1 4711: text
//!
//! App, route and process id stand there where the event knows them. Writing never makes the caller wait; what finds the
//! buffer full is dropped.

use std::fmt::{self, Write as _};
use std::sync::{Arc, Mutex, PoisonError};

use carme_log::{Destination, OpenError, Writer, WriterOptions};
use jiff::Zoned;
use jiff::fmt::strtime;
use tracing::field::{Field, Visit};
use tracing::level_filters::LevelFilter;
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::{Context, SubscriberExt};
use tracing_subscriber::util::SubscriberInitExt;

/// The error log while it is open. Dropping it writes what is left.
pub(crate) struct ErrorLog(Output);

/// What the lines go to; it may be another from one line to the next.
type Output = Arc<Mutex<Arc<Writer>>>;

fn writer(output: &Output) -> Arc<Writer> {
    Arc::clone(&output.lock().unwrap_or_else(PoisonError::into_inner))
}

impl ErrorLog {
    /// Sends all events of this process there from now on. The first one wins.
    pub(crate) fn open(destination: Destination) -> Result<Self, OpenError> {
        let output = Arc::new(Mutex::new(Self::prepare(destination)?));
        // Of libraries only what somebody should see.
        let wanted = Targets::new()
            .with_default(LevelFilter::WARN)
            .with_target("carme", LevelFilter::INFO)
            // DNS that fails is told by whoever asked, once.
            .with_target("hickory", LevelFilter::OFF)
            // It warns of answers to questions that it has not asked: those of `ping`.
            .with_target("h2::proto::ping_pong", LevelFilter::ERROR);
        let lines = Lines(Arc::clone(&output)).with_filter(wanted);
        let _ = tracing_subscriber::registry().with(lines).try_init();
        Ok(Self(output))
    }

    /// Opens what the lines may go to.
    pub(super) fn prepare(destination: Destination) -> Result<Arc<Writer>, OpenError> {
        // Trouble with the error log cannot be told in the error log.
        let options = WriterOptions {
            on_trouble: Some(Box::new(|_| {})),
            ..WriterOptions::default()
        };
        Ok(Arc::new(Writer::open(destination, options)?))
    }

    /// Lines go there from now on.
    pub(super) fn redirect(&self, new: Arc<Writer>) {
        let old = std::mem::replace(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner), new);
        let _ = old.flush();
    }

    /// What its lines go to.
    pub(crate) fn writer(&self) -> Arc<Writer> {
        writer(&self.0)
    }
}

impl Drop for ErrorLog {
    fn drop(&mut self) {
        // A destination that blocks loses what it will not take.
        let _ = self.writer().flush();
    }
}

struct Lines(Output);

impl<S: Subscriber> Layer<S> for Lines {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        let mut parts = Parts::default();
        event.record(&mut parts);
        let mut line = String::new();
        let now = strtime::format("%Y-%m-%d %H:%M:%S%.3f", &Zoned::now()).unwrap_or_default();
        let writer = writer(&self.0);
        parts.render(&now, *event.metadata().level(), |text| {
            line.clear();
            line.push_str(text);
            writer.line(line.as_bytes());
        });
    }
}

/// An event's fields.
#[derive(Default)]
struct Parts {
    app: String,
    route: String,
    pid: String,
    message: String,
    /// What has no place of its own, as ` name=value`.
    others: String,
}

impl Visit for Parts {
    fn record_str(&mut self, field: &Field, value: &str) {
        self.record(field, format_args!("{value}"));
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.record(field, format_args!("{value:?}"));
    }
}

impl Parts {
    fn record(&mut self, field: &Field, value: fmt::Arguments<'_>) {
        let place = match field.name() {
            "app" => &mut self.app,
            "route" => &mut self.route,
            "pid" => &mut self.pid,
            "message" => &mut self.message,
            name => {
                let _ = write!(self.others, " {name}={value}");
                return;
            }
        };
        let _ = place.write_fmt(value);
    }

    fn render(&self, now: &str, level: Level, mut each: impl FnMut(&str)) {
        let level = match level {
            Level::ERROR => "error",
            Level::WARN => "warn",
            Level::INFO => "info",
            Level::DEBUG => "debug",
            Level::TRACE => "trace",
        };
        let mut who = String::new();
        for part in [&self.app, &self.route, &self.pid]
            .into_iter()
            .filter(|part| !part.is_empty())
        {
            let _ = write!(who, " {part}");
        }
        if !who.is_empty() {
            who.push(':');
        }
        let mut lines = self.message.lines().peekable();
        // An empty line is a line.
        if lines.peek().is_none() {
            each(&format!("{now} [{level}]{who} {}", self.others));
        }
        while let Some(text) = lines.next() {
            let others = if lines.peek().is_none() {
                self.others.as_str()
            } else {
                ""
            };
            each(&format!("{now} [{level}]{who} {text}{others}"));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rendered(parts: &Parts) -> Vec<String> {
        let mut lines = Vec::new();
        parts.render("2026-11-23 09:00:00.123", Level::ERROR, |line| {
            lines.push(line.to_owned())
        });
        lines
    }

    #[test]
    fn a_workers_line_says_whose_it_is() {
        let parts = Parts {
            app: "site".into(),
            route: "site_1".into(),
            pid: "4711".into(),
            message: "text".into(),
            others: String::new(),
        };
        assert_eq!(
            rendered(&parts),
            ["2026-11-23 09:00:00.123 [error] site site_1 4711: text"]
        );
    }

    #[test]
    fn each_line_of_a_traceback_is_a_line_of_the_log() {
        let parts = Parts {
            message: "it failed\nTraceback".into(),
            others: " id=7".into(),
            ..Parts::default()
        };
        let expected = [
            "2026-11-23 09:00:00.123 [error] it failed",
            "2026-11-23 09:00:00.123 [error] Traceback id=7",
        ];
        assert_eq!(rendered(&parts), expected);
    }

    #[test]
    fn events_reach_a_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("error.log");
        let log = ErrorLog::open(Destination::File(path.clone())).unwrap();
        tracing::error!(target: "carme::test", app = "site", route = "site_1", pid = 7, "it {}", "failed");
        tracing::debug!(target: "carme::test", "nobody wants to know");
        tracing::info!(target: "hyper", "nor this");
        drop(log);
        let text = std::fs::read_to_string(path).unwrap();
        let (_, rest) = text.split_once(" [").unwrap();
        assert_eq!(rest, "error] site site_1 7: it failed\n");
    }
}
