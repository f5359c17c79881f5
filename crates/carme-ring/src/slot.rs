//! A slot's state is one atomic word: what it is, whose it is, and which use of the slot is meant.

use crate::WorkerIndex;

const OWNER_SHIFT: u32 = 8;
const GENERATION_SHIFT: u32 = 24;
/// Uses of a slot are counted in 40 bits: at a million a second on one slot, twelve days of nothing else to wrap.
pub(crate) const GENERATION_MASK: u64 = (1 << 40) - 1;
const NOBODY: u16 = u16::MAX;

/// Who may move a slot on from here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum State {
    /// The front's, to fill.
    Free,
    /// Written and offered: to one worker, or to whoever comes first.
    Queued(Option<WorkerIndex>),
    /// A worker's, which is reading it.
    Taken(WorkerIndex),
    /// Read; the front's again as soon as it has noted whose the request is.
    Released(WorkerIndex),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct SlotWord {
    pub(crate) state: State,
    pub(crate) generation: u64,
}

impl SlotWord {
    pub(crate) const fn new(state: State, generation: u64) -> Self {
        Self {
            state,
            generation: generation & GENERATION_MASK,
        }
    }

    pub(crate) fn encode(self) -> u64 {
        let (tag, owner) = match self.state {
            State::Free => (0, NOBODY),
            State::Queued(None) => (1, NOBODY),
            State::Queued(Some(w)) => (1, w.0),
            State::Taken(w) => (2, w.0),
            State::Released(w) => (3, w.0),
        };
        tag | u64::from(owner) << OWNER_SHIFT | self.generation << GENERATION_SHIFT
    }

    /// `None` when no encoder wrote this word.
    pub(crate) fn decode(word: u64) -> Option<Self> {
        let owner = (word >> OWNER_SHIFT) as u16;
        let worker = (owner != NOBODY).then_some(WorkerIndex(owner));
        let state = match (word as u8, worker) {
            (0, None) => State::Free,
            (1, to) => State::Queued(to),
            (2, Some(w)) => State::Taken(w),
            (3, Some(w)) => State::Released(w),
            _ => return None,
        };
        Some(Self::new(state, word >> GENERATION_SHIFT))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_decoded_word_encodes_to_itself(word: u64) {
            if let Some(decoded) = SlotWord::decode(word) {
                prop_assert_eq!(decoded.encode(), word);
            }
        }

        #[test]
        fn an_encoded_word_decodes_to_itself(owner in 0u16..u16::MAX, generation in 0..=GENERATION_MASK, tag in 0..5) {
            let w = WorkerIndex(owner);
            let state = [State::Free, State::Queued(None), State::Queued(Some(w)), State::Taken(w), State::Released(w)][tag as usize];
            let word = SlotWord::new(state, generation);
            prop_assert_eq!(SlotWord::decode(word.encode()), Some(word));
        }
    }
}
