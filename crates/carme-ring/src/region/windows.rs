//! A section backed by the paging file. It has no name, and sections cannot shrink.

use std::io;
use std::os::windows::io::{AsRawHandle, FromRawHandle, OwnedHandle};
use std::ptr::NonNull;

use windows_sys::Win32::Foundation::INVALID_HANDLE_VALUE;
use windows_sys::Win32::System::Memory::{
    CreateFileMappingW, FILE_MAP_ALL_ACCESS, MEMORY_MAPPED_VIEW_ADDRESS, MapViewOfFile, PAGE_READWRITE,
    UnmapViewOfFile,
};

use super::Words;
use crate::atomic::AtomicU64;

pub(super) struct Mapping(Words);

impl Mapping {
    pub(super) fn words(&self) -> &[AtomicU64] {
        self.0.as_slice()
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        let view = MEMORY_MAPPED_VIEW_ADDRESS {
            Value: self.0.start.as_ptr().cast(),
        };
        // SAFETY: the view was mapped by `open` at this address, and nobody borrows from `self` any more.
        unsafe { UnmapViewOfFile(view) };
    }
}

pub(super) fn create(bytes: usize) -> io::Result<(Mapping, OwnedHandle)> {
    let (high, low) = ((bytes as u64 >> 32) as u32, bytes as u32);
    // SAFETY: no security attributes, no name; the result is checked before it is used.
    let handle = unsafe {
        CreateFileMappingW(
            INVALID_HANDLE_VALUE,
            std::ptr::null(),
            PAGE_READWRITE,
            high,
            low,
            std::ptr::null(),
        )
    };
    if handle.is_null() {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: a handle that was just created and that nobody else owns.
    let handle = unsafe { OwnedHandle::from_raw_handle(handle) };
    Ok((open(&handle, bytes)?, handle))
}

pub(super) fn open(handle: &OwnedHandle, bytes: usize) -> io::Result<Mapping> {
    // SAFETY: a new view at an address of the system's choice touches nothing that exists. The system refuses a view
    // that is larger than the section, so all of `bytes` is mapped.
    let view = unsafe { MapViewOfFile(handle.as_raw_handle(), FILE_MAP_ALL_ACCESS, 0, 0, bytes) };
    let start = NonNull::new(view.Value.cast()).ok_or_else(io::Error::last_os_error)?;
    Ok(Mapping(Words {
        start,
        len: bytes / 8,
    }))
}
