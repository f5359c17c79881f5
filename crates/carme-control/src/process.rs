//! A process whose end is waited for.

/// A process of somebody else. Its number may be another's later; this stays the one that it was.
#[derive(Debug)]
pub(crate) struct Process(imp::Process);

impl Process {
    /// `None` if it cannot be watched: it is dead, or another user's, or the system has no way.
    pub(crate) fn watch(pid: u32) -> Option<Self> {
        imp::Process::watch(pid).map(Self)
    }

    /// Returns when it is dead.
    pub(crate) async fn dead(self) {
        self.0.dead().await;
    }
}

#[cfg(target_os = "linux")]
#[allow(unsafe_code)]
mod imp {
    use std::os::fd::OwnedFd;

    use rustix::process::{Pid, PidfdFlags, pidfd_open};
    use tokio::io::Interest;
    use tokio::io::unix::AsyncFd;

    #[derive(Debug)]
    pub(super) struct Process(AsyncFd<OwnedFd>);

    impl Process {
        pub(super) fn watch(pid: u32) -> Option<Self> {
            let pid = Pid::from_raw(i32::try_from(pid).ok()?)?;
            let process = pidfd_open(pid, PidfdFlags::empty()).ok()?;
            // SAFETY: the descriptor is owned, and stays open until it is dropped with its registration.
            let process = unsafe { AsyncFd::register_with_interest(process, Interest::READABLE) };
            process.ok().map(Self)
        }

        pub(super) async fn dead(self) {
            let _ = self.0.readable().await;
        }
    }
}

#[cfg(windows)]
#[allow(unsafe_code)]
mod imp {
    use std::os::windows::io::{AsRawHandle, FromRawHandle, OwnedHandle};

    use windows_sys::Win32::System::Threading::{
        INFINITE, OpenProcess, PROCESS_SYNCHRONIZE, WaitForSingleObject,
    };

    #[derive(Debug)]
    pub(super) struct Process(OwnedHandle);

    impl Process {
        pub(super) fn watch(pid: u32) -> Option<Self> {
            // SAFETY: no pointers; a failure is a null handle.
            let handle = unsafe { OpenProcess(PROCESS_SYNCHRONIZE, 0, pid) };
            // SAFETY: just opened, and owned by nobody else.
            (!handle.is_null()).then(|| Process(unsafe { OwnedHandle::from_raw_handle(handle) }))
        }

        pub(super) async fn dead(self) {
            let wait = move || {
                // SAFETY: an open handle, which this closure owns.
                unsafe { WaitForSingleObject(self.0.as_raw_handle(), INFINITE) };
            };
            let _ = tokio::task::spawn_blocking(wait).await;
        }
    }
}

#[cfg(not(any(target_os = "linux", windows)))]
mod imp {
    use std::time::Duration;

    use rustix::process::{Pid, test_kill_process};

    /// How often it is looked whether it is still there.
    const LOOK: Duration = Duration::from_millis(50);

    #[derive(Debug)]
    pub(super) struct Process(Pid);

    impl Process {
        pub(super) fn watch(pid: u32) -> Option<Self> {
            let pid = Pid::from_raw(i32::try_from(pid).ok()?)?;
            test_kill_process(pid).ok().map(|()| Self(pid))
        }

        pub(super) async fn dead(self) {
            while test_kill_process(self.0).is_ok() {
                tokio::time::sleep(LOOK).await;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::process::{Command, Stdio};
    use std::time::Duration;

    use super::*;

    #[tokio::test]
    async fn the_end_of_a_process_is_noticed() {
        // This program, waiting for a line that does not come.
        let mut child = Command::new(if cfg!(windows) { "cmd" } else { "cat" })
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .spawn()
            .expect("it starts");
        let process = Process::watch(child.id()).expect("it lives");
        let mut dead = std::pin::pin!(process.dead());
        let early = tokio::time::timeout(Duration::from_millis(50), &mut dead).await;
        assert!(early.is_err(), "it is alive");
        drop(child.stdin.take());
        tokio::time::timeout(Duration::from_secs(60), dead)
            .await
            .expect("its end is noticed");
        child.wait().expect("it has ended");
        assert!(Process::watch(u32::MAX - 7).is_none());
    }
}
