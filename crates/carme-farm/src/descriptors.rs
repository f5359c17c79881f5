//! As many open connections for the front as the system lets this user have, and for workers what they would have without it.

/// Raises this process's limit of open descriptors to the hard limit, once. Workers that are started later do not inherit
/// it: a program that closes every descriptor that it could have, or calls `select`, fares badly with a million of them.
/// Windows has no such limit.
pub fn raise_limit() {
    imp::raise_limit();
}

#[cfg(unix)]
pub(crate) use imp::restore_limit;

#[cfg(unix)]
mod imp {
    use std::io;
    use std::sync::OnceLock;

    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

    /// As it was before it was raised.
    static BEFORE: OnceLock<Rlimit> = OnceLock::new();

    pub(super) fn raise_limit() {
        let before = *BEFORE.get_or_init(|| getrlimit(Resource::Nofile));
        if before.current == before.maximum {
            return;
        }
        let raised = Rlimit {
            current: before.maximum,
            ..before
        };
        if let Err(error) = setrlimit(Resource::Nofile, raised) {
            tracing::warn!("the limit of open files could not be raised: {error}");
        }
    }

    /// In a new process: undoes [`raise_limit`]. One system call, nothing else.
    pub(crate) fn restore_limit() -> io::Result<()> {
        match BEFORE.get() {
            Some(before) => Ok(setrlimit(Resource::Nofile, *before)?),
            None => Ok(()),
        }
    }
}

#[cfg(windows)]
mod imp {
    pub(super) fn raise_limit() {}
}
