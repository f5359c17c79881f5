//! The end of this process, at once.

/// Ends the process without running anything more of it: no destructors, no `atexit`, no waiting for the GIL. For when
/// the front is gone or says so; nobody waits for what the app might still do.
pub fn exit_now(code: u8) -> ! {
    imp::exit_now(code)
}

#[cfg(unix)]
mod imp {
    unsafe extern "C" {
        // POSIX. std and rustix have only the one that runs `atexit` handlers, which may wait for the GIL for ever.
        fn _exit(code: std::ffi::c_int) -> !;
    }

    pub(super) fn exit_now(code: u8) -> ! {
        // SAFETY: takes a number and does not return.
        unsafe { _exit(code.into()) }
    }
}

#[cfg(windows)]
mod imp {
    use windows_sys::Win32::System::Threading::{GetCurrentProcess, TerminateProcess};

    pub(super) fn exit_now(code: u8) -> ! {
        // SAFETY: a pseudo handle that is always valid, and a number.
        unsafe { TerminateProcess(GetCurrentProcess(), code.into()) };
        // Termination of oneself happens before the call returns, or not at all.
        std::process::abort()
    }
}

/// Says why on standard error, then [`exit_now`]. For what a worker cannot go on after.
pub fn give_up(why: &dyn std::fmt::Display) -> ! {
    eprintln!("carme: this worker cannot go on: {why}");
    exit_now(70)
}

/// Returns when a bell was rung; a silent one means that the front is gone.
pub fn was_rung(heard: std::io::Result<bool>) {
    match heard {
        Ok(true) => {}
        Ok(false) => exit_now(0),
        Err(error) => give_up(&format_args!("a doorbell is broken: {error}")),
    }
}
