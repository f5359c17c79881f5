//! Who may open a pipe, and whose it is.

#![allow(unsafe_code)]

use std::ffi::c_void;
use std::io;
use std::os::windows::io::{AsRawHandle, FromRawHandle, OwnedHandle};
use std::ptr::null_mut;

use tokio::net::windows::named_pipe::{NamedPipeServer, ServerOptions};
use windows_sys::Win32::Foundation::{ERROR_SUCCESS, LocalFree};
use windows_sys::Win32::Security::Authorization::{
    ConvertSidToStringSidW, ConvertStringSecurityDescriptorToSecurityDescriptorW, GetSecurityInfo,
    SDDL_REVISION_1, SE_KERNEL_OBJECT,
};
use windows_sys::Win32::Security::{
    GetTokenInformation, OWNER_SECURITY_INFORMATION, PSECURITY_DESCRIPTOR, PSID, SECURITY_ATTRIBUTES,
    TOKEN_QUERY, TOKEN_USER, TokenUser,
};
use windows_sys::Win32::System::Pipes::GetNamedPipeServerProcessId;
use windows_sys::Win32::System::Threading::{GetCurrentProcess, OpenProcessToken};

/// Memory that the system handed out.
struct Local(*mut c_void);

impl Drop for Local {
    fn drop(&mut self) {
        // SAFETY: it came from a function that says so, and is freed once.
        unsafe { LocalFree(self.0) };
    }
}

/// Whose a pipe is, and who may open it.
pub(super) struct Descriptor(Local);

// SAFETY: it is never changed after it was made, and memory of the system belongs to no thread.
unsafe impl Send for Descriptor {}
// SAFETY: as above.
unsafe impl Sync for Descriptor {}

impl Descriptor {
    /// For this user, administrators and the system, and nobody else.
    pub(super) fn for_this_user() -> io::Result<Self> {
        Self::parse(&text(&this_user()?))
    }

    fn parse(text: &str) -> io::Result<Self> {
        let text: Vec<u16> = text.encode_utf16().chain([0]).collect();
        let mut descriptor: PSECURITY_DESCRIPTOR = null_mut();
        // SAFETY: a text that ends with a zero, and a place for the result.
        let made = unsafe {
            ConvertStringSecurityDescriptorToSecurityDescriptorW(
                text.as_ptr(),
                SDDL_REVISION_1,
                &mut descriptor,
                null_mut(),
            )
        };
        if made == 0 {
            return Err(io::Error::last_os_error());
        }
        Ok(Descriptor(Local(descriptor)))
    }

    /// Offers an end of a pipe to such users of this machine. The first one must be the only one of that name.
    pub(super) fn create(&self, name: &str, is_first: bool) -> io::Result<NamedPipeServer> {
        let mut attributes = SECURITY_ATTRIBUTES {
            nLength: size_of::<SECURITY_ATTRIBUTES>() as u32,
            lpSecurityDescriptor: self.0.0,
            bInheritHandle: 0,
        };
        let mut options = ServerOptions::new();
        options.first_pipe_instance(is_first).reject_remote_clients(true);
        // SAFETY: the attributes are such, and the descriptor in them lives as long as `self`.
        unsafe { options.create_with_security_attributes_raw(name, (&raw mut attributes).cast()) }
    }
}

/// The access list in the system's own language: `GA` is everything, `BA` administrators, `SY` the system; `P` keeps what
/// would be inherited out.
fn text(user: &str) -> String {
    format!("O:{user}D:P(A;;GA;;;{user})(A;;GA;;;BA)(A;;GA;;;SY)")
}

/// The user of this process, as `S-1-5-…`.
fn this_user() -> io::Result<String> {
    let mut token = null_mut();
    // SAFETY: a pseudo handle that is always valid, and a place for the result.
    if unsafe { OpenProcessToken(GetCurrentProcess(), TOKEN_QUERY, &mut token) } == 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: just opened, and owned by nobody else.
    let token = unsafe { OwnedHandle::from_raw_handle(token) };
    // A SID has at most 68 bytes. Words, so that the structure is aligned.
    let mut buffer = [0usize; 32];
    let mut length = 0;
    // SAFETY: an open token, and a buffer of the size that is named.
    let known = unsafe {
        GetTokenInformation(
            token.as_raw_handle(),
            TokenUser,
            buffer.as_mut_ptr().cast(),
            size_of_val(&buffer) as u32,
            &mut length,
        )
    };
    if known == 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the call above wrote such a structure at the buffer's beginning, which is aligned for it.
    let user = unsafe { &*buffer.as_ptr().cast::<TOKEN_USER>() };
    sid_text(user.User.Sid)
}

