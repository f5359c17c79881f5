//! Distinguished names as text: RFC 2253 in OpenSSL's manner, which is what Apache puts into the environment.

use std::fmt::Write as _;

use x509_parser::x509::{AttributeTypeAndValue, X509Name};

/// OpenSSL's short names. Others are written as numbers.
const SHORT: [(&str, &str); 15] = [
    ("2.5.4.3", "CN"),
    ("2.5.4.4", "SN"),
    ("2.5.4.5", "serialNumber"),
    ("2.5.4.6", "C"),
    ("2.5.4.7", "L"),
    ("2.5.4.8", "ST"),
    ("2.5.4.9", "street"),
    ("2.5.4.10", "O"),
    ("2.5.4.11", "OU"),
    ("2.5.4.12", "title"),
    ("2.5.4.42", "GN"),
    ("2.5.4.46", "dnQualifier"),
    ("1.2.840.113549.1.9.1", "emailAddress"),
    ("0.9.2342.19200300.100.1.25", "DC"),
    ("0.9.2342.19200300.100.1.1", "UID"),
];

/// `CN=Ann,OU=Sales,O=Example\, Inc.`: the most specific part first.
pub(crate) fn distinguished(name: &X509Name<'_>) -> String {
    let mut parts: Vec<String> = name
        .iter_rdn()
        .map(|part| part.iter().map(attribute).collect::<Vec<_>>().join("+"))
        .collect();
    parts.reverse();
    parts.join(",")
}

/// The first common name.
pub(crate) fn common(name: &X509Name<'_>) -> Option<String> {
    let mut text = String::new();
    escape(value(name.iter_common_name().next()?), &mut text);
    Some(text)
}

fn attribute(attribute: &AttributeTypeAndValue<'_>) -> String {
    let oid = attribute.attr_type().to_id_string();
    let mut text = match SHORT.iter().find(|(number, _)| *number == oid) {
        Some((_, short)) => (*short).to_owned(),
        None => oid,
    };
    text.push('=');
    escape(value(attribute), &mut text);
    text
}

fn value<'a>(attribute: &'a AttributeTypeAndValue<'_>) -> &'a [u8] {
    attribute
        .as_str()
        .map_or_else(|_| attribute.as_slice(), str::as_bytes)
}

fn escape(value: &[u8], text: &mut String) {
    let last = value.len().saturating_sub(1);
    for (at, &byte) in value.iter().enumerate() {
        match byte {
            b',' | b'+' | b'"' | b'\\' | b'<' | b'>' | b';' => {
                text.push('\\');
                text.push(char::from(byte));
            }
            b'#' if at == 0 => text.push_str("\\#"),
            b' ' if at == 0 || at == last => text.push_str("\\ "),
            b' '..=b'~' => text.push(char::from(byte)),
            _ => {
                let _ = write!(text, "\\{byte:02X}");
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escapes_are_those_of_rfc_2253() {
        for (value, expected) in [
            ("Example, Inc.", "Example\\, Inc."),
            (" a b ", "\\ a b\\ "),
            ("#a#", "\\#a#"),
            ("a\"b\\c<d>e;f+g=h", "a\\\"b\\\\c\\<d\\>e\\;f\\+g=h"),
            ("Zoë\n", "Zo\\C3\\AB\\0A"),
            (" ", "\\ "),
            ("", ""),
        ] {
            let mut text = String::new();
            escape(value.as_bytes(), &mut text);
            assert_eq!(text, expected);
        }
    }
}
