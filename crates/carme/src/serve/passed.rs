//! Sockets that systemd has opened and passed to this process (`LISTEN_FDS`), by their names.

use carme_front::{BindError, Listener};

/// Why an address `systemd:NAME` cannot be served.
#[derive(Debug, thiserror::Error)]
pub(crate) enum PassedError {
    #[error("systemd has passed no socket {name}: {}", what_there_is(.known))]
    NoneOfThatName { name: String, known: Vec<String> },
    #[error(transparent)]
    Bind(#[from] BindError),
    #[error("the sockets that systemd has passed cannot be used: {0}")]
    System(#[from] std::io::Error),
}

fn what_there_is(names: &[String]) -> String {
    match names {
        [] => "it has passed none at all; start its socket unit, whose Service= is this service".to_owned(),
        names => format!(
            "it has passed {} (FileDescriptorName= names them)",
            names.join(", ")
        ),
    }
}

/// Takes the passed sockets out of the reach of what this process starts. To be called before it starts anything.
pub(super) fn take() {
    imp::take();
}

/// Listens on all sockets that were passed under this name. Call it within the runtime.
pub(super) fn listen(name: &str) -> Result<Vec<Listener>, PassedError> {
    imp::listen(name)
}

/// Names of passed sockets that none of these is for.
pub(super) fn unused<'n>(names: impl Iterator<Item = &'n str> + Clone) -> Vec<String> {
    let all = imp::names();
    all.into_iter()
        .filter(|passed| !names.clone().any(|name| name == passed))
        .collect()
}

#[cfg(unix)]
#[allow(unsafe_code)]
mod imp {
    use std::os::fd::{BorrowedFd, FromRawFd, OwnedFd, RawFd};
    use std::sync::OnceLock;

    use rustix::io::{FdFlags, fcntl_getfd, fcntl_setfd};

    use super::{Listener, PassedError};

    /// The first that is passed; the others follow it.
    const FIRST: RawFd = 3;

    /// Kept for as long as the process lives: a reload may drop an address and bring it back.
    static PASSED: OnceLock<Vec<(String, OwnedFd)>> = OnceLock::new();

    fn passed() -> &'static [(String, OwnedFd)] {
        PASSED.get_or_init(|| {
            let variable = |name| std::env::var(name).ok();
            let names = names_of(
                variable("LISTEN_PID").as_deref(),
                variable("LISTEN_FDS").as_deref(),
                variable("LISTEN_FDNAMES").as_deref(),
                std::process::id(),
            );
            let sockets = (FIRST..).zip(names).filter_map(|(number, name)| {
                // SAFETY: only asked whether it is open.
                let borrowed = unsafe { BorrowedFd::borrow_raw(number) };
                fcntl_getfd(borrowed).ok()?;
                // Python processes have no business with it.
                let _ = fcntl_setfd(borrowed, FdFlags::CLOEXEC);
                // SAFETY: open, and passed to this process for its use; it is taken once.
                Some((name, unsafe { OwnedFd::from_raw_fd(number) }))
            });
            sockets.collect()
        })
    }

    /// The names of the sockets that were passed to the process with this id, in order.
    fn names_of(pid: Option<&str>, count: Option<&str>, names: Option<&str>, own: u32) -> Vec<String> {
        if pid.and_then(|pid| pid.parse().ok()) != Some(own) {
            return Vec::new();
        }
        let count = count.and_then(|count| count.parse().ok()).unwrap_or(0);
        let given = names.unwrap_or_default().split(':').map(str::to_owned);
        // What systemd itself calls one without a name.
        given
            .chain(std::iter::repeat("unknown".to_owned()))
            .take(count)
            .collect()
    }

    pub(super) fn take() {
        passed();
    }

    pub(super) fn names() -> Vec<String> {
        let mut names: Vec<String> = passed().iter().map(|(name, _)| name.clone()).collect();
        names.sort();
        names.dedup();
        names
    }

    pub(super) fn listen(name: &str) -> Result<Vec<Listener>, PassedError> {
        let of_that_name = passed().iter().filter(|(passed, _)| passed == name);
        let listeners = of_that_name
            .map(|(_, socket)| Ok(Listener::passed(socket.try_clone()?, &format!("systemd:{name}"))?))
            .collect::<Result<Vec<_>, PassedError>>()?;
        match listeners.is_empty() {
            false => Ok(listeners),
            true => Err(PassedError::NoneOfThatName {
                name: name.to_owned(),
                known: names(),
            }),
        }
    }

    #[cfg(test)]
    mod tests {
        use super::names_of;

        #[test]
        fn what_the_environment_says() {
            for (pid, count, names, expected) in [
                (Some("7"), Some("2"), Some("web:admin"), &["web", "admin"][..]),
                (Some("7"), Some("2"), Some("web"), &["web", "unknown"]),
                (Some("7"), Some("1"), Some("web:admin"), &["web"]),
                (Some("8"), Some("1"), Some("web"), &[]),
                (None, Some("1"), Some("web"), &[]),
                (Some("7"), None, None, &[]),
                (Some("7"), Some("x"), None, &[]),
            ] {
                assert_eq!(
                    names_of(pid, count, names, 7),
                    expected,
                    "{pid:?} {count:?} {names:?}"
                );
            }
        }
    }
}

#[cfg(windows)]
mod imp {
    use super::{Listener, PassedError};

    pub(super) fn take() {}

    pub(super) fn names() -> Vec<String> {
        Vec::new()
    }

    pub(super) fn listen(name: &str) -> Result<Vec<Listener>, PassedError> {
        Err(PassedError::NoneOfThatName {
            name: name.to_owned(),
            known: names(),
        })
    }
}
