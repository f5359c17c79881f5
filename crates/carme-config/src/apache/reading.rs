//! The state while directives are read: what holds for the whole server, and for each of its hosts.

use std::collections::HashMap;
use std::path::PathBuf;
use std::time::Duration;

use super::balancers::Pool;
use super::hosting::{Hosting, Part};
use super::hosts::Secure;
use super::lexer::Word;
use super::logs::LogLine;
use super::proxy::ProxyOptions;
use super::source::Node;
use super::wsgi::Group;
use super::{table, time};
use crate::balancer::{HealthCheck, HealthExpect};
use crate::config::Server;
use crate::draft::{At, PolicyDraft};
use crate::location::{Answer, HostPattern};
use crate::mount::MountPath;
use crate::problem::{Mistake, Place, Problem, Problems};

/// All that is known so far.
pub(super) struct Reading {
    /// `ServerRoot`, where relative paths begin.
    pub(super) root: PathBuf,
    /// The file as a whole.
    pub(super) whole: Place,
    pub(super) problems: Problems,
    pub(super) warnings: Problems,
    pub(super) server: Server,
    pub(super) listen: Vec<ListenLine>,
    /// `Timeout`
    pub(super) timeout: Option<Duration>,
    pub(super) main: Host,
    pub(super) hosts: Vec<Host>,
    pub(super) pools: Vec<Pool>,
    /// `BalancerPersist`
    pub(super) persist: bool,
    pub(super) health_templates: HashMap<String, HealthCheck>,
    pub(super) health_expects: HashMap<String, HealthExpect>,
    /// `LogFormat`, by nickname; the empty one is for `TransferLog`.
    pub(super) formats: HashMap<String, String>,
    pub(super) logs: Vec<LogLine>,
    pub(super) error_log: Option<Word>,
    /// `SetEnvIf` and its kin: where they name which variable.
    pub(super) variables: Vec<At<String>>,
    /// `SetEnv` and `PassEnv`, which come when all of those are done.
    pub(super) late_variables: Vec<At<String>>,
    pub(super) groups: Vec<Group>,
    /// Whether workers can be other users than the server.
    pub(super) is_root: bool,
    /// `User` and `Group`.
    pub(super) user: Option<Word>,
    pub(super) group: Option<Word>,
    pub(super) python_home: Option<Word>,
    pub(super) python_path: Option<Word>,
}

/// `Listen`
pub(super) struct ListenLine {
    pub(super) word: Word,
    /// With its port; `0.0.0.0` where none was given.
    pub(super) address: String,
    pub(super) port: u16,
    pub(super) is_secure: bool,
}

/// The server itself, or a `<VirtualHost>`.
#[derive(Default)]
pub(super) struct Host {
    /// Where it begins; `None` for the server itself.
    pub(super) place: Option<Word>,
    /// The ports of its addresses; empty: all.
    pub(super) ports: Vec<u16>,
    pub(super) names: Vec<At<HostPattern>>,
    pub(super) rules: Vec<Rule>,
    pub(super) policy: PolicyDraft,
    /// `<Location>`: what holds below a path.
    pub(super) sections: Vec<(At<MountPath>, PolicyDraft)>,
    /// `<Directory>`: what holds for scripts and files below a folder.
    pub(super) directories: Vec<(At<PathBuf>, PolicyDraft)>,
    pub(super) proxy: ProxyOptions,
    pub(super) secure: Secure,
    pub(super) document_root: Option<Word>,
    pub(super) index: Option<Vec<String>>,
    pub(super) fallback: Option<String>,
    pub(super) hosting: Hosting,
    pub(super) hosting_of_parts: Vec<(Part, Hosting)>,
}

/// What answers below a path, in the order in which Apache asks its modules.
#[derive(Clone)]
pub(super) struct Rule {
    pub(super) path: At<MountPath>,
    pub(super) what: Answers,
}