/// Must be a valid SID.
fn sid_text(sid: PSID) -> io::Result<String> {
    let mut text = null_mut();
    // SAFETY: callers hand in SIDs that the system gave them; a place for the result.
    if unsafe { ConvertSidToStringSidW(sid, &mut text) } == 0 {
        return Err(io::Error::last_os_error());
    }
    let _freed = Local(text.cast());
    // SAFETY: the system's text ends with a zero.
    let length = (0..).take_while(|&at| unsafe { *text.add(at) } != 0).count();
    // SAFETY: so many were just read.
    Ok(String::from_utf16_lossy(unsafe {
        std::slice::from_raw_parts(text, length)
    }))
}

/// Whether the pipe at the other end is this user's. Only its owner or an administrator can have said so.
pub(super) fn is_owned_by_this_user(pipe: &impl AsRawHandle) -> io::Result<bool> {
    Ok(owner(pipe)? == this_user()?)
}

fn owner(pipe: &impl AsRawHandle) -> io::Result<String> {
    let (mut owner, mut descriptor) = (null_mut(), null_mut());
    // SAFETY: an open handle, and places for what is asked for.
    let error = unsafe {
        GetSecurityInfo(
            pipe.as_raw_handle(),
            SE_KERNEL_OBJECT,
            OWNER_SECURITY_INFORMATION,
            &mut owner,
            null_mut(),
            null_mut(),
            null_mut(),
            &mut descriptor,
        )
    };
    if error != ERROR_SUCCESS {
        return Err(io::Error::from_raw_os_error(error as i32));
    }
    // The owner's SID is within it.
    let _freed = Local(descriptor);
    if owner.is_null() {
        return Err(io::Error::other("the pipe has no owner"));
    }
    sid_text(owner)
}

/// The process that made the pipe.
pub(super) fn server_process(pipe: &impl AsRawHandle) -> Option<u32> {
    let mut pid = 0;
    // SAFETY: an open handle, and a place for the result.
    let known = unsafe { GetNamedPipeServerProcessId(pipe.as_raw_handle(), &mut pid) } != 0;
    (known && pid != 0).then_some(pid)
}

#[cfg(test)]
mod tests {
    use windows_sys::Win32::Security::Authorization::ConvertSecurityDescriptorToStringSecurityDescriptorW;
    use windows_sys::Win32::Security::DACL_SECURITY_INFORMATION;

    use super::*;

    /// The access list of a pipe, in the system's language.
    fn access_list(pipe: &impl AsRawHandle) -> String {
        let mut descriptor = null_mut();
        // SAFETY: an open handle, and a place for what is asked for.
        let error = unsafe {
            GetSecurityInfo(
                pipe.as_raw_handle(),
                SE_KERNEL_OBJECT,
                DACL_SECURITY_INFORMATION,
                null_mut(),
                null_mut(),
                null_mut(),
                null_mut(),
                &mut descriptor,
            )
        };
        assert_eq!(error, ERROR_SUCCESS);
        let descriptor = Local(descriptor);
        let mut text = null_mut();
        // SAFETY: the descriptor that was just given, and a place for the result.
        let made = unsafe {
            ConvertSecurityDescriptorToStringSecurityDescriptorW(
                descriptor.0,
                SDDL_REVISION_1,
                DACL_SECURITY_INFORMATION,
                &mut text,
                null_mut(),
            )
        };
        assert_ne!(made, 0, "{}", io::Error::last_os_error());
        let _freed = Local(text.cast());
        // SAFETY: the system's text ends with a zero.
        let length = (0..).take_while(|&at| unsafe { *text.add(at) } != 0).count();
        // SAFETY: so many were just read.
        String::from_utf16_lossy(unsafe { std::slice::from_raw_parts(text, length) })
    }

    #[tokio::test]
    async fn the_pipe_is_this_users_and_three_may_open_it() {
        let descriptor = Descriptor::for_this_user().expect("a descriptor");
        let name = format!(r"\\.\pipe\carme-test-{}", std::process::id());
        let pipe = descriptor.create(&name, true).expect("a pipe");
        let user = this_user().expect("a user");
        assert!(user.starts_with("S-1-5-"), "{user}");
        assert_eq!(owner(&pipe).expect("an owner"), user);
        let list = access_list(&pipe);
        // A user that the system knows by a short name is written so; there are three rows in any case.
        assert_eq!(list.matches("(A;;").count(), 3, "{list}");
        assert!(list.contains(";;;BA)") && list.contains(";;;SY)"), "{list}");
    }

    #[tokio::test]
    async fn nobody_can_have_waited_under_a_pipes_name() {
        let descriptor = Descriptor::for_this_user().expect("a descriptor");
        let name = format!(r"\\.\pipe\carme-test-first-{}", std::process::id());
        let _first = descriptor.create(&name, true).expect("a pipe");
        assert!(descriptor.create(&name, true).is_err(), "there is one already");
        descriptor.create(&name, false).expect("a further end of it");
    }
}
