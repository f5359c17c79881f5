//! Real workers: the interpreter's process, its link, its output, and what it says passed on to the dispatcher.
//!
//! Two threads wait for each worker, one on its control connection and one for its death; both tell the worker's task.

use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};

use carme_ring::StreamId;
use carme_ring::control::{AppSettings, Hello, Interface, ToFront, ToWorker, Welcome};
use carme_ring::link::{ControlReceiver, ControlSender, FrontLink, Invitation, LinkError};
use carme_ring::os::{OwnedHandle, ordinary_file};
use tokio::sync::{mpsc, watch};
use tokio::time::timeout_at;

use crate::desk::Desk;
use crate::dispatch::Identity;
use crate::embedded::{FindFiles, InstallError, Readers};
use crate::output::{self, LastLines, Source, Stream};
use crate::plan::AppPlan;
use crate::process::{self, Child, Exit, Peer, Spawned};
use crate::supervisor::{About, Event, Launch, Post, Worker};

#[cfg(test)]
pub(crate) mod tests;

/// Tells the interpreter's start script where the native library is.
pub(crate) const LIBRARY_VARIABLE: &str = "CARME_WORKER_LIBRARY";

/// What a dead worker's connections and output may still hold is read for that long.
const LAST_WORDS: Duration = Duration::from_millis(500);

/// The oldest Python that the worker library can be loaded by.
const OLDEST_PYTHON: (u8, u8) = (3, 9);

/// Starts the workers of an app.
pub(crate) struct Launcher<D> {
    pub(crate) files: FindFiles,
    pub(crate) desk: D,
    /// Set when a worker has said hello: the interpreter can be served.
    pub(crate) greeted: watch::Sender<bool>,
}

/// The interpreter with its place and its environment; what it runs is still missing.
fn command(plan: &AppPlan) -> Command {
    let mut command = Command::new(&plan.python);
    command.current_dir(&plan.directory);
    for (name, value) in &plan.environment {
        match value {
            Some(value) => command.env(name, value),
            None => command.env_remove(name),
        };
    }
    command
}

/// Why no process came to be.
enum NotStarted {
    Files(InstallError),
    System(std::io::Error),
}

impl From<std::io::Error> for NotStarted {
    fn from(error: std::io::Error) -> Self {
        Self::System(error)
    }
}

impl<D: Desk> Launch for Launcher<D> {
    type Worker = LiveWorker<D>;

    async fn launch(&self, post: Post) -> Result<LiveWorker<D>, String> {
        let mut command = command(&post.plan);
        let route = Arc::clone(&post.route);
        // The supervisor's own deadline comes first, and its words are better.
        let deadline = Instant::now() + post.plan.startup_timeout + Duration::from_secs(1);
        let (news, events) = mpsc::channel(64);
        let own_news = news.clone();
        let app = Arc::clone(&post.plan.name);
        let last_lines = LastLines::default();
        let last = last_lines.clone();
        let files = Arc::clone(&self.files);
        let user = post.plan.user.clone();
        let started = tokio::task::spawn_blocking(move || -> Result<Child, NotStarted> {
            let readers = user.as_ref().map_or(Readers::ThisUser, |_| Readers::Anyone);
            let files = files(readers).map_err(NotStarted::Files)?;
            // Lines must come out as they are printed.
            command
                .arg("-u")
                .arg(&files.start)
                .env(LIBRARY_VARIABLE, &files.library);
            let invitation = Invitation::new()?;
            invitation.prepare(&mut command);
            let Spawned {
                child,
                stdout,
                stderr,
            } = process::spawn(command, user.as_ref())?;
            let source = Source {
                app,
                route,
                pid: child.id(),
            };
            let output_ended = || {
                let news = news.clone();
                move || drop(news.blocking_send(News::OutputEnded))
            };
            let threads = output::follow(
                stdout,
                Stream::Output,
                source.clone(),
                last.clone(),
                output_ended(),
            )
            .and_then(|()| output::follow(stderr, Stream::Error, source.clone(), last, output_ended()))
            .and_then(|()| watch_for_death(&child, &source.route, news.clone()))
            .and_then(|()| listen(invitation, deadline, &child, &source.route, news));
            if let Err(error) = threads {
                child.kill();
                return Err(error.into());
            }
            Ok(child)
        });
        let child = match started.await {
            Ok(Ok(child)) => child,
            Ok(Err(NotStarted::Files(error))) => return Err(error.to_string()),
            Ok(Err(NotStarted::System(error))) => return Err(cannot_start(&post.plan, &error)),
            Err(panic) => return Err(format!("a worker could not be started: {panic}")),
        };
        Ok(LiveWorker {
            post,
            desk: self.desk.clone(),
            greeted: self.greeted.clone(),
            child,
            events,
            last_lines,
            outputs: 2,
            link: Link::Awaited,
            python: String::new(),
            peer: None,
            news: own_news,
            death: Death::default(),
            ended: None,
        })
    }
}

