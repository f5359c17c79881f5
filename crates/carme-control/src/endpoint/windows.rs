//! A named pipe, and a file that says its name, which Windows removes when its server's process ends.
//!
//! The pipe's access list admits its user, administrators and the system; other machines are turned away. Its name is made
//! by chance, and it must be the first of that name, so that nobody can be waiting there in its place.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::windows::fs::OpenOptionsExt;
use std::path::PathBuf;
use std::time::Duration;

use tokio::net::windows::named_pipe::{ClientOptions, NamedPipeClient, NamedPipeServer};
use windows_sys::Win32::Foundation::{ERROR_PIPE_BUSY, GENERIC_WRITE};
use windows_sys::Win32::Storage::FileSystem::{
    DELETE, FILE_FLAG_DELETE_ON_CLOSE, FILE_SHARE_DELETE, FILE_SHARE_READ, FILE_SHARE_WRITE,
};

use super::{Entry, Peer, random_name};

mod security;

use security::Descriptor;

pub(super) const SUFFIX: &str = ".pipe";

/// Between attempts to reach a server that is about to offer another end of its pipe.
const BUSY: Duration = Duration::from_millis(20);

/// A connection, at the server.
pub(crate) type Incoming = NamedPipeServer;
/// A connection, at a command.
pub(crate) type Outgoing = NamedPipeClient;

/// A folder for entries.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Folder {
    pub(super) path: PathBuf,
}

/// Where a server may put its entry, best first: where all users of the machine look, or where only this one does.
pub(super) fn folders_to_serve(choice: Option<PathBuf>) -> Vec<Folder> {
    if let Some(path) = choice {
        return vec![Folder { path }];
    }
    let absolute = |variable: &str| {
        let value = std::env::var_os(variable).map(PathBuf::from);
        value.filter(|path| path.is_absolute())
    };
    [
        absolute("ProgramData"),
        absolute("LOCALAPPDATA"),
        Some(std::env::temp_dir()),
    ]
    .into_iter()
    .flatten()
    .map(|folder| Folder {
        path: folder.join("carme").join("servers"),
    })
    .collect()
}

/// Where servers may be. Whose they are is known from their pipes.
pub(super) fn folders_to_search(choice: Option<PathBuf>) -> Vec<PathBuf> {
    let folders = folders_to_serve(choice).into_iter().map(|folder| folder.path);
    folders.filter(|folder| folder.is_dir()).collect()
}

fn pipe(name: &str) -> String {
    format!(r"\\.\pipe\carme-{name}")
}

pub(super) struct Listener {
    /// First: nobody shall come any more when the pipe ends.
    _entry: File,
    name: String,
    descriptor: Descriptor,
    /// The end that the next command connects to.
    next: NamedPipeServer,
}

impl Listener {
    pub(super) fn open(folder: &Folder) -> io::Result<Self> {
        std::fs::create_dir_all(&folder.path)?;
        let name = random_name()?;
        let descriptor = Descriptor::for_this_user()?;
        let next = descriptor.create(&pipe(&name), true)?;
        let entry = Entry {
            folder: folder.path.clone(),
            name,
        };
        let file = OpenOptions::new()
            .write(true)
            .create_new(true)
            .access_mode(GENERIC_WRITE | DELETE)
            .share_mode(FILE_SHARE_READ | FILE_SHARE_WRITE | FILE_SHARE_DELETE)
            .custom_flags(FILE_FLAG_DELETE_ON_CLOSE)
            .open(entry.path(SUFFIX))?;
        Ok(Listener {
            _entry: file,
            name: entry.name,
            descriptor,
            next,
        })
    }

    pub(super) async fn accept(&mut self) -> io::Result<Incoming> {
        if let Err(error) = self.next.connect().await {
            // Who came has left again.
            let _ = self.next.disconnect();
            return Err(error);
        }
        let next = self.descriptor.create(&pipe(&self.name), false)?;
        Ok(std::mem::replace(&mut self.next, next))
    }
}

/// Removes what a server left that could not even end: its pipe is no more.
pub(super) fn remove_if_dead(entry: &Entry) {
    let _ = std::fs::remove_file(entry.path(SUFFIX));
}

pub(super) async fn connect(entry: &Entry) -> io::Result<(Outgoing, Peer)> {
    let name = pipe(&entry.name);
    let stream = loop {
        // By default the server may know who calls, and not act in their name.
        match ClientOptions::new().open(&name) {
            Err(error) if error.raw_os_error() == Some(ERROR_PIPE_BUSY as i32) => {
                tokio::time::sleep(BUSY).await;
            }
            other => break other?,
        }
    };
    let peer = Peer {
        is_ours: security::is_owned_by_this_user(&stream)?,
        pid: security::server_process(&stream),
    };
    Ok((stream, peer))
}
