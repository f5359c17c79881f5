//! One clock that all processes of a machine share.

/// Nanoseconds of the system's monotonic clock. Comparable between processes, and never going back.
pub fn now() -> u64 {
    imp::now()
}

#[cfg(unix)]
mod imp {
    pub(super) fn now() -> u64 {
        let t = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
        t.tv_sec as u64 * 1_000_000_000 + t.tv_nsec as u64
    }
}

#[cfg(windows)]
mod imp {
    use std::sync::OnceLock;
    use windows_sys::Win32::System::Performance::{QueryPerformanceCounter, QueryPerformanceFrequency};

    pub(super) fn now() -> u64 {
        static FREQUENCY: OnceLock<u64> = OnceLock::new();
        let frequency = *FREQUENCY.get_or_init(|| {
            let mut f = 0;
            // SAFETY: the pointer is to a local of the right type; the call cannot fail since Windows XP.
            unsafe { QueryPerformanceFrequency(&mut f) };
            (f as u64).max(1)
        });
        let mut ticks = 0;
        // SAFETY: as above.
        unsafe { QueryPerformanceCounter(&mut ticks) };
        (u128::from(ticks as u64) * 1_000_000_000 / u128::from(frequency)) as u64
    }
}