fn cannot_start(plan: &AppPlan, error: &std::io::Error) -> String {
    let python = plan.python.display();
    let directory = plan.directory.display();
    if plan.directory.is_dir() {
        let user = plan.user.as_ref();
        let user = user.map_or_else(String::new, |user| format!(" as user {}", user.name));
        format!("{python} could not be started{user}: {error}")
    } else {
        format!("{python} could not be started: the app's directory {directory} is not there")
    }
}

/// What the threads tell a worker's task.
enum News {
    Greeted(Box<FrontLink>),
    Said(ToFront, Vec<OwnedHandle>),
    LinkEnded(LinkError),
    OutputEnded,
    ChildEnded(std::io::Result<Exit>),
    PeerEnded,
}

/// Waits for the process's death in a thread of its own.
fn watch_for_death(child: &Child, route: &str, news: mpsc::Sender<News>) -> std::io::Result<()> {
    let child = child.clone();
    thread(format!("end {route}"), move || {
        let _ = news.blocking_send(News::ChildEnded(child.wait()));
    })
}

/// Waits for the worker's hello, then reads what it says, in a thread of its own.
fn listen(
    invitation: Invitation,
    deadline: Instant,
    child: &Child,
    route: &str,
    news: mpsc::Sender<News>,
) -> std::io::Result<()> {
    let child = child.clone();
    thread(format!("link {route}"), move || {
        let end = match invitation.accept(deadline, || child.alive()) {
            Ok((link, receiver)) => match news.blocking_send(News::Greeted(Box::new(link))) {
                Ok(()) => read(receiver, &news),
                Err(_) => return,
            },
            Err(error) => error,
        };
        let _ = news.blocking_send(News::LinkEnded(end));
    })
}

/// Passes on what the worker says, until it says no more.
fn read(mut receiver: ControlReceiver, news: &mpsc::Sender<News>) -> LinkError {
    loop {
        match receiver.receive() {
            Ok((message, handles)) => {
                if news.blocking_send(News::Said(message, handles)).is_err() {
                    return LinkError::Closed;
                }
            }
            Err(error) => return error,
        }
    }
}

fn thread(name: String, run: impl FnOnce() + Send + 'static) -> std::io::Result<()> {
    std::thread::Builder::new().name(name).spawn(run).map(drop)
}

/// Where a worker's link is.
enum Link {
    /// The worker has not said hello.
    Awaited,
    /// It has its place at the desk.
    Open(ControlSender),
    /// It has its place, and its connection has ended.
    Ended { attached: bool },
}

/// A worker's process and its link.
pub(crate) struct LiveWorker<D> {
    post: Post,
    desk: D,
    greeted: watch::Sender<bool>,
    child: Child,
    events: mpsc::Receiver<News>,
    last_lines: LastLines,
    /// Streams of output that are still open.
    outputs: u8,
    link: Link,
    /// For instance `CPython 3.13.1`, once it has said so.
    python: String,
    /// The interpreter itself, where it is not the process that was started.
    peer: Option<Arc<Peer>>,
    news: mpsc::Sender<News>,
    death: Death,
    ended: Option<Ended>,
}

