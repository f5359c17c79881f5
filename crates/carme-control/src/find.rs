//! Which server a command is for.

use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::task::JoinSet;
use tokio::time::timeout;

use crate::call::{CallError, call, talk};
use crate::endpoint::{self, Entry};
use crate::printable::printable;
use crate::protocol::{Identity, Reply, Request};

/// What a server may take to say who it is; one that takes longer is told of, and cannot be commanded.
const INTRODUCTION: Duration = Duration::from_secs(5);

/// What the user knows of a server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Wanted {
    /// The only one.
    Only,
    /// It serves what this file says. The full path.
    File(PathBuf),
    /// One of its addresses, its process id, or its name.
    Name(String),
}

/// A server that is there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// What it says of itself.
    pub identity: Identity,
    /// Whether this user runs it.
    pub is_ours: bool,
    entry: Entry,
}

impl Found {
    /// Asks it, and waits for its answer as long as it gives signs of life. One that stops has ended when this returns.
    pub async fn call(&self, request: &Request) -> Result<Reply, CallError> {
        call(&self.entry, request).await
    }
}

/// Why there is no server that could be meant. Tells which there are, and how to say which.
#[derive(Debug, PartialEq, Eq)]
pub enum FindError {
    /// There is none at all.
    None {
        /// Who was looked for.
        wanted: Wanted,
        /// Where servers were looked for.
        folders: Vec<PathBuf>,
        /// Servers that were there and did not say who they are.
        silent: usize,
    },
    /// There are others.
    Another {
        /// Who was looked for.
        wanted: Wanted,
        /// Those.
        others: Vec<Found>,
        /// Servers that were there and did not say who they are.
        silent: usize,
    },
    /// There are several.
    Several {
        /// Who was looked for.
        wanted: Wanted,
        /// Those, of which each could be meant.
        candidates: Vec<Found>,
    },
}

impl std::error::Error for FindError {}

impl fmt::Display for FindError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            FindError::None {
                wanted,
                folders,
                silent,
            } => {
                match wanted {
                    Wanted::Only => f.write_str("no server runs that you could command")?,
                    wanted => write!(
                        f,
                        "no server with {wanted} runs, nor any other that you could command"
                    )?,
                }
                if *silent > 0 {
                    return write_silent(f, *silent);
                }
                let folders: Vec<String> = folders
                    .iter()
                    .map(|folder| folder.display().to_string())
                    .collect();
                if !folders.is_empty() {
                    write!(f, " (looked in {})", folders.join(", "))?;
                }
                let powers = if cfg!(windows) {
                    "an administrator (in a console that was opened as one)"
                } else {
                    "root"
                };
                write!(
                    f,
                    "\n    help: a server that another user runs can be commanded by that user, and by {powers}"
                )
            }
            FindError::Another {
                wanted,
                others,
                silent,
            } => {
                write!(f, "no server with {wanted} runs; but these do:")?;
                write_list(f, others)?;
                if *silent > 0 {
                    write_silent(f, *silent)?;
                }
                Ok(())
            }
            FindError::Several { wanted, candidates } => {
                match wanted {
                    Wanted::Only => write!(f, "{} servers run; say which one:", candidates.len())?,
                    wanted => write!(
                        f,
                        "{} servers with {wanted} run; say which one:",
                        candidates.len()
                    )?,
                }
                write_list(f, candidates)
            }
        }
    }
}

impl fmt::Display for Wanted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Wanted::Only => f.write_str("any name"),
            Wanted::File(file) => write!(f, "the configuration file {}", file.display()),
            Wanted::Name(name) => write!(f, "the address, process or name {name:?}"),
        }
    }
}

fn write_silent(f: &mut fmt::Formatter<'_>, silent: usize) -> fmt::Result {
    write!(
        f,
        "\n    {silent} more did not answer within {} seconds: their processes may be stopped or overloaded",
        INTRODUCTION.as_secs()
    )
}

/// A line each: how to say that one, and what it is.
fn write_list(f: &mut fmt::Formatter<'_>, servers: &[Found]) -> fmt::Result {
    for server in servers {
        let Identity { pid, addresses, .. } = &server.identity;
        let say = printable(&distinction(server, servers));
        let addresses = printable(&addresses.join(", "));
        let whose = if server.is_ours { "" } else { ", another user's" };
        write!(f, "\n    {say}    (process {pid}, at {addresses}{whose})")?;
    }
    Ok(())
}

/// What names it and no other of these.
fn distinction(server: &Found, all: &[Found]) -> String {
    let is_alone = |wanted: &Wanted| {
        all.iter()
            .filter(|other| is_meant(&other.identity, wanted))
            .count()
            == 1
    };
    let Identity {
        pid, file, addresses, ..
    } = &server.identity;
    if let Some(file) = file
        && is_alone(&Wanted::File(file.into()))
    {
        return format!("-c {file}");
    }
    let names = addresses
        .first()
        .filter(|address| is_alone(&Wanted::Name((*address).clone())));
    match names {
        Some(address) => format!("--name {address}"),
        None => format!("--name {pid}"),
    }
}

