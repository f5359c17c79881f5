//! Processes that the tests end, or want to see ended.

use std::process::{Command, Stdio};

/// Ends a process at once, as `kill -9` does.
pub fn kill(pid: u32) {
    let mut command = if cfg!(windows) {
        let mut command = Command::new("taskkill");
        command.args(["/F", "/PID", &pid.to_string()]);
        command
    } else {
        let mut command = Command::new("kill");
        command.args(["-9", &pid.to_string()]);
        command
    };
    let _ = command.stdin(Stdio::null()).output();
}

/// Whether a process exists and is not merely waiting to be reaped.
#[cfg(unix)]
pub fn exists(pid: u32) -> bool {
    std::fs::read_to_string(format!("/proc/{pid}/stat")).is_ok_and(|stat| {
        !stat
            .rsplit(')')
            .next()
            .unwrap_or_default()
            .trim_start()
            .starts_with(['Z', 'X'])
    })
}

/// Whether a process exists and has not ended. Asks the system by Python: Wine's `tasklist` lists nothing.
#[cfg(windows)]
pub fn exists(pid: u32) -> bool {
    const ASK: &str = "import ctypes, sys; kernel = ctypes.WinDLL('kernel32'); \
                       kernel.OpenProcess.restype = ctypes.c_void_p; \
                       kernel.WaitForSingleObject.argtypes = [ctypes.c_void_p, ctypes.c_uint]; \
                       process = kernel.OpenProcess(0x100000, 0, int(sys.argv[1])); \
                       runs = process and kernel.WaitForSingleObject(process, 0) == 0x102; \
                       print('runs' if runs else 'gone')";
    let output = Command::new(crate::python::main())
        .args(["-c", ASK, &pid.to_string()])
        .stdin(Stdio::null())
        .output()
        .expect("Python runs");
    match String::from_utf8_lossy(&output.stdout).trim() {
        "runs" => true,
        "gone" => false,
        other => panic!("{other:?}: {}", String::from_utf8_lossy(&output.stderr)),
    }
}

/// Sends a process a signal by its name: `USR1`.
#[cfg(unix)]
pub fn signal(pid: u32, name: &str) {
    let _ = Command::new("kill")
        .args([format!("-{name}"), pid.to_string()])
        .output();
}

/// Asks a process to end, as an administrator does: SIGTERM. Windows has no such thing for a process without a console.
#[cfg(unix)]
pub fn terminate(pid: u32) {
    signal(pid, "TERM");
}
