//! The memory itself: mapped by the front and the workers of one app, and seen only as atomic words.

use std::io;

use crate::atomic::{AtomicU64, Ordering};
use crate::geometry::Geometry;
use crate::layout::{Common, Layout, MAGIC};

#[cfg(unix)]
mod unix;
#[cfg(unix)]
use unix as imp;
#[cfg(windows)]
mod windows;
#[cfg(windows)]
use windows as imp;

use crate::os::{BorrowedHandle, OwnedHandle};

enum Memory {
    /// Shared with other processes. The handle is the front's, to give to workers.
    Mapped {
        mapping: imp::Mapping,
        handle: Option<OwnedHandle>,
    },
    /// Of this process alone, for tests and for loom.
    Private(Box<[AtomicU64]>),
}

/// A mapped region, of the layout that its geometry gives.
pub struct Region {
    memory: Memory,
    pub(crate) layout: Layout,
}

impl Region {
    /// A new region of zeroed memory that other processes can be given, and that none of them can shrink.
    pub fn create(geometry: Geometry) -> io::Result<Self> {
        let layout = Layout::new(geometry).map_err(io::Error::other)?;
        let (mapping, handle) = imp::create(layout.words * 8)?;
        let region = Self {
            memory: Memory::Mapped {
                mapping,
                handle: Some(handle),
            },
            layout,
        };
        region.common(Common::Magic).store(MAGIC, Ordering::Release);
        Ok(region)
    }

    /// The region behind a handle that the front has given, with the geometry it told.
    pub fn open(handle: OwnedHandle, geometry: Geometry) -> io::Result<Self> {
        let layout = Layout::new(geometry).map_err(io::Error::other)?;
        let mapping = imp::open(&handle, layout.words * 8)?;
        let region = Self {
            memory: Memory::Mapped {
                mapping,
                handle: None,
            },
            layout,
        };
        if region.common(Common::Magic).load(Ordering::Acquire) != MAGIC {
            return Err(io::Error::new(
                io::ErrorKind::InvalidData,
                "not a region of this version of Carme",
            ));
        }
        Ok(region)
    }

    /// A region of this process alone.
    pub fn private(geometry: Geometry) -> Result<Self, crate::GeometryError> {
        let layout = Layout::new(geometry)?;
        let words = (0..layout.words).map(|_| AtomicU64::new(0)).collect();
        Ok(Self {
            memory: Memory::Private(words),
            layout,
        })
    }

    /// The handle to pass to a worker; only the creator of a shared region has one.
    pub fn handle(&self) -> Option<BorrowedHandle<'_>> {
        match &self.memory {
            Memory::Mapped { handle, .. } => handle.as_ref().map(crate::os::borrow),
            Memory::Private(_) => None,
        }
    }

    pub(crate) fn words(&self) -> &[AtomicU64] {
        match &self.memory {
            Memory::Mapped { mapping, .. } => mapping.words(),
            Memory::Private(words) => words,
        }
    }
}

/// A mapping seen as atomic words. Both platforms make one of these and unmap it in their own way.
struct Words {
    start: std::ptr::NonNull<AtomicU64>,
    len: usize,
}

// SAFETY: the memory is only ever reached as `&[AtomicU64]`, which is Sync, and unmapped by its one owner.
unsafe impl Send for Words {}
// SAFETY: as above.
unsafe impl Sync for Words {}

impl Words {
    fn as_slice(&self) -> &[AtomicU64] {
        // SAFETY: the owner keeps `len` words mapped readable and writable at `start`, which is page-aligned, for as
        // long as it lives; the memory behind cannot shrink (sealed memfd, or a section object); other processes
        // write to it at any time, which atomics allow. `AtomicU64` is eight plain bytes outside of loom, where no
        // region is mapped.
        unsafe { std::slice::from_raw_parts(self.start.as_ptr(), self.len) }
    }
}
