//! A balancer that only keeps what it was told.

use std::fmt::Write;
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;

use carme_discovery::{Engine, Found, follow};
use carme_tests::wait_until;
use tokio::sync::oneshot;

/// What an engine names, followed by a thread of its own.
pub(crate) struct Follower {
    sets: Arc<Mutex<Vec<String>>>,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Follower {
    pub(crate) fn of(engine: impl Engine<Member = Found> + Send + 'static) -> Self {
        let sets = Arc::new(Mutex::new(Vec::new()));
        let (stop, stopped) = oneshot::channel();
        let told = Arc::clone(&sets);
        let thread = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            runtime.expect("a runtime").block_on(async {
                let sink = |members: Vec<Found>| told.lock().expect("no panic").push(written(&members));
                tokio::select! {
                    never = follow("cluster", engine, sink) => match never {},
                    _ = stopped => {}
                }
            });
        });
        Follower {
            sets,
            stop: Some(stop),
            thread: Some(thread),
        }
    }

    /// All that it was told so far.
    pub(crate) fn sets(&self) -> Vec<String> {
        self.sets.lock().expect("no panic").clone()
    }

    /// Waits until these are the members.
    pub(crate) fn wait_for(&self, members: &str) {
        let last = || self.sets().last().cloned();
        wait_until(
            &format!("the members are {members:?}; so far: {:?}", self.sets()),
            || last().as_deref() == Some(members),
        );
    }
}

impl Drop for Follower {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// `address name weight/set`, one after another.
fn written(members: &[Found]) -> String {
    let mut text = String::new();
    for member in members {
        let between = if text.is_empty() { "" } else { ", " };
        write!(text, "{between}{member} {}", member.name).expect("text");
        if let Some(weight) = member.weight {
            write!(text, " {weight}").expect("text");
        }
        if let Some(set) = member.set {
            write!(text, "/{set}").expect("text");
        }
    }
    text
}
