//! `mod_remoteip` and `mod_rpaf`: who is believed about the client.

use std::fs;

use super::lexer::Word;
use super::reading::{Context, Host, Outcome, Reading};
use super::source::Node;
use crate::paths;
use crate::problem::Mistake;
use crate::proxies::{ClientHeader, ForwardedFields, TrustedProxy};

pub(super) fn header(reading: &mut Reading, node: &Node, _: &mut Host, _: &Context) -> Outcome {
    reading.server.proxies.header = node.parsed(ClientHeader::parse)?;
    Ok(())
}

pub(super) fn trusted(reading: &mut Reading, node: &Node, _: &mut Host, _: &Context) -> Outcome {
    node.arg(0)?;
    for word in &node.args {
        for text in word.text.split(',').filter(|text| !text.is_empty()) {
            trust(reading, node, word, text)?;
        }
    }
    Ok(())
}

fn trust(reading: &mut Reading, node: &Node, word: &Word, text: &str) -> Outcome {
    let proxy = match text.eq_ignore_ascii_case("localhost") {
        true => TrustedProxy::parse("127.0.0.1"),
        false => TrustedProxy::parse(text),
    };
    let proxy = proxy.map_err(|mistake| node.wrong_arg(word, mistake))?;
    if !reading.server.proxies.trusted.contains(&proxy) {
        reading.server.proxies.trusted.push(proxy);
    }
    Ok(())
}

/// A file of them, one or more on a line.
pub(super) fn list(reading: &mut Reading, node: &Node, _: &mut Host, _: &Context) -> Outcome {
    let word = node.arg(0)?;
    let path = paths::absolute(&reading.root, &word.text);
    let text = match path.is_file() {
        true => fs::read_to_string(&path),
        false => Err(std::io::ErrorKind::NotFound.into()),
    };
    let text = text.map_err(|error| {
        node.wrong_arg(
            word,
            Mistake::new(format!("names {}, which cannot be read: {error}", path.display())),
        )
    })?;
    let lines = text
        .lines()
        .map(|line| line.split('#').next().unwrap_or_default());
    for proxy in lines.flat_map(str::split_whitespace) {
        trust(reading, node, word, proxy)?;
    }
    Ok(())
}

pub(super) fn protocol(reading: &mut Reading, node: &Node, _: &mut Host, _: &Context) -> Outcome {
    if node.switch()? {
        reading.server.proxies.protocol = true;
        let why = "is on for all addresses here, and only for RemoteIPInternalProxy and RemoteIPTrustedProxy";
        reading.warn(&node.name, &node.name.text, why);
    }
    Ok(())
}

/// With mod_rpaf only what is switched on is believed besides the address.
pub(super) fn rpaf_enable(reading: &mut Reading, node: &Node, _: &mut Host, _: &Context) -> Outcome {
    if node.switch()? && reading.server.proxies.fields == ForwardedFields::default() {
        reading.server.proxies.fields = ForwardedFields::NONE;
    }
    Ok(())
}

pub(super) fn rpaf_field(reading: &mut Reading, node: &Node, _: &mut Host, _: &Context) -> Outcome {
    let on = node.switch()?;
    let fields = &mut reading.server.proxies.fields;
    if *fields == ForwardedFields::default() {
        *fields = ForwardedFields::NONE;
    }
    match node.name.text.to_ascii_lowercase().rsplit("set").next() {
        Some("hostname") => fields.host = on,
        Some("https") => fields.proto = on,
        _ => fields.port = on,
    }
    Ok(())
}
