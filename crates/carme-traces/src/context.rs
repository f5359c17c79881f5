//! `traceparent`: W3C Trace Context, version 00.

use std::fmt;
use std::hash::{BuildHasher, Hasher};
use std::sync::LazyLock;
use std::sync::atomic::{AtomicU64, Ordering};

/// Bytes of a `traceparent` of version 00.
const LEN: usize = 55;

/// A trace's id; never zero.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct TraceId([u8; 16]);

/// A span's id; never zero.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct SpanId([u8; 8]);

/// Where a request is in a trace.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Context {
    /// The trace.
    pub trace: TraceId,
    /// The span that what comes next is part of.
    pub span: SpanId,
    /// Somebody wants to see this trace.
    pub sampled: bool,
}

impl Context {
    /// The beginning of a trace; of all of them, this part is sampled.
    pub fn root(sample: f64) -> Self {
        let low = next();
        let trace = TraceId(join(next(), low));
        Context {
            trace,
            span: SpanId(next().to_be_bytes()),
            // Ids are uniform, so that they can decide.
            sampled: sample >= 1.0 || (low as f64) < sample * u64::MAX as f64,
        }
    }

    /// The next span of the same trace.
    #[must_use]
    pub fn child(self) -> Self {
        Context {
            span: SpanId(next().to_be_bytes()),
            ..self
        }
    }

    /// Reads a `traceparent`. Later versions are read as far as this one goes, as the standard says; what breaks its
    /// rules is `None`.
    pub fn parse(text: &[u8]) -> Option<Self> {
        let (head, rest) = text.split_at_checked(LEN)?;
        let [version] = unhex(&head[..2])?;
        let dashes = [2, 35, 52].iter().all(|at| head[*at] == b'-');
        let ends = match version {
            0 => rest.is_empty(),
            0xff => false,
            _ => matches!(rest, [] | [b'-', ..]),
        };
        let trace = unhex(&head[3..35])?;
        let span = unhex(&head[36..52])?;
        let [flags] = unhex(&head[53..])?;
        (dashes && ends && trace != [0; 16] && span != [0; 8]).then_some(Context {
            trace: TraceId(trace),
            span: SpanId(span),
            sampled: flags & 1 != 0,
        })
    }
}

/// As a `traceparent`.
impl fmt::Display for Context {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "00-{}-{}-0{}", self.trace, self.span, u8::from(self.sampled))
    }
}

macro_rules! in_hexadecimal {
    ($($id:ty),*) => {$(
        impl fmt::Display for $id {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
            }
        }

        impl fmt::Debug for $id {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(self, f)
            }
        }
    )*};
}
in_hexadecimal!(TraceId, SpanId);

fn join(high: u64, low: u64) -> [u8; 16] {
    ((u128::from(high) << 64) | u128::from(low)).to_be_bytes()
}

/// Lower-case digits only: the standard allows no others.
fn unhex<const N: usize>(text: &[u8]) -> Option<[u8; N]> {
    let digit = |byte: u8| match byte {
        b'0'..=b'9' => Some(byte - b'0'),
        b'a'..=b'f' => Some(byte - b'a' + 10),
        _ => None,
    };
    let mut bytes = [0; N];
    for (byte, pair) in bytes.iter_mut().zip(text.chunks_exact(2)) {
        *byte = digit(pair[0])? << 4 | digit(pair[1])?;
    }
    Some(bytes)
}

/// A number from 0 to 1 that looks random.
pub(crate) fn fraction() -> f64 {
    next() as f64 / u64::MAX as f64
}

/// A number that no other call gives in this process, and that looks random: SplitMix64, begun anywhere. Ids have to be
/// unique, not secret.
fn next() -> u64 {
    static STATE: LazyLock<AtomicU64> = LazyLock::new(|| {
        let mut hasher = std::collections::hash_map::RandomState::new().build_hasher();
        hasher.write_u32(std::process::id());
        AtomicU64::new(hasher.finish())
    });
    const STEP: u64 = 0x9e37_79b9_7f4a_7c15;
    let mut z = STATE.fetch_add(STEP, Ordering::Relaxed);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    // One of 2^64 is zero, which no id may be.
    (z ^ (z >> 31)).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    const EXAMPLE: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

    #[test]
    fn the_standards_example_is_read_and_written() {
        let context = Context::parse(EXAMPLE.as_bytes()).unwrap();
        assert_eq!(context.trace.to_string(), "4bf92f3577b34da6a3ce929d0e0e4736");
        assert_eq!(context.span.to_string(), "00f067aa0ba902b7");
        assert!(context.sampled);
        assert_eq!(context.to_string(), EXAMPLE);
        let child = context.child();
        assert_eq!((child.trace, child.sampled), (context.trace, true));
        assert_ne!(child.span, context.span);
    }

    #[test]
    fn what_the_standard_forbids_is_none() {
        for text in [
            "",
            "00",
            &EXAMPLE[..54],
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-011",
            "ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
            "00-4BF92F3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
            "00-00000000000000000000000000000000-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01",
            "00_4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e473g-00f067aa0ba902b7-01",
            "01-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01x",
        ] {
            assert_eq!(Context::parse(text.as_bytes()), None, "{text}");
        }
        for (text, sampled) in [
            (
                "01-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-more",
                true,
            ),
            ("cc-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00", false),
            ("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-02", false),
            ("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-ff", true),
        ] {
            assert_eq!(
                Context::parse(text.as_bytes()).map(|c| c.sampled),
                Some(sampled),
                "{text}"
            );
        }
    }

    #[test]
    fn so_many_are_sampled_as_were_asked_for() {
        let sampled = |part| (0..10_000).filter(|_| Context::root(part).sampled).count();
        assert_eq!((sampled(0.0), sampled(1.0)), (0, 10_000));
        assert!((2000..3000).contains(&sampled(0.25)));
    }

    proptest::proptest! {
        #[test]
        fn nothing_makes_it_panic(bytes: Vec<u8>) {
            let _ = Context::parse(&bytes);
        }

        #[test]
        fn what_is_written_is_read(sample in 0.0..1.0) {
            let context = Context::root(sample);
            proptest::prop_assert_eq!(Context::parse(context.to_string().as_bytes()), Some(context));
        }
    }
}
