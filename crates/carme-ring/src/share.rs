//! How workers share what waits: by their requests in flight, as far as anybody has to know of the others.

/// Whether a worker with `load` requests in flight leaves the `waiting` ones to `others`, of whom each is named by its load:
/// if those could take all of them and would still have at least one less than this worker, or had nothing to do at all.
///
/// Just one less is no reason: whoever is done first comes back first, and nobody knows how long the others will take.
pub(crate) fn leaves(load: u64, others: impl Iterator<Item = u64>, waiting: u64) -> bool {
    let room = |other: u64| {
        let less = load.saturating_sub(other.saturating_add(1));
        if other == 0 { less.max(1) } else { less }
    };
    load > 0 && others.map(room).fold(0_u64, u64::saturating_add) >= waiting
}

#[cfg(test)]
mod tests {
    use super::leaves;

    #[test]
    fn requests_are_left_to_who_has_nothing_to_do_or_much_less() {
        for (load, others, waiting, left) in [
            (0, &[0, 0][..], 1, false),
            (1, &[0], 1, true),
            (1, &[0], 2, false),
            (2, &[1], 1, false),
            (3, &[1], 1, true),
            (3, &[1, 2], 2, false),
            (4, &[1, 2], 3, true),
            (4, &[1, 2], 4, false),
            (5, &[0], 4, true),
            (9, &[u64::MAX], 1, false),
        ] {
            assert_eq!(
                leaves(load, others.iter().copied(), waiting),
                left,
                "{load} beside {others:?}, {waiting} waiting"
            );
        }
    }
}