/// Finds the server that is meant.
pub async fn find(wanted: &Wanted) -> Result<Found, FindError> {
    let (entries, folders) = endpoint::entries();
    let mut asked = JoinSet::new();
    for entry in entries {
        asked.spawn(introduce(entry));
    }
    let (mut found, mut silent) = (Vec::new(), 0);
    while let Some(introduced) = asked.join_next().await {
        match introduced {
            Ok(Introduced::As(server)) => found.push(*server),
            Ok(Introduced::Silent) => silent += 1,
            Ok(Introduced::Nobody) | Err(_) => {}
        }
    }
    found.sort_by_key(|server| server.identity.pid);
    choose(wanted, found, silent, folders)
}

enum Introduced {
    As(Box<Found>),
    /// It is there.
    Silent,
    /// It is dead, or not ours to command.
    Nobody,
}

async fn introduce(entry: Entry) -> Introduced {
    let asked = async {
        let (mut stream, peer) = entry.connect().await.map_err(CallError::Connect)?;
        let reply = talk(&mut stream, &Request::Identify).await?;
        Ok((peer.is_ours, reply))
    };
    match timeout(INTRODUCTION, asked).await {
        Ok(Ok((is_ours, Reply::Identity(identity)))) => Introduced::As(Box::new(Found {
            identity,
            is_ours,
            entry,
        })),
        Ok(Err(CallError::Silent)) | Err(_) => Introduced::Silent,
        Ok(Ok(_) | Err(_)) => Introduced::Nobody,
    }
}

fn choose(
    wanted: &Wanted,
    found: Vec<Found>,
    silent: usize,
    folders: Vec<PathBuf>,
) -> Result<Found, FindError> {
    let wanted = wanted.clone();
    if found.is_empty() {
        return Err(FindError::None {
            wanted,
            folders,
            silent,
        });
    }
    let mut candidates: Vec<Found> = found
        .iter()
        .filter(|server| is_meant(&server.identity, &wanted))
        .cloned()
        .collect();
    // What another user's server says of itself must not come in the way of one's own.
    if candidates.iter().any(|server| server.is_ours) {
        candidates.retain(|server| server.is_ours);
    }
    match candidates.len() {
        0 => Err(FindError::Another {
            wanted,
            others: found,
            silent,
        }),
        1 => Ok(candidates.swap_remove(0)),
        _ => Err(FindError::Several { wanted, candidates }),
    }
}

fn is_meant(server: &Identity, wanted: &Wanted) -> bool {
    match wanted {
        Wanted::Only => true,
        Wanted::File(file) => server
            .file
            .as_deref()
            .is_some_and(|theirs| is_same_file(file, Path::new(theirs))),
        Wanted::Name(name) => {
            let is_address = |address: &String| is_same_address(name, address);
            *name == server.pid.to_string()
                || server.file.as_ref() == Some(name)
                || server.addresses.iter().any(is_address)
        }
    }
}

/// Also by another name of it, while it is there.
fn is_same_file(one: &Path, other: &Path) -> bool {
    let real = |path: &Path| std::fs::canonicalize(path).ok();
    one == other || real(one).is_some_and(|one| real(other) == Some(one))
}

/// `:8000` is that port at any address.
fn is_same_address(wanted: &str, address: &str) -> bool {
    let (wanted, address) = (bare(wanted), bare(address));
    wanted == address || (wanted.starts_with(':') && wanted.len() > 1 && address.ends_with(wanted))
}