/// What is known of the end of a worker's processes.
#[derive(Default)]
struct Death {
    child: Option<Exit>,
    peer: bool,
}

/// A dead process, and until when its last words are awaited.
#[derive(Clone, Copy)]
struct Ended {
    exit: Exit,
    last_words_until: tokio::time::Instant,
}

impl<D: Desk> Worker for LiveWorker<D> {
    fn pid(&self) -> u32 {
        self.peer
            .as_ref()
            .map_or_else(|| self.child.id(), |peer| peer.pid())
    }

    fn last_lines(&self) -> Vec<String> {
        self.last_lines.get()
    }

    async fn event(&mut self) -> Event {
        loop {
            let news = match self.ended {
                Some(Ended { exit, .. }) if self.outputs == 0 && matches!(self.link, Link::Ended { .. }) => {
                    return self.gone(exit);
                }
                Some(Ended {
                    exit,
                    last_words_until,
                }) => match timeout_at(last_words_until, self.events.recv()).await {
                    Ok(Some(news)) => news,
                    Ok(None) | Err(_) => return self.gone(exit),
                },
                None => match self.events.recv().await {
                    Some(news) => news,
                    None => return Event::Broken("nobody waits for it any more".to_owned()),
                },
            };
            if let Some(event) = self.take(news) {
                return event;
            }
        }
    }

    fn serve(&mut self) {
        if matches!(self.link, Link::Open(_)) {
            self.desk.serving(self.post.place, true);
        }
    }

    fn drain(&mut self) {
        if matches!(self.link, Link::Open(_)) {
            self.desk.serving(self.post.place, false);
        }
        self.say(&ToWorker::Drain);
    }

    fn stop(&mut self) {
        self.say(&ToWorker::Stop);
    }

    fn kill(&mut self) {
        self.child.kill();
        if let Some(peer) = &self.peer {
            peer.kill();
        }
    }
}

impl<D: Desk> LiveWorker<D> {
    /// Tells the worker. One that cannot be told has ended, or does not listen and will be killed for that.
    fn say(&self, message: &ToWorker) {
        if let Link::Open(control) = &self.link
            && let Err(error) = control.send(message)
        {
            tracing::debug!(
                app = &*self.post.plan.name,
                route = &*self.post.route,
                "{message:?} was not sent: {error}"
            );
        }
    }

    fn take(&mut self, news: News) -> Option<Event> {
        match news {
            News::Greeted(link) => self.greet(*link).err().map(Event::Broken),
            News::Said(message, handles) => self.hear(message, handles),
            News::LinkEnded(error) => {
                let attached = matches!(self.link, Link::Open(_));
                self.link = Link::Ended { attached };
                match error {
                    // The process is dead: its exit is the news.
                    _ if self.ended.is_some() => None,
                    LinkError::Closed => Some(Event::Closed),
                    error => Some(Event::Broken(error.to_string())),
                }
            }
            News::OutputEnded => {
                self.outputs -= 1;
                None
            }
            News::ChildEnded(Err(error)) => {
                Some(Event::Broken(format!("its end could not be awaited: {error}")))
            }
            News::ChildEnded(Ok(exit)) => {
                self.death.child = Some(exit);
                // The launcher of an interpreter is dead: what counts is the interpreter.
                if let Some(peer) = &self.peer {
                    peer.kill();
                }
                self.look_whether_dead();
                None
            }
            News::PeerEnded => {
                self.death.peer = true;
                self.look_whether_dead();
                None
            }
        }
    }

