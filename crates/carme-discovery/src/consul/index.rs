//! `X-Consul-Index`: what was seen of the catalogue.

/// The index to wait for a change of. The rules are those that Consul's documentation gives to clients.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Index(u64);

impl Index {
    /// `None`: the next query answers at once.
    pub(super) fn to_wait_for(self) -> Option<u64> {
        (self.0 > 0).then_some(self.0)
    }

    /// An answer came with this index, or none. One that is less than before comes from servers that have lost or restored
    /// their state: waiting for more would be waiting for long. Zero never waits, which would be a busy loop.
    pub(super) fn answered(&mut self, index: Option<u64>) {
        self.0 = match index {
            Some(index) if index >= self.0 => index,
            _ => 0,
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_index_grows_or_begins_anew() {
        let mut index = Index::default();
        for (answered, waits_for) in [
            (Some(7), Some(7)),
            (Some(7), Some(7)),
            (Some(9), Some(9)),
            (Some(3), None),
            (Some(3), Some(3)),
            (Some(0), None),
            (Some(u64::MAX), Some(u64::MAX)),
            (None, None),
        ] {
            index.answered(answered);
            assert_eq!(index.to_wait_for(), waits_for, "{answered:?}");
        }
    }
}
