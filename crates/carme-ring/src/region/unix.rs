//! A memfd, sealed so that nobody can truncate it under the front.

use std::ffi::c_void;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::ptr::NonNull;

use rustix::fs::{MemfdFlags, SealFlags};
use rustix::mm::{Advice, MapFlags, ProtFlags};

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
        // SAFETY: mapped by `map` with this start and length, and nobody borrows from `self` any more.
        let _ = unsafe { rustix::mm::munmap(self.0.start.as_ptr().cast::<c_void>(), self.0.len * 8) };
    }
}

pub(super) fn create(bytes: usize) -> io::Result<(Mapping, OwnedFd)> {
    let fd = rustix::fs::memfd_create("carme-ring", MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING)?;
    rustix::fs::ftruncate(&fd, bytes as u64)?;
    rustix::fs::fcntl_add_seals(&fd, SealFlags::SHRINK | SealFlags::GROW | SealFlags::SEAL)?;
    Ok((map(&fd, bytes)?, fd))
}

pub(super) fn open(fd: &OwnedFd, bytes: usize) -> io::Result<Mapping> {
    let len = rustix::fs::fstat(fd)?.st_size;
    if u64::try_from(len).is_ok_and(|len| len < bytes as u64) {
        return Err(io::Error::new(
            io::ErrorKind::InvalidData,
            format!("the region has {len} bytes, not {bytes}"),
        ));
    }
    map(fd, bytes)
}

fn map(fd: impl AsFd, bytes: usize) -> io::Result<Mapping> {
    // SAFETY: a new mapping at an address of the kernel's choice touches nothing that exists.
    let start = unsafe {
        rustix::mm::mmap(
            std::ptr::null_mut(),
            bytes,
            ProtFlags::READ | ProtFlags::WRITE,
            MapFlags::SHARED,
            fd,
            0,
        )?
    };
    // An app that forks must not carry the region into its children: they would outlive the worker and hold it.
    // SAFETY: advises about the mapping just made; DontFork changes nothing that this process can see of it.
    unsafe { rustix::mm::madvise(start, bytes, Advice::LinuxDontFork)? };
    let start = NonNull::new(start.cast()).ok_or(io::ErrorKind::OutOfMemory)?;
    Ok(Mapping(Words {
        start,
        len: bytes / 8,
    }))
}