    /// The worker has said hello: gives it its place, or says why it cannot be served.
    fn greet(&mut self, mut link: FrontLink) -> Result<(), String> {
        let Hello { python, .. } = &link.hello;
        let name = match python.implementation.as_str() {
            "cpython" => "CPython",
            other => other,
        };
        let (major, minor, micro) = python.version;
        self.python = format!("{name} {major}.{minor}.{micro}");
        if name != "CPython" || python.free_threaded || (major, minor) < OLDEST_PYTHON {
            let build = if python.free_threaded {
                "a free-threaded "
            } else {
                ""
            };
            return Err(format!(
                "carme serves apps from CPython 3.9 and later with the GIL, and {} is {build}{}",
                python.executable, self.python
            ));
        }
        if link.peer.pid != self.child.id() {
            let peer =
                Arc::new(Peer::open(&link.peer).map_err(|e| format!("its process cannot be opened: {e}"))?);
            let (waiting, news) = (Arc::clone(&peer), self.news.clone());
            thread(format!("end {}", self.post.route), move || {
                waiting.wait();
                let _ = news.blocking_send(News::PeerEnded);
            })
            .map_err(|e| format!("its end cannot be awaited: {e}"))?;
            self.peer = Some(peer);
        }
        let (region, geometry) = self
            .desk
            .region_for(self.post.place)
            .ok_or("the shared memory is damaged")?;
        let handle = region.handle().ok_or("the region has no handle")?;
        let welcome = Welcome {
            index: self.post.place,
            geometry,
            app: AppSettings {
                target: self.post.plan.target.clone(),
                import_root: self.post.plan.import_root.clone(),
                interface: self.post.plan.interface,
                threads: self.post.plan.threads,
                switch_interval_us: u32::try_from(self.post.plan.switch_interval.as_micros())
                    .unwrap_or(u32::MAX),
                route: self.post.route.to_string(),
                multiprocess: *self.post.plan.workers.range.end() > 1,
            },
        };
        link.welcome(welcome, handle)
            .map_err(|e| format!("it could not be welcomed: {e}"))?;
        let FrontLink { sender, bells, .. } = link;
        let identity = Identity {
            route: Arc::clone(&self.post.route),
            pid: self.pid(),
            seat: self.post.seat,
        };
        self.desk
            .attach(self.post.place, identity, bells, sender.clone())
            .map_err(|e| format!("it could not be attached: {e}"))?;
        self.link = Link::Open(sender);
        self.greeted.send_replace(true);
        Ok(())
    }

    fn hear(&mut self, message: ToFront, handles: Vec<OwnedHandle>) -> Option<Event> {
        match message {
            ToFront::Hello(_) => Some(Event::Broken("it said hello twice".to_owned())),
            ToFront::Ready { interface, title, .. } => {
                let interface = match interface {
                    Interface::Asgi => "ASGI",
                    Interface::Wsgi | Interface::Auto => "WSGI",
                };
                Some(Event::Ready(About {
                    title,
                    interface: interface.to_owned(),
                    python: self.python.clone(),
                }))
            }
            ToFront::ImportFailed { message, traceback } => Some(Event::ImportFailed { message, traceback }),
            ToFront::NeedFile { stream } => {
                self.desk.need_file(self.post.place, StreamId(stream));
                None
            }
            ToFront::File {
                stream,
                offset,
                length,
            } => {
                // The link has checked that there is exactly one.
                let file = handles.into_iter().next().map(ordinary_file)?;
                match file {
                    Ok(file) => {
                        self.desk
                            .file_from_worker(self.post.place, StreamId(stream), file, offset, length);
                        None
                    }
                    Err(error) => Some(Event::Broken(format!("what it sent as a file is none: {error}"))),
                }
            }
        }
    }

    fn look_whether_dead(&mut self) {
        if let Some(exit) = self.death.child
            && (self.peer.is_none() || self.death.peer)
        {
            self.ended = Some(Ended {
                exit,
                last_words_until: tokio::time::Instant::now() + LAST_WORDS,
            });
        }
    }

    /// The process is dead and has said all that it had to say.
    fn gone(&mut self, exit: Exit) -> Event {
        if matches!(self.link, Link::Open(_) | Link::Ended { attached: true }) {
            self.desk.died(self.post.place);
        }
        self.link = Link::Ended { attached: false };
        Event::Exited(exit)
    }
}
