//! A Job Object that ends with the front, and exactly three inherited handles.
//!
//! `std::process` would do but for two things: it lets a child inherit every inheritable handle, an accepted client's
//! socket among them, and it cannot make a process in its job. One that is put there later may have started another by then
//! (a virtual environment's launcher does), and is an orphan for ever if the front dies in between.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io;
use std::os::windows::ffi::OsStrExt;
use std::os::windows::io::{AsRawHandle, FromRawHandle, OwnedHandle};
use std::process::Command;
use std::ptr::{null, null_mut};
use std::sync::Arc;

use windows_sys::Win32::Foundation::{
    HANDLE, HANDLE_FLAG_INHERIT, SetHandleInformation, WAIT_FAILED, WAIT_OBJECT_0,
};
use windows_sys::Win32::System::JobObjects::{
    CreateJobObjectW, JOB_OBJECT_LIMIT_KILL_ON_JOB_CLOSE, JOBOBJECT_EXTENDED_LIMIT_INFORMATION,
    JobObjectExtendedLimitInformation, SetInformationJobObject, TerminateJobObject,
};
use windows_sys::Win32::System::Threading::{
    CREATE_NEW_PROCESS_GROUP, CREATE_NO_WINDOW, CREATE_UNICODE_ENVIRONMENT, CreateProcessW,
    DeleteProcThreadAttributeList, EXTENDED_STARTUPINFO_PRESENT, GetExitCodeProcess, INFINITE,
    InitializeProcThreadAttributeList, LPPROC_THREAD_ATTRIBUTE_LIST, PROC_THREAD_ATTRIBUTE_HANDLE_LIST,
    PROC_THREAD_ATTRIBUTE_JOB_LIST, PROCESS_INFORMATION, STARTF_USESTDHANDLES, STARTUPINFOEXW,
    TerminateProcess, UpdateProcThreadAttribute, WaitForSingleObject,
};

use super::{Exit, User};

/// The exit code of what is killed.
const KILLED: u32 = 1;

pub(super) struct Child {
    id: u32,
    process: OwnedHandle,
    job: OwnedHandle,
}

pub(super) fn spawn(command: Command, user: Option<&User>) -> io::Result<(Child, File, File)> {
    if user.is_some() {
        return Err(io::ErrorKind::Unsupported.into());
    }
    let input = OwnedHandle::from(File::open("NUL")?);
    let (stdout, output) = std::io::pipe()?;
    let (stderr, error) = std::io::pipe()?;
    let child = create(&command, [input, output.into(), error.into()])?;
    Ok((
        child,
        OwnedHandle::from(stdout).into(),
        OwnedHandle::from(stderr).into(),
    ))
}

/// Starts the process with these as its standard handles, in a job of its own.
fn create(command: &Command, standard: [OwnedHandle; 3]) -> io::Result<Child> {
    for handle in &standard {
        // SAFETY: an open handle of this process.
        succeeded(unsafe {
            SetHandleInformation(handle.as_raw_handle(), HANDLE_FLAG_INHERIT, HANDLE_FLAG_INHERIT)
        })?;
    }
    let job = job()?;
    let [input, output, error] = standard.each_ref().map(AsRawHandle::as_raw_handle);
    let inherited = [input, output, error];
    let jobs = [job.as_raw_handle()];
    let attributes = Attributes::new(&inherited, &jobs)?;

    let mut startup = STARTUPINFOEXW::default();
    startup.StartupInfo.cb = size_of::<STARTUPINFOEXW>() as u32;
    startup.StartupInfo.dwFlags = STARTF_USESTDHANDLES;
    startup.StartupInfo.hStdInput = input;
    startup.StartupInfo.hStdOutput = output;
    startup.StartupInfo.hStdError = error;
    startup.lpAttributeList = attributes.list();

    let program = wide(command.get_program())?;
    let mut line = command_line(command)?;
    let environment = environment(command)?;
    let directory = command
        .get_current_dir()
        .map(|d| wide(d.as_os_str()))
        .transpose()?;
    // A console of its own without a window: the console's Ctrl+C reaches the front alone.
    let flags = CREATE_NO_WINDOW
        | CREATE_NEW_PROCESS_GROUP
        | CREATE_UNICODE_ENVIRONMENT
        | EXTENDED_STARTUPINFO_PRESENT;
    let mut information = PROCESS_INFORMATION::default();
    // SAFETY: all strings end with a zero and outlive the call, the environment with two; `line` is writable;
    // `startup` is as large as it says and its attribute list is alive.
    succeeded(unsafe {
        CreateProcessW(
            program.as_ptr(),
            line.as_mut_ptr(),
            null(),
            null(),
            1,
            flags,
            environment.as_ptr().cast(),
            directory.as_ref().map_or(null(), |d| d.as_ptr()),
            (&raw const startup).cast(),
            &mut information,
        )
    })?;
    // SAFETY: both were just opened by the call for this process alone; the thread's is only closed.
    let (process, _thread) = unsafe {
        (
            OwnedHandle::from_raw_handle(information.hProcess),
            OwnedHandle::from_raw_handle(information.hThread),
        )
    };
    Ok(Child {
        id: information.dwProcessId,
        process,
        job,
    })
}

