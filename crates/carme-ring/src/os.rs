//! One name for what Unix calls a file descriptor and Windows a handle.

use std::fs::File;

#[cfg(unix)]
mod imp {
    pub use std::os::fd::{AsFd as AsHandle, BorrowedFd as BorrowedHandle, OwnedFd as OwnedHandle};

    pub(super) fn as_handle<T: AsHandle>(from: &T) -> BorrowedHandle<'_> {
        from.as_fd()
    }
}

#[cfg(windows)]
mod imp {
    pub use std::os::windows::io::{AsHandle, BorrowedHandle, OwnedHandle};

    pub(super) fn as_handle<T: AsHandle>(from: &T) -> BorrowedHandle<'_> {
        from.as_handle()
    }
}

pub use imp::{AsHandle, BorrowedHandle, OwnedHandle};

/// The handle of a file, a region or a handle itself, for as long as that lives.
pub fn borrow<T: AsHandle>(from: &T) -> BorrowedHandle<'_> {
    imp::as_handle(from)
}

/// The file behind a handle that another process has given, if it is an ordinary file and nothing else: a pipe or a
/// device could make its reader wait for ever.
pub fn ordinary_file(handle: OwnedHandle) -> std::io::Result<File> {
    let file = File::from(handle);
    if !file.metadata()?.is_file() {
        return Err(std::io::Error::new(
            std::io::ErrorKind::InvalidInput,
            "not an ordinary file",
        ));
    }
    Ok(file)
}
