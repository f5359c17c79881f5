//! Every target over its corpus and over mutations of it, without the fuzzer: what it once found stays found.

use std::fs;
use std::path::PathBuf;

use carme_fuzz::TARGETS;
use proptest::prelude::*;
use proptest::sample::Index;
use proptest::test_runner::{Config, TestRunner};

/// Mutations of each target's corpus in one run.
const MUTATIONS: u32 = 2000;

fn fuzz() -> PathBuf {
    let entries = std::path::absolute(env!("CARGO_MANIFEST_DIR")).expect("there is a current directory");
    entries.parent().expect("the folder fuzz").to_owned()
}

fn corpus(target: &str) -> Vec<(PathBuf, Vec<u8>)> {
    let folder = fuzz().join("corpus").join(target);
    let files = fs::read_dir(&folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let mut files: Vec<_> = files.map(|file| file.expect("a file").path()).collect();
    files.sort();
    let read = |path: PathBuf| {
        let bytes = fs::read(&path).expect("it can be read");
        (path, bytes)
    };
    files.into_iter().map(read).collect()
}

#[test]
fn every_target_has_a_corpus_and_a_program() {
    let names = |folder: &str| {
        let files = fs::read_dir(fuzz().join(folder)).expect("it is there");
        let mut names: Vec<_> = files
            .map(|file| {
                file.expect("a file")
                    .path()
                    .file_stem()
                    .expect("a name")
                    .to_owned()
            })
            .collect();
        names.sort();
        names
    };
    let targets: Vec<_> = TARGETS.iter().map(|(name, _)| *name).collect();
    assert_eq!(names("corpus"), targets);
    assert_eq!(names("fuzz_targets"), targets);
    for target in targets {
        assert!(!corpus(target).is_empty(), "{target}");
    }
}

#[test]
fn corpora_hold() {
    for (name, target) in TARGETS {
        for (path, bytes) in corpus(name) {
            println!("{}", path.display());
            target(&bytes);
        }
    }
}

/// What a fuzzer does to its inputs, in small.
#[derive(Debug, Clone)]
enum Mutation {
    Flip(Index, u8),
    Insert(Index, Vec<u8>),
    Remove(Index, usize),
    Cut(Index),
    /// A part of another input.
    Splice(Index, Index, Index, usize),
}

fn mutation() -> impl Strategy<Value = Mutation> {
    prop_oneof![
        any::<(Index, u8)>().prop_map(|(at, bits)| Mutation::Flip(at, bits)),
        (any::<Index>(), prop::collection::vec(any::<u8>(), 1..8))
            .prop_map(|(at, bytes)| Mutation::Insert(at, bytes)),
        (any::<Index>(), 1_usize..16).prop_map(|(at, len)| Mutation::Remove(at, len)),
        any::<Index>().prop_map(Mutation::Cut),
        (any::<(Index, Index, Index)>(), 1_usize..64)
            .prop_map(|((at, other, from), len)| Mutation::Splice(at, other, from, len)),
    ]
}

fn mutate(bytes: &mut Vec<u8>, mutation: &Mutation, inputs: &[(PathBuf, Vec<u8>)]) {
    let place = |at: &Index, len: usize| at.index(len + 1);
    match mutation {
        Mutation::Flip(at, bits) => {
            if !bytes.is_empty() {
                let at = at.index(bytes.len());
                bytes[at] ^= bits;
            }
        }
        Mutation::Insert(at, more) => {
            let at = place(at, bytes.len());
            bytes.splice(at..at, more.iter().copied());
        }
        Mutation::Remove(at, len) => {
            let at = place(at, bytes.len());
            let end = bytes.len().min(at + len);
            bytes.drain(at..end);
        }
        Mutation::Cut(at) => bytes.truncate(place(at, bytes.len())),
        Mutation::Splice(at, other, from, len) => {
            let (_, other) = other.get(inputs);
            let from = place(from, other.len());
            let part = &other[from..other.len().min(from + len)];
            let at = place(at, bytes.len());
            bytes.splice(at..at, part.iter().copied());
        }
    }
}

fn mutations_hold(name: &str) {
    let (_, target) = TARGETS
        .iter()
        .find(|(known, _)| *known == name)
        .expect("a target");
    let inputs = corpus(name);
    let config = Config {
        cases: MUTATIONS,
        failure_persistence: None,
        ..Config::default()
    };
    let strategy = (any::<Index>(), prop::collection::vec(mutation(), 1..6));
    let outcome = TestRunner::new(config).run(&strategy, |(input, mutations)| {
        let mut bytes = input.get(&inputs).1.clone();
        mutations
            .iter()
            .for_each(|mutation| mutate(&mut bytes, mutation, &inputs));
        let held = std::panic::catch_unwind(|| target(&bytes)).is_ok();
        prop_assert!(held, "keep this in fuzz/corpus/{name}: {}", bytes.escape_ascii());
        Ok(())
    });
    outcome.unwrap_or_else(|error| panic!("{error}"));
}

macro_rules! mutations {
    ($($target:ident)*) => {
        mod mutations_of {
            $(
                #[test]
                fn $target() {
                    super::mutations_hold(stringify!($target));
                }
            )*

            #[test]
            fn every_target_is_here() {
                let named: Vec<_> = carme_fuzz::TARGETS.iter().map(|(name, _)| *name).collect();
                assert_eq!(named, [$(stringify!($target)),*]);
            }
        }
    };
}

mutations! {
    apache byte_ring chunked claims config consul control head log_format members path proxy_protocol request_frame
    response_frame
}
