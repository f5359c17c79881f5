//! A session of its own, the user's limits, `PR_SET_PDEATHSIG` from a thread that never ends, and death seen before it is reaped.

use std::fs::File;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::{Command, Stdio};
use std::sync::{Mutex, OnceLock, PoisonError, mpsc};

use rustix::process::{
    Pid, Signal, WaitId, WaitIdOptions, getpid, getppid, kill_process_group, setsid, waitid,
};

use super::{Exit, User};

pub(super) struct Child {
    pid: Pid,
    /// The process while it is not reaped: only until then its number is its own.
    unreaped: Mutex<Option<std::process::Child>>,
}

pub(super) fn spawn(mut command: Command, user: Option<&User>) -> io::Result<(Child, File, File)> {
    command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let front = getpid();
    let user = user.map(identity::Identity::of).transpose()?;
    let prepare = move || {
        // A session and a process group of its own: no terminal to send it signals, and one name for all it starts.
        setsid()?;
        crate::descriptors::restore_limit()?;
        if let Some(user) = &user {
            user.assume()?;
        }
        // After the change of user, which the kernel forgets it at.
        #[cfg(target_os = "linux")]
        {
            rustix::process::set_parent_process_death_signal(Some(Signal::KILL))?;
            // The front may have ended before that took effect.
            if getppid() != Some(front) {
                return Err(io::Error::other("the front has ended"));
            }
        }
        #[cfg(not(target_os = "linux"))]
        let _ = (front, getppid());
        Ok(())
    };
    // SAFETY: the closure makes system calls that are async-signal-safe; `io::Error::other` allocates, but only on a
    // path where the new process is about to exit and nobody is left to read the error.
    unsafe { command.pre_exec(prepare) };
    let mut child = on_spawning_thread(command)?;
    let pid = Pid::from_child(&child);
    let missing = || io::Error::other("a process was started without its pipes");
    let stdout = OwnedFd::from(child.stdout.take().ok_or_else(missing)?);
    let stderr = OwnedFd::from(child.stderr.take().ok_or_else(missing)?);
    Ok((
        Child {
            pid,
            unreaped: Mutex::new(Some(child)),
        },
        stdout.into(),
        stderr.into(),
    ))
}

#[cfg(target_os = "linux")]
mod identity {
    use std::io;

    use rustix::process::{Gid, Uid};
    use rustix::thread::{set_thread_groups, set_thread_res_gid, set_thread_res_uid};

    use super::User;

    /// A user, ready to be assumed between `fork` and `exec`: nothing more has to be looked up or allocated.
    pub(super) struct Identity {
        uid: Uid,
        gid: Gid,
        groups: Vec<Gid>,
    }

    impl Identity {
        pub(super) fn of(user: &User) -> io::Result<Self> {
            Ok(Self {
                uid: Uid::from_raw(user.uid),
                gid: Gid::from_raw(user.gid),
                groups: user.groups.iter().copied().map(Gid::from_raw).collect(),
            })
        }

        /// Becomes that user for good; its only thread is all that the new process has.
        pub(super) fn assume(&self) -> io::Result<()> {
            // The user comes last: who has become another may change nothing more.
            set_thread_groups(&self.groups)?;
            set_thread_res_gid(self.gid, self.gid, self.gid)?;
            Ok(set_thread_res_uid(self.uid, self.uid, self.uid)?)
        }
    }
}

#[cfg(not(target_os = "linux"))]
mod identity {
    use std::io;

    use super::User;

    /// Never on this system.
    pub(super) enum Identity {}

    impl Identity {
        pub(super) fn of(_: &User) -> io::Result<Self> {
            Err(io::ErrorKind::Unsupported.into())
        }

        pub(super) fn assume(&self) -> io::Result<()> {
            match *self {}
        }
    }
}

