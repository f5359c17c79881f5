//! The system's Event Log, where an administrator looks when a service does not start.

use std::io;
use std::ptr::{null, null_mut};

use windows_registry::LOCAL_MACHINE;
use windows_sys::Win32::System::EventLog::{
    DeregisterEventSource, EVENTLOG_ERROR_TYPE, EVENTLOG_INFORMATION_TYPE, EVENTLOG_WARNING_TYPE,
    RegisterEventSourceW, ReportEventW,
};

use crate::service::ServiceName;

/// Below it each source has a key of its own.
const SOURCES: &str = r"SYSTEM\CurrentControlSet\Services\EventLog\Application";
/// A part of every Windows; its messages 1 to 1000 are nothing but the text that comes with the event.
const MESSAGES: &str = r"%SystemRoot%\System32\EventCreate.exe";
/// The number of all our messages.
const EVENT: u32 = 1;
/// The system takes 31,839 of them.
const LONGEST: usize = 30_000;

/// Has the Event Log show this service's events with their text. Needs an administrator.
pub(super) fn register(name: &ServiceName) -> io::Result<()> {
    let key = LOCAL_MACHINE.create(format!(r"{SOURCES}\{name}"))?;
    key.set_expand_string("EventMessageFile", MESSAGES)?;
    let all = EVENTLOG_ERROR_TYPE | EVENTLOG_WARNING_TYPE | EVENTLOG_INFORMATION_TYPE;
    Ok(key.set_u32("TypesSupported", u32::from(all))?)
}

/// Undoes it; no harm if it was not done. What was logged stays.
pub(super) fn unregister(name: &ServiceName) -> io::Result<()> {
    match LOCAL_MACHINE.create(SOURCES)?.remove_tree(name.as_str()) {
        Ok(()) => Ok(()),
        Err(error) => match io::Error::from(error) {
            error if error.kind() == io::ErrorKind::NotFound => Ok(()),
            error => Err(error),
        },
    }
}

/// Writes an error.
pub(super) fn report(name: &ServiceName, text: &str) -> io::Result<()> {
    let wide = |text: &str| -> Vec<u16> {
        let units = text.encode_utf16().filter(|unit| *unit != 0).take(LONGEST);
        units.chain([0]).collect()
    };
    let (source, text) = (wide(name.as_str()), wide(text));
    // SAFETY: no server, and a name that ends with a zero.
    let log = unsafe { RegisterEventSourceW(null(), source.as_ptr()) };
    if log.is_null() {
        return Err(io::Error::last_os_error());
    }
    let strings = [text.as_ptr()];
    // SAFETY: the handle was just opened; one string, which ends with a zero and outlives the call; no data.
    let written = unsafe {
        ReportEventW(
            log,
            EVENTLOG_ERROR_TYPE,
            0,
            EVENT,
            null_mut(),
            1,
            0,
            strings.as_ptr(),
            null(),
        )
    };
    let error = io::Error::last_os_error();
    // SAFETY: opened above, and used by nobody else.
    unsafe { DeregisterEventSource(log) };
    if written == 0 { Err(error) } else { Ok(()) }
}
