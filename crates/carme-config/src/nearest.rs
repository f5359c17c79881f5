//! Which known word was probably meant.

/// The candidate nearest to `word`, if one is near enough to be worth naming.
pub(crate) fn nearest<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let wanted = word.to_lowercase();
    // A third of the word may be wrong; of short words, one letter.
    let tolerated = (wanted.chars().count() / 3).max(1);
    candidates
        .into_iter()
        .map(|candidate| (distance(&wanted, &candidate.to_lowercase()), candidate))
        .filter(|(distance, _)| *distance <= tolerated)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

/// Edit distance; a word that only stops early or only goes on (`timeout`, `timeouts`, `keep_alive`) counts as near.
fn distance(wanted: &str, candidate: &str) -> usize {
    let edits = strsim::damerau_levenshtein(wanted, candidate);
    let shorter = wanted.len().min(candidate.len());
    if shorter >= 4 && (candidate.starts_with(wanted) || wanted.starts_with(candidate)) {
        edits.min(1)
    } else {
        edits
    }
}

/// "did you mean `x`?", if anything is near.
pub(crate) fn did_you_mean<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<String> {
    nearest(word, candidates).map(|candidate| format!("did you mean `{candidate}`?"))
}

#[cfg(test)]
mod tests {
    use super::nearest;

    #[test]
    fn finds_what_was_meant() {
        let keys = ["workers", "threads", "target", "queue", "keep_alive_timeout"];
        for (word, expected) in [
            ("worker", Some("workers")),
            ("Workers", Some("workers")),
            ("thraeds", Some("threads")),
            ("tagret", Some("target")),
            ("keep_alive", Some("keep_alive_timeout")),
            ("colour", None),
            ("x", None),
        ] {
            assert_eq!(nearest(word, keys), expected, "{word}");
        }
    }
}
