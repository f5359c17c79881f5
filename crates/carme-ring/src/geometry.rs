//! The sizes of a region, agreed on before anyone maps it.

use serde::{Deserialize, Serialize};

/// Slots that one request may fill: its own and the ones that continue it.
pub const MAX_EXTENTS: usize = 32;

/// How a region is divided. The front chooses it and tells the workers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Geometry {
    /// Request slots.
    pub slots: u16,
    /// Bytes of a request that a slot holds; a multiple of 8.
    pub slot_bytes: u32,
    /// Workers that can be attached at the same time.
    pub workers: u16,
    /// Bytes of each worker's outbox; a power of two.
    pub outbox_bytes: u32,
    /// Bytes of each worker's inbox; a power of two.
    pub inbox_bytes: u32,
}

/// A geometry that no region can have.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum GeometryError {
    /// A count is zero or beyond what the words of the region can express.
    #[error("{0} is out of range")]
    OutOfRange(&'static str),
    /// A size does not have the shape that its use needs.
    #[error("{0} must be {1}")]
    Shape(&'static str, &'static str),
}

impl Geometry {
    /// Checks that a region can be laid out like this.
    pub fn check(self) -> Result<Self, GeometryError> {
        use GeometryError::{OutOfRange, Shape};
        if self.slots == 0 || self.slots > 8192 {
            return Err(OutOfRange("slots"));
        }
        if self.workers == 0 || self.workers > 1024 {
            return Err(OutOfRange("workers"));
        }
        if self.slot_bytes == 0 || self.slot_bytes > 1 << 20 {
            return Err(OutOfRange("slot_bytes"));
        }
        if !self.slot_bytes.is_multiple_of(8) {
            return Err(Shape("slot_bytes", "a multiple of 8"));
        }
        for (name, bytes) in [
            ("outbox_bytes", self.outbox_bytes),
            ("inbox_bytes", self.inbox_bytes),
        ] {
            if !(64..=1 << 28).contains(&bytes) {
                return Err(OutOfRange(name));
            }
            if !bytes.is_power_of_two() {
                return Err(Shape(name, "a power of two"));
            }
        }
        Ok(self)
    }

    /// The largest request, head and inline body together, that slots can carry.
    pub fn max_inline(&self) -> usize {
        self.slot_bytes as usize * MAX_EXTENTS.min(usize::from(self.slots))
    }
}
