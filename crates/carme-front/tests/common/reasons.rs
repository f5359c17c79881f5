//! What a crate tells the error log, as long as a test listens.

use std::fmt::{Debug, Write};
use std::sync::{Arc, Mutex};

use tracing::field::{Field, Visit};
use tracing::subscriber::DefaultGuard;
use tracing::{Event, Level, Metadata, Subscriber, span};

/// Listens on this thread, which is the one that the test's runtime has.
pub struct Reasons {
    messages: Arc<Mutex<Vec<String>>>,
    _listening: DefaultGuard,
}

impl Reasons {
    pub fn listen() -> Self {
        Self::listen_to(Level::WARN)
    }

    /// From this level on.
    pub fn listen_to(level: Level) -> Self {
        Self::of("carme_front", level)
    }

    /// Of this crate.
    pub fn of(target: &'static str, level: Level) -> Self {
        let messages = Arc::<Mutex<Vec<String>>>::default();
        let listener = Listener(target, level, Arc::clone(&messages));
        Reasons {
            messages,
            _listening: tracing::subscriber::set_default(listener),
        }
    }

    /// What was told since the last call.
    pub fn take(&self) -> Vec<String> {
        std::mem::take(&mut *self.messages.lock().unwrap())
    }
}

struct Listener(&'static str, Level, Arc<Mutex<Vec<String>>>);

impl Subscriber for Listener {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        *metadata.level() <= self.1 && metadata.target().starts_with(self.0)
    }

    fn event(&self, event: &Event<'_>) {
        let mut text = Text(String::new());
        event.record(&mut text);
        self.2.lock().unwrap().push(text.0);
    }

    fn new_span(&self, _: &span::Attributes<'_>) -> span::Id {
        span::Id::from_u64(1)
    }

    fn record(&self, _: &span::Id, _: &span::Record<'_>) {}
    fn record_follows_from(&self, _: &span::Id, _: &span::Id) {}
    fn enter(&self, _: &span::Id) {}
    fn exit(&self, _: &span::Id) {}
}

struct Text(String);

impl Visit for Text {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        let written = match field.name() {
            "message" => write!(self.0, "{value:?}"),
            name => write!(self.0, "[{name}={value:?}] "),
        };
        written.unwrap();
    }
}
