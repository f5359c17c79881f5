//! Mistakes: where they are and what was meant.

use crate::{Format, FormatError, Problem};

fn error(format: &str) -> FormatError {
    Format::parse(format).expect_err(format)
}

#[test]
fn each_mistake_is_placed_and_answered() {
    use Problem::*;
    for (format, column, directive, problem, nearest) in [
        ("%h %d", 4, "%d", Unknown, Some("%D")),
        ("é %>S%c", 6, "%c", Unknown, Some("%{NAME}C")),
        ("%Y", 1, "%Y", Unknown, Some("%{%Y}t")),
        ("%K", 1, "%K", Unknown, Some("%k")),
        ("%é", 1, "%é", Unknown, None),
        ("%{Referer}z", 1, "%{Referer}z", Unknown, Some("%{Referer}i")),
        ("%{sid}c", 1, "%{sid}c", Unknown, Some("%{sid}C")),
        (
            r#""%{User-Agent}""#,
            2,
            "%{User-Agent}",
            Unknown,
            Some("%{User-Agent}i"),
        ),
        ("%h %", 4, "%", Unfinished, None),
        ("%>", 1, "%>", Unfinished, None),
        ("%{Referer}", 1, "%{Referer}", Unfinished, Some("%{Referer}i")),
        ("%{Referer i", 1, "%{Referer i", Unclosed, None),
        ("%i", 1, "%i", NameMissing, Some("%{NAME}i")),
        ("%{}o", 1, "%{}o", NameMissing, Some("%{NAME}o")),
        (
            "%{Referer}I",
            1,
            "%{Referer}I",
            ArgumentNotTaken,
            Some("%{Referer}i"),
        ),
        (
            "%{Server}O",
            1,
            "%{Server}O",
            ArgumentNotTaken,
            Some("%{Server}o"),
        ),
        (
            "%{mss}T",
            1,
            "%{mss}T",
            ArgumentUnknown(vec!["s", "ms", "us"]),
            Some("%{ms}T"),
        ),
        (
            "%{loca}p",
            1,
            "%{loca}p",
            ArgumentUnknown(vec!["canonical", "local", "remote"]),
            Some("%{local}p"),
        ),
        ("%{%Q}t", 1, "%{%Q}t", TimeFormat("%Q".to_owned()), None),
        ("%1000s", 1, "%1000", Status, None),
        ("%200,20{X}i", 1, "%200,20", Status, None),
    ] {
        let error = error(format);
        assert_eq!((error.column, &*error.directive), (column, directive), "{format}");
        assert_eq!(error.problem, problem, "{format}");
        assert_eq!(error.nearest.as_deref(), nearest, "{format}");
    }
}

#[test]
fn a_word_that_would_print_itself_as_the_time_is_an_error() {
    for (format, nearest) in [
        ("%{mesc}t", Some("%{msec}t")),
        ("%{end:usec_fraction}t", Some("%{end:usec_frac}t")),
        ("%{beginn}t", Some("%{begin}t")),
        ("%{x}t", None),
    ] {
        let error = error(format);
        assert!(matches!(error.problem, Problem::ArgumentUnknown(_)), "{error}");
        assert_eq!(error.nearest.as_deref(), nearest, "{format}");
    }
}

#[test]
fn a_name_that_mod_ssl_does_not_know_is_a_slip() {
    for (format, problem, nearest) in [
        ("%{SSL_PROTOCOLL}x", Problem::TlsUnknown, Some("%{SSL_PROTOCOL}x")),
        ("%{SSL_CYPHER}x", Problem::TlsUnknown, Some("%{SSL_CIPHER}x")),
        ("%{tier}x", Problem::TlsUnknown, None),
        (
            "%{SSL_CLIENT_S_DN_}x",
            Problem::TlsUnknown,
            Some("%{SSL_CLIENT_S_DN}x"),
        ),
        ("%x", Problem::NameMissing, Some("%{NAME}x")),
        ("%^ti", Problem::NameMissing, Some("%{NAME}^ti")),
        ("%{X}^t", Problem::Unknown, Some("%{X}i")),
        (
            "%{pidd}P",
            Problem::ArgumentUnknown(vec!["pid", "tid", "hextid"]),
            Some("%{pid}P"),
        ),
    ] {
        let error = error(format);
        assert_eq!(error.problem, problem, "{format}");
        assert_eq!(error.nearest.as_deref(), nearest, "{format}");
    }
}

#[test]
fn a_text_without_directives_is_a_misspelt_nickname() {
    for (format, nearest) in [
        ("combind", Some("combined")),
        ("Common", Some("common")),
        ("", None),
        ("100%%", None),
    ] {
        let error = error(format);
        assert!(matches!(error.problem, Problem::NoDirective(_)), "{error}");
        assert_eq!(error.nearest.as_deref(), nearest, "{format}");
    }
}

#[test]
fn the_message_has_it_all() {
    assert_eq!(
        error("%h %d").to_string(),
        r#"log format, column 4: "%d" is not a directive (a literal percent sign is %%); did you mean "%D"?"#
    );
    assert_eq!(
        error("combind").to_string(),
        r#"log format, column 1: "combind" is neither a nickname (common, combined, combined_route, json) nor has it any directive, such as %h; did you mean "combined"?"#
    );
    assert_eq!(
        error("%{min}T").to_string(),
        r#"log format, column 1: "%{min}T" has an argument that is not one of s, ms, us; did you mean "%{ms}T"?"#
    );
}
