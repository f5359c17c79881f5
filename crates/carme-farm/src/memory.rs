//! How much memory a process has.

/// Bytes of a process that are in memory now: its resident set on Linux, its working set on Windows. `None` if there is
/// no such process, or where it cannot be known. Asks the operating system; not for async code.
pub fn resident(pid: u32) -> Option<u64> {
    imp::resident(pid)
}

#[cfg(target_os = "linux")]
mod imp {
    pub(super) fn resident(pid: u32) -> Option<u64> {
        resident_in(&std::fs::read_to_string(format!("/proc/{pid}/status")).ok()?)
    }

    fn resident_in(status: &str) -> Option<u64> {
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
        let kibibytes: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
        Some(kibibytes * 1024)
    }

    #[test]
    fn the_kernels_line_is_read() {
        let status = "Name:\tVmRSS: 1 kB\nVmHWM:\t   20480 kB\nVmRSS:\t   10240 kB\nRssAnon:\t 1 kB\n";
        assert_eq!(resident_in(status), Some(10 << 20));
        assert_eq!(resident_in("Name:\tzombie\n"), None);
    }
}

#[cfg(windows)]
#[allow(unsafe_code)]
mod imp {
    use std::os::windows::io::{AsRawHandle, FromRawHandle, OwnedHandle};

    use windows_sys::Win32::System::ProcessStatus::{K32GetProcessMemoryInfo, PROCESS_MEMORY_COUNTERS};
    use windows_sys::Win32::System::Threading::{OpenProcess, PROCESS_QUERY_LIMITED_INFORMATION};

    pub(super) fn resident(pid: u32) -> Option<u64> {
        // SAFETY: no pointers; a failure is a null handle.
        let handle = unsafe { OpenProcess(PROCESS_QUERY_LIMITED_INFORMATION, 0, pid) };
        if handle.is_null() {
            return None;
        }
        // SAFETY: just opened, and owned by nobody else.
        let process = unsafe { OwnedHandle::from_raw_handle(handle) };
        let mut counters = PROCESS_MEMORY_COUNTERS::default();
        let size = size_of::<PROCESS_MEMORY_COUNTERS>() as u32;
        // SAFETY: an open handle, and a structure of the size that is named.
        let known = unsafe { K32GetProcessMemoryInfo(process.as_raw_handle(), &mut counters, size) } != 0;
        known.then_some(counters.WorkingSetSize as u64)
    }
}

#[cfg(not(any(target_os = "linux", windows)))]
mod imp {
    pub(super) fn resident(_: u32) -> Option<u64> {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[cfg(any(target_os = "linux", windows))]
    #[test]
    fn what_is_used_is_seen() {
        const MORE: usize = 64 << 20;
        let before = resident(std::process::id()).expect("this process");
        assert!(before > 100_000, "{before}");
        let memory = std::hint::black_box(vec![1u8; MORE]);
        let after = resident(std::process::id()).expect("this process");
        assert!(after > before + MORE as u64 / 2, "{before} {after}");
        drop(memory);
    }

    #[test]
    fn a_process_that_does_not_exist_has_none() {
        assert_eq!(resident(u32::MAX - 7), None);
    }
}