/// Without scheme and what may follow.
fn bare(address: &str) -> &str {
    let rest = ["http://", "https://"]
        .iter()
        .find_map(|scheme| address.strip_prefix(scheme))
        .unwrap_or(address);
    rest.trim_end_matches('/')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn server(pid: u32, file: Option<&str>, addresses: &[&str]) -> Found {
        Found {
            identity: Identity {
                version: "1.0.0".into(),
                pid,
                file: file.map(str::to_owned),
                addresses: addresses.iter().map(|&address| address.to_owned()).collect(),
            },
            is_ours: true,
            entry: Entry::for_tests(pid),
        }
    }

    fn another(server: Found) -> Found {
        Found {
            is_ours: false,
            ..server
        }
    }

    fn choose(wanted: &Wanted, found: &[Found]) -> Result<u32, FindError> {
        super::choose(wanted, found.to_vec(), 0, vec!["/run/carme".into()]).map(|found| found.identity.pid)
    }

    fn name(name: &str) -> Wanted {
        Wanted::Name(name.into())
    }

    #[test]
    fn the_only_one_needs_no_name() {
        let ours = server(7, None, &["http://127.0.0.1:8000"]);
        assert_eq!(choose(&Wanted::Only, std::slice::from_ref(&ours)), Ok(7));
        let theirs = another(server(8, None, &["http://127.0.0.1:8001"]));
        assert_eq!(
            choose(&Wanted::Only, &[theirs.clone(), ours]),
            Ok(7),
            "one's own first"
        );
        assert_eq!(choose(&Wanted::Only, &[theirs]), Ok(8));
    }

    #[test]
    fn one_of_several_is_found_by_all_that_is_known_of_it() {
        let servers = [
            server(
                7,
                Some("/srv/a.toml"),
                &["http://0.0.0.0:80", "https://0.0.0.0:443"],
            ),
            server(8, None, &["http://127.0.0.1:8000", "unix:/run/site.sock"]),
        ];
        for (wanted, pid) in [
            (Wanted::File("/srv/a.toml".into()), 7),
            (name("/srv/a.toml"), 7),
            (name("7"), 7),
            (name("0.0.0.0:443"), 7),
            (name("https://0.0.0.0:443/"), 7),
            (name(":80"), 7),
            (name(":8000"), 8),
            (name("127.0.0.1:8000"), 8),
            (name("unix:/run/site.sock"), 8),
        ] {
            assert_eq!(choose(&wanted, &servers), Ok(pid), "{wanted}");
        }
        for wanted in [
            name("0"),
            name(":"),
            name(""),
            name("127.0.0.1"),
            Wanted::File("/srv/b.toml".into()),
        ] {
            assert!(choose(&wanted, &servers).is_err(), "{wanted}");
        }
    }

    #[test]
    fn a_file_is_the_same_by_another_path() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("carme.toml");
        std::fs::write(&file, "").expect("written");
        std::fs::create_dir(folder.path().join("sub")).expect("made");
        let servers = [server(7, file.to_str(), &[])];
        let other = folder.path().join("sub").join("..").join("carme.toml");
        assert_eq!(choose(&Wanted::File(other), &servers), Ok(7));
    }

    #[test]
    fn another_users_server_cannot_take_the_place_of_ones_own() {
        let ours = server(7, Some("/srv/a.toml"), &["http://127.0.0.1:80"]);
        let theirs = another(server(8, Some("/srv/a.toml"), &["http://127.0.0.1:80"]));
        assert_eq!(
            choose(&Wanted::File("/srv/a.toml".into()), &[ours, theirs.clone()]),
            Ok(7)
        );
        assert_eq!(choose(&Wanted::File("/srv/a.toml".into()), &[theirs]), Ok(8));
    }

    fn error(wanted: &Wanted, found: &[Found]) -> String {
        choose(wanted, found).expect_err("none is found").to_string()
    }

    #[test]
    fn errors_say_who_was_looked_for_and_who_is_there() {
        let a = server(7, Some("/srv/a.toml"), &["http://0.0.0.0:80"]);
        let b = server(8, None, &["http://127.0.0.1:8000"]);
        let again = server(9, Some("/srv/a.toml"), &["http://0.0.0.0:80"]);
        assert_eq!(
            error(&Wanted::Only, &[a.clone(), b.clone()]),
            "2 servers run; say which one:\n    \
             -c /srv/a.toml    (process 7, at http://0.0.0.0:80)\n    \
             --name http://127.0.0.1:8000    (process 8, at http://127.0.0.1:8000)"
        );
        assert_eq!(
            error(
                &Wanted::File("/srv/a.toml".into()),
                &[a.clone(), b.clone(), again]
            ),
            "2 servers with the configuration file /srv/a.toml run; say which one:\n    \
             --name 7    (process 7, at http://0.0.0.0:80)\n    \
             --name 9    (process 9, at http://0.0.0.0:80)"
        );
        assert_eq!(
            error(&name(":81"), &[another(b)]),
            "no server with the address, process or name \":81\" runs; but these do:\n    \
             --name http://127.0.0.1:8000    (process 8, at http://127.0.0.1:8000, another user's)"
        );
        let nobody = error(&Wanted::File("/srv/a.toml".into()), &[]);
        assert!(
            nobody.starts_with(
                "no server with the configuration file /srv/a.toml runs, nor any other that you could command \
                 (looked in /run/carme)\n    help: a server that another user runs"
            ),
            "{nobody}"
        );
        let silent = super::choose(&Wanted::Only, vec![], 1, vec![]).expect_err("none");
        assert!(silent.to_string().contains("1 more did not answer"), "{silent}");
    }

    #[test]
    fn what_servers_say_of_themselves_is_no_command_to_the_terminal() {
        let bad = another(server(8, None, &["http://\u{1b}[2J"]));
        assert!(!error(&name("x"), &[bad]).contains('\u{1b}'));
    }
}
