//! Python's `faulthandler`, called on: it writes the stacks of all threads to standard error, and needs no GIL for it.

pub use imp::FaultHandler;

#[cfg(unix)]
mod imp {
    use std::ffi::c_int;

    use pyo3::prelude::*;
    use pyo3::types::PyDict;

    /// After the first real-time signal: seldom used by anybody.
    const AFTER_FIRST: c_int = 17;

    /// A signal whose handler is the fault handler's.
    pub struct FaultHandler(c_int);

    impl FaultHandler {
        /// What is said before it writes.
        pub const INTRODUCTION: &str = "; the stacks without it, the last call first:";

        /// Registers the signal. Nothing: this system has none to spare.
        pub fn prepare(py: Python<'_>) -> Option<Self> {
            let first: c_int = py
                .import("signal")
                .and_then(|module| module.getattr("SIGRTMIN"))
                .and_then(|number| number.extract())
                .ok()?;
            let signal = first + AFTER_FIRST;
            let settings = PyDict::new(py);
            settings.set_item("file", 2).ok()?;
            settings.set_item("all_threads", true).ok()?;
            py.import("faulthandler")
                .and_then(|module| module.call_method("register", (signal,), Some(&settings)))
                .ok()?;
            Some(Self(signal))
        }

        /// Writes the stacks.
        pub fn write(&self) {
            if self.is_handled() {
                // SAFETY: takes a number; the signal, which has a handler, goes to this thread.
                unsafe { libc::raise(self.0) };
            }
        }

        /// The app may have taken the handler away; the signal would end the process then.
        fn is_handled(&self) -> bool {
            let mut action = std::mem::MaybeUninit::<libc::sigaction>::zeroed();
            // SAFETY: nothing is changed; the pointer is to a local of the right type, for which zeros are a value.
            let (known, action) = unsafe {
                let known = libc::sigaction(self.0, std::ptr::null(), action.as_mut_ptr()) == 0;
                (known, action.assume_init())
            };
            known && action.sa_sigaction != libc::SIG_DFL
        }
    }
}

#[cfg(windows)]
mod imp {
    use pyo3::prelude::*;
    use windows_sys::Win32::System::Diagnostics::Debug::{
        AddVectoredExceptionHandler, EXCEPTION_POINTERS, RaiseException,
    };

    /// An exception of our own: an error (of which the fault handler writes), defined by an application, "crm".
    const CODE: u32 = 0xE000_0000 | 0x0063_726D;
    const CONTINUE_EXECUTION: i32 = -1;
    const CONTINUE_SEARCH: i32 = 0;

    /// A system exception that the fault handler tells of and that is over then.
    pub struct FaultHandler(());

    impl FaultHandler {
        /// What is said before it writes.
        pub const INTRODUCTION: &str =
            "; the stacks without it, the last call first (what is called a fatal exception here is none):";

        /// Sees to it that the exception has no consequences. `start.py` has switched the fault handler on.
        pub fn prepare(_: Python<'_>) -> Option<Self> {
            // SAFETY: a function of the right type that lives as long as the process; the last in the row, so that the
            // fault handler's is called before it.
            let handle = unsafe { AddVectoredExceptionHandler(0, Some(go_on)) };
            (!handle.is_null()).then_some(Self(()))
        }

        /// Writes the stacks.
        pub fn write(&self) {
            // SAFETY: without arguments. Execution goes on here: `go_on` says so.
            unsafe { RaiseException(CODE, 0, 0, std::ptr::null()) };
        }
    }

    unsafe extern "system" fn go_on(exception: *mut EXCEPTION_POINTERS) -> i32 {
        // SAFETY: the system passes pointers that are valid during the call.
        let record = unsafe { (*exception).ExceptionRecord };
        // SAFETY: as above.
        match unsafe { (*record).ExceptionCode } as u32 {
            CODE => CONTINUE_EXECUTION,
            _ => CONTINUE_SEARCH,
        }
    }
}
