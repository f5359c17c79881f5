//! The format against what Apache 2.4 writes, against mistakes, and against arbitrary bytes.

mod errors;
mod golden;
mod hostile;
mod json;
mod variables;

use crate::{Fields, Format, Record};

/// Headers, variables and notes in plain lists.
#[derive(Default)]
struct Lists {
    request: Vec<(&'static str, Vec<u8>)>,
    response: Vec<(&'static str, Vec<u8>)>,
    request_trailers: Vec<(&'static str, Vec<u8>)>,
    response_trailers: Vec<(&'static str, Vec<u8>)>,
    tls: Vec<(&'static str, Vec<u8>)>,
    variables: Vec<(&'static str, Vec<u8>)>,
    notes: Vec<(&'static str, Vec<u8>)>,
}

fn each_named(list: &[(&str, Vec<u8>)], name: &str, each: &mut dyn FnMut(&[u8])) {
    for (_, value) in list.iter().filter(|(key, _)| *key == name) {
        each(value);
    }
}

fn first_named<'l>(list: &'l [(&str, Vec<u8>)], name: &str) -> Option<&'l [u8]> {
    list.iter()
        .find(|(key, _)| *key == name)
        .map(|(_, value)| &**value)
}

impl Fields for Lists {
    fn request_header(&self, name: &str, each: &mut dyn FnMut(&[u8])) {
        each_named(&self.request, name, each);
    }

    fn response_header(&self, name: &str, each: &mut dyn FnMut(&[u8])) {
        each_named(&self.response, name, each);
    }

    fn request_trailer(&self, name: &str, each: &mut dyn FnMut(&[u8])) {
        each_named(&self.request_trailers, name, each);
    }

    fn response_trailer(&self, name: &str, each: &mut dyn FnMut(&[u8])) {
        each_named(&self.response_trailers, name, each);
    }

    fn tls(&self, name: &str) -> Option<&[u8]> {
        first_named(&self.tls, name)
    }

    fn variable(&self, name: &str) -> Option<&[u8]> {
        first_named(&self.variables, name)
    }

    fn note(&self, name: &str) -> Option<&[u8]> {
        first_named(&self.notes, name)
    }
}

fn line(format: &str, record: &Record<'_>) -> String {
    let mut out = b"before ".to_vec();
    let format = Format::parse(format)
        .unwrap_or_else(|error| panic!("{error}"))
        .utc();
    format.render(record, &mut out);
    let text = String::from_utf8(out).expect("a line is ASCII where the format is");
    text.strip_prefix("before ").expect("render appends").to_owned()
}
