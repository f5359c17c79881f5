//! The table of directives: each letter, the arguments it takes and what it prints.

use super::error::Problem;
use super::tls;
use super::variable::Variable;
use crate::time::TimeFormat;

/// What to print.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Field {
    ClientAddress,
    PeerAddress,
    LocalAddress,
    BodyBytes,
    BodyBytesOrDash,
    Cookie(Box<str>),
    Duration(Unit),
    RequestHeader(Box<str>),
    RequestTrailer(Box<str>),
    ResponseHeader(ResponseHeader),
    ResponseTrailer(Box<str>),
    Tls(Box<str>),
    Variable(Variable),
    Note(Box<str>),
    Protocol,
    File,
    FirstByte,
    Handler,
    Keepalives,
    Nothing,
    RequestId,
    Method,
    Port(PortOf),
    ProcessId,
    ThreadId(Base),
    Query,
    RequestLine,
    Status,
    Time { moment: Moment, format: TimeFormat },
    User,
    Path,
    ServerName,
    Host,
    ConnectionStatus,
    BytesIn,
    BytesOut,
    BytesBoth,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Unit {
    Seconds,
    Milliseconds,
    Microseconds,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Base {
    Ten,
    Sixteen,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum PortOf {
    Server,
    Local,
    Remote,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Moment {
    Begin,
    End,
}

/// Apache prints two response headers in their own way.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum ResponseHeader {
    /// Without its parameters.
    ContentType,
    /// Every value, joined by commas.
    SetCookie,
    /// The first value. In lower case.
    First(Box<str>),
}

/// Whether and which argument a directive takes.
pub(super) enum Argument {
    None(Field),
    /// None, or one of a few words, in any case; `""` stands for none.
    Choice(&'static [(&'static str, Field)]),
    /// Any name; missing is an error.
    Name(fn(&str) -> Field),
    /// A time format; may be missing.
    Time,
    /// One of mod_ssl's variables.
    Tls,
}

pub(super) struct Directive {
    /// What follows `%`, modifiers and argument.
    pub(super) letter: &'static str,
    pub(super) argument: Argument,
}

const fn plain(letter: &'static str, field: Field) -> Directive {
    Directive {
        letter,
        argument: Argument::None(field),
    }
}