/// A job whose processes end with its last handle, which only the front has.
fn job() -> io::Result<OwnedHandle> {
    // SAFETY: no name, no attributes; a failure is a null handle.
    let handle = unsafe { CreateJobObjectW(null(), null()) };
    if handle.is_null() {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: just opened, and owned by nobody else.
    let job = unsafe { OwnedHandle::from_raw_handle(handle) };
    let mut limits = JOBOBJECT_EXTENDED_LIMIT_INFORMATION::default();
    limits.BasicLimitInformation.LimitFlags = JOB_OBJECT_LIMIT_KILL_ON_JOB_CLOSE;
    // SAFETY: the structure is the one that this class means, with its size.
    succeeded(unsafe {
        SetInformationJobObject(
            job.as_raw_handle(),
            JobObjectExtendedLimitInformation,
            (&raw const limits).cast(),
            size_of_val(&limits) as u32,
        )
    })?;
    Ok(job)
}

/// The attributes of a process to be made: which handles it inherits, and its job (Windows 10 and later).
struct Attributes {
    /// Words, so that the list is aligned.
    memory: Vec<usize>,
}

impl Attributes {
    /// `handles` and `jobs` must stay where they are until the process is made.
    fn new(handles: &[HANDLE], jobs: &[HANDLE]) -> io::Result<Self> {
        let lists = [
            (PROC_THREAD_ATTRIBUTE_HANDLE_LIST, handles),
            (PROC_THREAD_ATTRIBUTE_JOB_LIST, jobs),
        ];
        let count = lists.len() as u32;
        let mut bytes = 0;
        // SAFETY: with no list the call only tells the size, and fails by design.
        unsafe { InitializeProcThreadAttributeList(null_mut(), count, 0, &mut bytes) };
        let attributes = Self {
            memory: vec![0; bytes.div_ceil(size_of::<usize>())],
        };
        // SAFETY: the memory has the size that was asked for.
        succeeded(unsafe { InitializeProcThreadAttributeList(attributes.list(), count, 0, &mut bytes) })?;
        for (attribute, handles) in lists {
            // SAFETY: the list is initialized and has room for each; the handles outlive it, as the caller promises.
            succeeded(unsafe {
                UpdateProcThreadAttribute(
                    attributes.list(),
                    0,
                    attribute as usize,
                    handles.as_ptr().cast(),
                    size_of_val(handles),
                    null_mut(),
                    null(),
                )
            })?;
        }
        Ok(attributes)
    }

    fn list(&self) -> LPPROC_THREAD_ATTRIBUTE_LIST {
        self.memory.as_ptr().cast_mut().cast()
    }
}

impl Drop for Attributes {
    fn drop(&mut self) {
        // SAFETY: the list was initialized, or is zeroed memory, which has nothing to free.
        unsafe { DeleteProcThreadAttributeList(self.list()) };
    }
}

impl Child {
    pub(super) fn id(&self) -> u32 {
        self.id
    }

    pub(super) fn alive(&self) -> bool {
        // SAFETY: an open process handle.
        unsafe { WaitForSingleObject(self.process.as_raw_handle(), 0) != WAIT_OBJECT_0 }
    }

    pub(super) fn kill(&self) {
        // SAFETY: an open job handle.
        unsafe { TerminateJobObject(self.job.as_raw_handle(), KILLED) };
    }

    pub(super) fn wait(&self) -> io::Result<Exit> {
        let mut code = 0;
        // SAFETY: an open process handle, and a place for the code.
        unsafe {
            if WaitForSingleObject(self.process.as_raw_handle(), INFINITE) == WAIT_FAILED {
                return Err(io::Error::last_os_error());
            }
            succeeded(GetExitCodeProcess(self.process.as_raw_handle(), &mut code))?;
        }
        self.kill();
        Ok(Exit::Code(code.cast_signed()))
    }
}

pub(super) struct Peer {
    pid: u32,
    process: carme_ring::link::WorkerProcess,
}

impl Peer {
    pub(super) fn open(peer: &carme_ring::link::Peer) -> io::Result<Self> {
        Ok(Self {
            pid: peer.pid,
            process: Arc::clone(&peer.process),
        })
    }

    pub(super) fn pid(&self) -> u32 {
        self.pid
    }

    pub(super) fn kill(&self) {
        // SAFETY: an open process handle with the right to terminate.
        unsafe { TerminateProcess(self.process.as_raw_handle(), KILLED) };
    }

    pub(super) fn wait(&self) {
        // SAFETY: an open process handle with the right to synchronize.
        unsafe { WaitForSingleObject(self.process.as_raw_handle(), INFINITE) };
    }
}

fn succeeded(result: i32) -> io::Result<()> {
    if result == 0 {
        Err(io::Error::last_os_error())
    } else {
        Ok(())
    }
}

/// With a zero at its end, and none before it.
fn wide(text: &OsStr) -> io::Result<Vec<u16>> {
    let mut wide: Vec<u16> = text.encode_wide().collect();
    if wide.contains(&0) {
        return Err(io::Error::new(
            io::ErrorKind::InvalidInput,
            "a NUL in a path, argument or variable",
        ));
    }
    wide.push(0);
    Ok(wide)
}

/// The arguments as one line, quoted as `CommandLineToArgvW` and the C runtime read it.
fn command_line(command: &Command) -> io::Result<Vec<u16>> {
    let mut line = Vec::new();
    for argument in std::iter::once(command.get_program()).chain(command.get_args()) {
        if !line.is_empty() {
            line.push(u16::from(b' '));
        }
        append_quoted(&mut line, &wide(argument)?);
    }
    line.push(0);
    Ok(line)
}

fn append_quoted(line: &mut Vec<u16>, argument: &[u16]) {
    const QUOTE: u16 = b'"' as u16;
    const BACKSLASH: u16 = b'\\' as u16;
    let argument = argument.strip_suffix(&[0]).unwrap_or(argument);
    // Only where it must be: `cmd` does not read its own options in quotes.
    let needed = [b' ', b'\t', b'"'].map(u16::from);
    if !argument.is_empty() && !argument.iter().any(|unit| needed.contains(unit)) {
        line.extend_from_slice(argument);
        return;
    }
    line.push(QUOTE);
    let mut backslashes = 0;
    for &unit in argument {
        if unit == BACKSLASH {
            backslashes += 1;
        } else {
            // Before a quote, each backslash stands for itself only when doubled, and the quote needs one more.
            if unit == QUOTE {
                line.extend(std::iter::repeat_n(BACKSLASH, backslashes + 1));
            }
            backslashes = 0;
        }
        line.push(unit);
    }
    line.extend(std::iter::repeat_n(BACKSLASH, backslashes));
    line.push(QUOTE);
}

/// This process's environment with the command's changes, as one block. Names are the same in either case.
fn environment(command: &Command) -> io::Result<Vec<u16>> {
    let mut variables: BTreeMap<OsString, (OsString, OsString)> = std::env::vars_os()
        .map(|(name, value)| (name.to_ascii_uppercase(), (name, value)))
        .collect();
    for (name, value) in command.get_envs() {
        match value {
            Some(value) => variables.insert(name.to_ascii_uppercase(), (name.to_owned(), value.to_owned())),
            None => variables.remove(&name.to_ascii_uppercase()),
        };
    }
    let mut block = Vec::new();
    for (name, value) in variables.values() {
        let (mut name, value) = (wide(name)?, wide(value)?);
        name.pop();
        block.extend(name);
        block.push(u16::from(b'='));
        block.extend(value);
    }
    if block.is_empty() {
        block.push(0);
    }
    block.push(0);
    Ok(block)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn quoted(argument: &str) -> String {
        let mut line = Vec::new();
        append_quoted(&mut line, &wide(OsStr::new(argument)).unwrap());
        String::from_utf16(&line).unwrap()
    }

    #[test]
    fn arguments_are_quoted_as_they_are_read() {
        for (plain, expected) in [
            ("", r#""""#),
            ("a b", r#""a b""#),
            (r"C:\dir\", r"C:\dir\"),
            (r"C:\my dir\", r#""C:\my dir\\""#),
            (r#"say "hi""#, r#""say \"hi\"""#),
            (r#"back\"slash"#, r#""back\\\"slash""#),
        ] {
            assert_eq!(quoted(plain), expected);
        }
    }
}