#[derive(Clone)]
pub(super) enum Answers {
    /// `ProxyPass /path !`: no proxy here, but what comes after.
    NoProxy,
    /// `SetEnvIf Request_URI ^/path/ no-proxy`: the same before every `ProxyPass`.
    NeverProxy,
    /// `ProxyPass`: a pool, the path there, and whether the path is passed on as it came.
    Proxy {
        pool: String,
        path: String,
        raw_path: bool,
    },
    /// `Redirect`, or a fixed answer.
    Fixed(Answer),
    /// `Alias`
    Files(Word),
    /// `WSGIScriptAlias`
    Script(Box<super::wsgi::Script>),
}

/// Where a directive stands.
#[derive(Default)]
pub(super) struct Context {
    /// The path of the `<Location>`, if it is in one.
    pub(super) location: Option<At<MountPath>>,
    /// Whether it is in a `<Directory>` or `<Files>`.
    pub(super) in_directory: bool,
    /// The folder of the `<Directory>`, if it is in one that is for a single folder; empty is every folder.
    pub(super) directory: Option<At<PathBuf>>,
}

/// What came of a directive.
pub(super) type Outcome = Result<(), Problem>;

impl Node {
    pub(super) fn wrong(&self, mistake: Mistake) -> Problem {
        self.name.problem(&self.name.text, mistake)
    }

    /// The argument at an index.
    pub(super) fn arg(&self, index: usize) -> Result<&Word, Problem> {
        self.args.get(index).ok_or_else(|| {
            let number = if index == 0 {
                "an argument".to_owned()
            } else {
                format!("at least {} arguments", index + 1)
            };
            self.wrong(Mistake::new(format!("needs {number}")))
        })
    }

    /// What is wrong with an argument.
    pub(super) fn wrong_arg(&self, word: &Word, mistake: Mistake) -> Problem {
        word.problem(&self.name.text, mistake)
    }

    /// The first argument, parsed.
    pub(super) fn parsed<T>(&self, parse: impl FnOnce(&str) -> Result<T, Mistake>) -> Result<T, Problem> {
        let word = self.arg(0)?;
        parse(&word.text).map_err(|mistake| self.wrong_arg(word, mistake))
    }

    /// `On` or `Off`.
    pub(super) fn switch(&self) -> Result<bool, Problem> {
        self.parsed(switch)
    }
}

/// `On` or `Off`.
pub(super) fn switch(text: &str) -> Result<bool, Mistake> {
    match text.to_ascii_lowercase().as_str() {
        "on" => Ok(true),
        "off" => Ok(false),
        _ => Err(Mistake::new(format!("must be On or Off, found {text:?}"))),
    }
}

impl Reading {
    pub(super) fn new(root: PathBuf, whole: Place, is_root: bool) -> Self {
        Reading {
            root,
            whole,
            problems: Problems::default(),
            warnings: Problems::default(),
            server: Server::default(),
            listen: Vec::new(),
            timeout: None,
            main: Host::default(),
            hosts: Vec::new(),
            pools: Vec::new(),
            persist: false,
            health_templates: HashMap::new(),
            health_expects: HashMap::new(),
            formats: HashMap::new(),
            logs: Vec::new(),
            error_log: None,
            variables: Vec::new(),
            late_variables: Vec::new(),
            groups: Vec::new(),
            is_root,
            user: None,
            group: None,
            python_home: None,
            python_path: None,
        }
    }

    /// Reads the tree of the server.
    pub(super) fn nodes(&mut self, nodes: &[Node]) {
        let mut main = std::mem::take(&mut self.main);
        self.inside(nodes, &mut main, &Context::default());
        self.main = main;
    }

    /// Reads what stands in a section.
    pub(super) fn inside(&mut self, nodes: &[Node], host: &mut Host, context: &Context) {
        for node in nodes {
            if let Err(problem) = table::directive(self, node, host, context) {
                self.problems.push(problem);
            }
        }
    }

    /// A directive that means nothing here, or something else.
    pub(super) fn warn(&mut self, word: &Word, subject: &str, why: impl Into<String>) {
        self.warnings.push(word.problem(subject, Mistake::new(why)));
    }

    pub(super) fn set_timeout(&mut self, node: &Node) -> Outcome {
        let timeout = node.parsed(time::seconds)?;
        self.timeout = Some(timeout);
        self.server.timeouts.body = timeout;
        self.server.timeouts.send = timeout;
        Ok(())
    }
}
