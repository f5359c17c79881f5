//! `mod_ssl`'s directives.

use super::hosts::ClientCheck;
use super::reading::{Context, Host, Outcome, Reading};
use super::source::Node;
use crate::MinVersion;
use crate::nearest::did_you_mean;
use crate::problem::Mistake;

pub(super) fn engine(_: &mut Reading, node: &Node, host: &mut Host, _: &Context) -> Outcome {
    host.secure.engine = match node.arg(0)?.is("optional") {
        true => false,
        false => node.switch()?,
    };
    Ok(())
}

pub(super) fn certificate(reading: &mut Reading, node: &Node, host: &mut Host, _: &Context) -> Outcome {
    let word = node.arg(0)?.clone();
    if host.secure.certificate.is_some() {
        let why = "is a second one for the same names, of another kind; the first is taken";
        reading.warn(&word, &node.name.text, why);
        return Ok(());
    }
    host.secure.certificate = Some(word);
    Ok(())
}

pub(super) fn key(_: &mut Reading, node: &Node, host: &mut Host, _: &Context) -> Outcome {
    let word = node.arg(0)?.clone();
    host.secure.key.get_or_insert(word);
    Ok(())
}

pub(super) fn client_ca(_: &mut Reading, node: &Node, host: &mut Host, _: &Context) -> Outcome {
    host.secure.client_ca = Some(node.arg(0)?.clone());
    Ok(())
}

pub(super) fn verify_client(_: &mut Reading, node: &Node, host: &mut Host, _: &Context) -> Outcome {
    let word = node.arg(0)?;
    let check = match word.text.to_ascii_lowercase().as_str() {
        "none" => ClientCheck::None,
        "optional" => ClientCheck::Optional,
        "require" => ClientCheck::Required,
        "optional_no_ca" => {
            let mistake = Mistake::new("takes certificates that nobody has checked, which Carme does not");
            return Err(node.wrong_arg(word, mistake.cure("write optional")));
        }
        other => {
            let mistake = Mistake::new(format!("must be none, optional or require, found {other:?}"));
            return Err(node.wrong_arg(
                word,
                mistake.maybe_cure(did_you_mean(other, ["none", "optional", "require"])),
            ));
        }
    };
    host.secure.client_check = Some((word.clone(), check));
    Ok(())
}

/// The oldest version that is left of `all -SSLv3 -TLSv1 -TLSv1.1`.
pub(super) fn protocol(reading: &mut Reading, node: &Node, host: &mut Host, _: &Context) -> Outcome {
    let mut on = [false; 5];
    const NAMES: [&str; 5] = ["sslv3", "tlsv1", "tlsv1.1", "tlsv1.2", "tlsv1.3"];
    node.arg(0)?;
    for word in &node.args {
        let lower = word.text.to_ascii_lowercase();
        let (add, name) = match lower.strip_prefix('-') {
            Some(name) => (false, name),
            None => (true, lower.trim_start_matches('+')),
        };
        match NAMES.iter().position(|known| *known == name) {
            Some(at) => on[at] = add,
            None if name == "all" => on = [add; 5],
            None if name == "sslv2" => {}
            None => {
                let mistake = Mistake::new(format!("names no version: {:?}", word.text));
                return Err(node.wrong_arg(word, mistake.maybe_cure(did_you_mean(name, NAMES))));
            }
        }
    }
    if !on[3] && !on[4] {
        let mistake = Mistake::new("leaves neither TLSv1.2 nor TLSv1.3, and Carme speaks nothing older");
        return Err(node.wrong(mistake.cure("write: SSLProtocol TLSv1.2 TLSv1.3")));
    }
    if on[..3].iter().any(|on| *on) && !node.args.iter().any(|word| word.is("all")) {
        reading.warn(
            &node.name,
            &node.name.text,
            "names versions that Carme does not speak any more",
        );
    }
    host.secure.min_version = Some(if on[3] {
        MinVersion::Tls12
    } else {
        MinVersion::Tls13
    });
    Ok(())
}

pub(super) fn proxy_verify(_: &mut Reading, node: &Node, host: &mut Host, _: &Context) -> Outcome {
    let word = node.arg(0)?;
    host.proxy.verify = match word.text.to_ascii_lowercase().as_str() {
        "none" => Some(false),
        "optional" | "require" | "optional_no_ca" => Some(true),
        other => {
            let mistake = Mistake::new(format!("must be none or require, found {other:?}"));
            return Err(node.wrong_arg(word, mistake));
        }
    };
    Ok(())
}

pub(super) fn proxy_ca(_: &mut Reading, node: &Node, host: &mut Host, _: &Context) -> Outcome {
    host.proxy.ca = Some(node.arg(0)?.clone());
    Ok(())
}