const fn choice(letter: &'static str, choices: &'static [(&'static str, Field)]) -> Directive {
    Directive {
        letter,
        argument: Argument::Choice(choices),
    }
}

const fn name(letter: &'static str, field: fn(&str) -> Field) -> Directive {
    Directive {
        letter,
        argument: Argument::Name(field),
    }
}

const ADDRESS: &[(&str, Field)] = &[("", Field::ClientAddress), ("c", Field::PeerAddress)];
const UNITS: &[(&str, Field)] = &[
    ("", Field::Duration(Unit::Seconds)),
    ("s", Field::Duration(Unit::Seconds)),
    ("ms", Field::Duration(Unit::Milliseconds)),
    ("us", Field::Duration(Unit::Microseconds)),
];
const PROCESS: &[(&str, Field)] = &[
    ("", Field::ProcessId),
    ("pid", Field::ProcessId),
    ("tid", Field::ThreadId(Base::Ten)),
    ("hextid", Field::ThreadId(Base::Sixteen)),
];
const PORTS: &[(&str, Field)] = &[
    ("", Field::Port(PortOf::Server)),
    ("canonical", Field::Port(PortOf::Server)),
    ("local", Field::Port(PortOf::Local)),
    ("remote", Field::Port(PortOf::Remote)),
];

pub(super) const TABLE: &[Directive] = &[
    choice("a", ADDRESS),
    plain("A", Field::LocalAddress),
    plain("b", Field::BodyBytesOrDash),
    plain("B", Field::BodyBytes),
    name("C", |name| Field::Cookie(name.into())),
    plain("D", Field::Duration(Unit::Microseconds)),
    name("e", |name| Field::Variable(Variable::named(name))),
    plain("f", Field::File),
    plain("^FB", Field::FirstByte),
    choice("h", ADDRESS),
    plain("H", Field::Protocol),
    name("i", |name| Field::RequestHeader(name.to_ascii_lowercase().into())),
    plain("I", Field::BytesIn),
    plain("k", Field::Keepalives),
    plain("l", Field::Nothing),
    plain("L", Field::RequestId),
    plain("m", Field::Method),
    name("n", |name| Field::Note(name.into())),
    name("o", |name| Field::ResponseHeader(ResponseHeader::named(name))),
    plain("O", Field::BytesOut),
    choice("p", PORTS),
    choice("P", PROCESS),
    plain("q", Field::Query),
    plain("r", Field::RequestLine),
    plain("R", Field::Handler),
    plain("s", Field::Status),
    plain("S", Field::BytesBoth),
    Directive {
        letter: "t",
        argument: Argument::Time,
    },
    choice("T", UNITS),
    name("^ti", |name| {
        Field::RequestTrailer(name.to_ascii_lowercase().into())
    }),
    name("^to", |name| {
        Field::ResponseTrailer(name.to_ascii_lowercase().into())
    }),
    plain("u", Field::User),
    plain("U", Field::Path),
    plain("v", Field::ServerName),
    plain("V", Field::Host),
    Directive {
        letter: "x",
        argument: Argument::Tls,
    },
    plain("X", Field::ConnectionStatus),
];

impl ResponseHeader {
    fn named(name: &str) -> ResponseHeader {
        match name.to_ascii_lowercase() {
            name if name == "content-type" => ResponseHeader::ContentType,
            name if name == "set-cookie" => ResponseHeader::SetCookie,
            name => ResponseHeader::First(name.into()),
        }
    }
}

impl Directive {
    /// What the directive prints with `argument`; on error also the argument that was probably meant.
    pub(super) fn field(&self, argument: Option<&str>) -> Result<Field, (Problem, Option<String>)> {
        match (&self.argument, argument) {
            (Argument::None(field), None) => Ok(field.clone()),
            (Argument::None(_), Some(_)) => Err((Problem::ArgumentNotTaken, None)),
            (Argument::Choice(choices), argument) => {
                let argument = argument.unwrap_or_default();
                match choices
                    .iter()
                    .find(|(word, _)| word.eq_ignore_ascii_case(argument))
                {
                    Some((_, field)) => Ok(field.clone()),
                    None => {
                        let words: Vec<_> = choices
                            .iter()
                            .map(|(word, _)| *word)
                            .filter(|word| !word.is_empty())
                            .collect();
                        let nearest = nearest(argument, &words);
                        Err((Problem::ArgumentUnknown(words), nearest))
                    }
                }
            }
            (Argument::Name(field), Some(name)) if !name.is_empty() => Ok(field(name)),
            (Argument::Name(_), _) => Err((Problem::NameMissing, None)),
            (Argument::Time, argument) => time(argument.unwrap_or_default()),
            (Argument::Tls, Some(name)) if !name.is_empty() => tls::field(name),
            (Argument::Tls, _) => Err((Problem::NameMissing, None)),
        }
    }
}

/// Apache's argument of `%t`: `begin` or `end`, a colon, then a word of its own or a strftime format.
fn time(argument: &str) -> Result<Field, (Problem, Option<String>)> {
    let split = |word| {
        let rest = argument.strip_prefix(word)?;
        if rest.is_empty() {
            Some(rest)
        } else {
            rest.strip_prefix(':')
        }
    };
    let (moment, text) = match (split("begin"), split("end")) {
        (Some(rest), _) => (Moment::Begin, rest),
        (None, Some(rest)) => (Moment::End, rest),
        (None, None) => (Moment::Begin, argument),
    };
    match TimeFormat::parse(text) {
        Ok(TimeFormat::Strftime(_)) if !text.contains('%') => {
            // Apache would print the word itself for every request.
            let before = &argument[..argument.len() - text.len()];
            let meant = nearest(text, TIME_WORDS).map(|word| format!("{before}{word}"));
            Err((Problem::ArgumentUnknown(TIME_WORDS.to_vec()), meant))
        }
        Ok(format) => Ok(Field::Time { moment, format }),
        Err(at) => Err((Problem::TimeFormat(at), None)),
    }
}

const TIME_WORDS: &[&str] = &[
    "begin",
    "end",
    "sec",
    "msec",
    "usec",
    "msec_frac",
    "usec_frac",
    "a strftime format such as %H:%M:%S",
];

/// The candidate that looks most like `word`, if one does.
pub(super) fn nearest(word: &str, candidates: &[&str]) -> Option<String> {
    let word = word.to_ascii_lowercase();
    candidates
        .iter()
        .map(|candidate| (strsim::jaro_winkler(&word, candidate), candidate))
        .filter(|(likeness, _)| *likeness > 0.6)
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .map(|(_, candidate)| (*candidate).to_owned())
}
