//! What the system has of a file in memory, had without a wait for the disk. Only Linux can tell.

use std::fs::File;
use std::io;

/// Reads up to `len` bytes from `at` on, at least one, all of them from the cache.
///
/// # Errors
/// The disk has to be waited for, or the system cannot tell; whoever waits finds out what else there is.
pub(crate) fn read(file: &File, at: u64, len: usize) -> io::Result<Vec<u8>> {
    let mut bytes = vec![0; len];
    let read = imp::read(file, at, &mut bytes)?;
    if read == 0 {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    bytes.truncate(read);
    Ok(bytes)
}

/// Whether these bytes, a few hundred thousand at most, can be had without a wait. The first and the last one answer for
/// what lies between: it was read with them, and is forgotten with them.
pub(crate) fn holds(file: &File, at: u64, len: usize) -> bool {
    let has = |at| imp::read(file, at, &mut [0]).is_ok_and(|read| read == 1);
    len > 0 && has(at) && has(at + len as u64 - 1)
}

#[cfg(target_os = "linux")]
mod imp {
    use std::fs::File;
    use std::io::{self, IoSliceMut};

    use rustix::io::{ReadWriteFlags, preadv2};

    pub(super) fn read(file: &File, at: u64, bytes: &mut [u8]) -> io::Result<usize> {
        let read = preadv2(file, &mut [IoSliceMut::new(bytes)], at, ReadWriteFlags::NOWAIT)?;
        Ok(read)
    }
}

#[cfg(not(target_os = "linux"))]
mod imp {
    use std::fs::File;
    use std::io;

    pub(super) fn read(_file: &File, _at: u64, _bytes: &mut [u8]) -> io::Result<usize> {
        Err(io::ErrorKind::WouldBlock.into())
    }
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use std::io::Write;

    use super::*;

    #[test]
    fn what_was_just_written_is_there_and_what_is_not_in_the_file_is_not() {
        let mut file = tempfile::tempfile().expect("a file");
        file.write_all(&[7; 10_000]).expect("written");
        assert!(holds(&file, 0, 10_000));
        assert!(!holds(&file, 0, 10_001));
        assert!(!holds(&file, 0, 0));
        assert_eq!(read(&file, 1_000, 500).expect("cached"), [7; 500]);
        assert_eq!(read(&file, 9_000, 5_000).expect("cached").len(), 1_000);
        assert!(read(&file, 10_000, 1).is_err());
    }
}