/// Starts a process from the one thread that lives as long as the front: the kernel sends `PR_SET_PDEATHSIG` when the
/// starting thread ends, not the process.
fn on_spawning_thread(command: Command) -> io::Result<std::process::Child> {
    type Started = io::Result<std::process::Child>;
    static SPAWNER: OnceLock<mpsc::Sender<(Command, mpsc::Sender<Started>)>> = OnceLock::new();
    let spawner = SPAWNER.get_or_init(|| {
        let (send, receive) = mpsc::channel::<(Command, mpsc::Sender<Started>)>();
        let run = move || {
            while let Ok((mut command, reply)) = receive.recv() {
                let _ = reply.send(command.spawn());
            }
        };
        // Without the thread, the send below fails with the error that says so.
        let _ = std::thread::Builder::new().name("spawner".into()).spawn(run);
        send
    });
    let (reply, started) = mpsc::channel();
    let gone = || io::Error::other("the thread that starts processes could not be started");
    spawner.send((command, reply)).map_err(|_| gone())?;
    started.recv().map_err(|_| gone())?
}

impl Child {
    pub(super) fn id(&self) -> u32 {
        self.pid.as_raw_nonzero().get().unsigned_abs()
    }

    pub(super) fn alive(&self) -> bool {
        self.lock().is_some()
    }

    pub(super) fn kill(&self) {
        if self.lock().is_some() {
            let _ = kill_process_group(self.pid, Signal::KILL);
        }
    }

    pub(super) fn wait(&self) -> io::Result<Exit> {
        // Sees the death and leaves the process unreaped, so that its group cannot be anybody else's yet.
        loop {
            match waitid(
                WaitId::Pid(self.pid),
                WaitIdOptions::EXITED | WaitIdOptions::NOWAIT,
            ) {
                Ok(Some(_)) => break,
                Ok(None) | Err(rustix::io::Errno::INTR) => {}
                Err(e) => return Err(e.into()),
            }
        }
        let mut unreaped = self.lock();
        let Some(mut child) = unreaped.take() else {
            return Err(io::Error::other("waited for twice"));
        };
        let _ = kill_process_group(self.pid, Signal::KILL);
        let status = child.wait()?;
        Ok(match (status.code(), status.signal()) {
            (Some(code), _) => Exit::Code(code),
            (None, signal) => Exit::Signal(signal.unwrap_or_default()),
        })
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Option<std::process::Child>> {
        self.unreaped.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(target_os = "linux")]
pub(super) struct Peer {
    pid: u32,
    descriptor: OwnedFd,
}

#[cfg(target_os = "linux")]
impl Peer {
    pub(super) fn open(peer: &carme_ring::link::Peer) -> io::Result<Self> {
        let descriptor = rustix::process::pidfd_open(pid(peer)?, rustix::process::PidfdFlags::empty())?;
        Ok(Self {
            pid: peer.pid,
            descriptor,
        })
    }

    pub(super) fn pid(&self) -> u32 {
        self.pid
    }

    pub(super) fn kill(&self) {
        let _ = rustix::process::pidfd_send_signal(&self.descriptor, Signal::KILL);
    }

    pub(super) fn wait(&self) {
        use rustix::event::{PollFd, PollFlags, poll};
        // Readable when it is dead.
        while let Err(rustix::io::Errno::INTR) =
            poll(&mut [PollFd::new(&self.descriptor, PollFlags::IN)], None)
        {}
    }
}

#[cfg(not(target_os = "linux"))]
pub(super) struct Peer {
    pid: Pid,
}

#[cfg(not(target_os = "linux"))]
impl Peer {
    pub(super) fn open(peer: &carme_ring::link::Peer) -> io::Result<Self> {
        Ok(Self { pid: pid(peer)? })
    }

    pub(super) fn pid(&self) -> u32 {
        self.pid.as_raw_nonzero().get().unsigned_abs()
    }

    pub(super) fn kill(&self) {
        let _ = rustix::process::kill_process(self.pid, Signal::KILL);
    }

    pub(super) fn wait(&self) {
        // Not a child of the front, and no descriptor to wait for: it can only be looked at.
        while rustix::process::test_kill_process(self.pid).is_ok() {
            std::thread::sleep(std::time::Duration::from_millis(20));
        }
    }
}

fn pid(peer: &carme_ring::link::Peer) -> io::Result<Pid> {
    i32::try_from(peer.pid)
        .ok()
        .and_then(Pid::from_raw)
        .ok_or_else(|| io::ErrorKind::InvalidInput.into())
}
