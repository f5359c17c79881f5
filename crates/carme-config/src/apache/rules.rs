//! What answers where besides proxies and applications: folders, redirects, `<Location>`.

use super::lexer::Word;
use super::proxy::path;
use super::reading::{Answers, Context, Host, Outcome, Reading, Rule};
use super::requests::path_of;
use super::source::Node;
use crate::config::defaults;
use crate::location::Answer;
use crate::problem::Mistake;
use crate::toml_file::location::below;

pub(super) fn document_root(_: &mut Reading, node: &Node, host: &mut Host, _: &Context) -> Outcome {
    host.document_root = Some(node.arg(0)?.clone());
    Ok(())
}

pub(super) fn index(_: &mut Reading, node: &Node, host: &mut Host, context: &Context) -> Outcome {
    node.arg(0)?;
    let mut names = Vec::new();
    for word in node.args.iter().filter(|word| !word.is("disabled")) {
        names.push(below(&word.text, "index.html").map_err(|mistake| node.wrong_arg(word, mistake))?);
    }
    // That of one folder among others is nobody's here.
    if !context.in_directory || host.index.is_none() {
        host.index = Some(names);
    }
    Ok(())
}

pub(super) fn fallback(_: &mut Reading, node: &Node, host: &mut Host, _: &Context) -> Outcome {
    let word = node.arg(0)?;
    host.fallback = match word.is("disabled") {
        true => None,
        false => Some(below(&word.text, "index.html").map_err(|mistake| node.wrong_arg(word, mistake))?),
    };
    Ok(())
}

/// `Alias /path /folder`
pub(super) fn alias(_: &mut Reading, node: &Node, host: &mut Host, context: &Context) -> Outcome {
    let (location, folder) = match (&context.location, node.args.as_slice()) {
        (Some(location), [folder]) => (location.clone(), folder),
        _ => {
            let word = node.arg(0)?;
            let path = path(&word.text).map_err(|mistake| node.wrong_arg(word, mistake))?;
            (word.at(&node.name.text, path), node.arg(1)?)
        }
    };
    host.rules.push(Rule {
        path: location,
        what: Answers::Files(folder.clone()),
    });
    Ok(())
}

/// The status that a word names, and whether it names an address, too.
fn status(text: &str) -> Option<(u16, bool)> {
    match text.to_ascii_lowercase().as_str() {
        "permanent" => Some((301, true)),
        "temp" => Some((302, true)),
        "seeother" => Some((303, true)),
        "gone" => Some((410, false)),
        number => {
            let status = number
                .parse()
                .ok()
                .filter(|status| (200..=599).contains(status))?;
            Some((status, (300..400).contains(&status)))
        }
    }
}

/// `Redirect [STATUS] PATH [URL]`
pub(super) fn redirect(_: &mut Reading, node: &Node, host: &mut Host, context: &Context) -> Outcome {
    let fixed = match node.name.text.to_ascii_lowercase().as_str() {
        "redirectpermanent" => Some(301),
        "redirecttemp" => Some(302),
        _ => None,
    };
    let mut args = node.args.as_slice();
    let (code, needs_url) = match (fixed, args.first().and_then(|word| status(&word.text))) {
        (Some(code), _) => (code, true),
        (None, Some(found)) => {
            args = &args[1..];
            found
        }
        (None, None) => (302, true),
    };
    let location = match &context.location {
        Some(location) if args.len() < 2 => location.clone(),
        _ => {
            let Some((word, rest)) = args.split_first() else {
                return Err(node.wrong(
                    Mistake::new("names no path").cure("write Redirect /old https://www.example.com/new"),
                ));
            };
            args = rest;
            word.at(
                &node.name.text,
                path(&word.text).map_err(|mistake| node.wrong_arg(word, mistake))?,
            )
        }
    };
    let answer = match (needs_url, args.first()) {
        (false, _) => respond(code),
        (true, Some(url)) => Answer::Redirect {
            status: redirect_status(node, code)?,
            target: format!("{}{{path}}", address(node, url)?.trim_end_matches('/')),
        },
        (true, None) => return Err(node.wrong(Mistake::new("names no address"))),
    };
    host.rules.push(Rule {
        path: location,
        what: Answers::Fixed(answer),
    });
    Ok(())
}

fn redirect_status(node: &Node, status: u16) -> Result<u16, crate::problem::Problem> {
    match status {
        301 | 302 | 303 | 307 | 308 => Ok(status),
        _ => Err(node.wrong(
            Mistake::new(format!("has the status {status}, which does not redirect"))
                .cure("write 301, 302, 303, 307 or 308"),
        )),
    }
}

fn address(node: &Node, word: &Word) -> Result<String, crate::problem::Problem> {
    let host = word
        .text
        .strip_prefix("http://")
        .or_else(|| word.text.strip_prefix("https://"));
    let is_address = host.is_some_and(|host| !host.is_empty() && !host.starts_with('/'));
    let is_path = word.text.starts_with('/') && !word.text.starts_with("//");
    let plain = word
        .text
        .bytes()
        .all(|byte| byte.is_ascii_graphic() && byte != b'{' && byte != b'}');
    // The rest of the path goes behind it, with its slash: two of them would be another host.
    if is_path && word.text.trim_end_matches('/').is_empty() {
        let mistake =
            Mistake::new("leads to the root of this server, of which the rest of the path is no part");
        return Err(node.wrong_arg(
            word,
            mistake.cure("write the whole address: https://www.example.com/"),
        ));
    }
    match (is_address || is_path) && plain {
        true => Ok(word.text.clone()),
        false => Err(node.wrong_arg(
            word,
            Mistake::new(format!("must be an address or a path, found {:?}", word.text)),
        )),
    }
}

/// `RedirectMatch [STATUS] ^/path/(.*)$ URL/$1`
pub(super) fn redirect_match(_: &mut Reading, node: &Node, host: &mut Host, _: &Context) -> Outcome {
    let mut args = node.args.as_slice();
    let (code, needs_url) = match args.first().and_then(|word| status(&word.text)) {
        Some(found) => {
            args = &args[1..];
            found
        }
        None => (302, true),
    };
    let regex = args
        .first()
        .ok_or_else(|| node.wrong(Mistake::new("names no path")))?;
    let wrong = || {
        let mistake = Mistake::new("has an expression that is more than a path and what follows it");
        node.wrong_arg(
            regex,
            mistake.cure("known is ^/path/(.*)$ with an address that ends with $1"),
        )
    };
    let location = path_of(&regex.text).ok_or_else(wrong)?;
    let answer = match (needs_url, args.get(1)) {
        (false, _) => respond(code),
        (true, Some(url)) => {
            let base = url.text.strip_suffix("$1").ok_or_else(wrong)?;
            let base = Word {
                text: base.to_owned(),
                place: url.place.clone(),
            };
            Answer::Redirect {
                status: redirect_status(node, code)?,
                target: format!("{}{{path}}", address(node, &base)?.trim_end_matches('/')),
            }
        }
        (true, None) => return Err(node.wrong(Mistake::new("names no address"))),
    };
    host.rules.push(Rule {
        path: regex.at(&node.name.text, location),
        what: Answers::Fixed(answer),
    });
    Ok(())
}

fn respond(status: u16) -> Answer {
    Answer::Respond {
        status,
        body: String::new(),
        content_type: defaults::RESPOND_TYPE.to_owned(),
    }
}

/// `Require all granted` says nothing; `Require all denied` at a location is a 403; more is not known.
pub(super) fn require(reading: &mut Reading, node: &Node, host: &mut Host, context: &Context) -> Outcome {
    let words: Vec<String> = node
        .args
        .iter()
        .map(|word| word.text.to_ascii_lowercase())
        .collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    match (words.as_slice(), &context.location) {
        (["all", "granted"], _) => Ok(()),
        (["all", "denied"], Some(location)) if !context.in_directory => {
            host.rules.insert(
                0,
                Rule {
                    path: location.clone(),
                    what: Answers::Fixed(respond(403)),
                },
            );
            Ok(())
        }
        (["all", "denied"], _) if context.in_directory => {
            let why =
                "is about files below folders; Carme serves only what a location names, and no hidden files";
            reading.warn(&node.name, &node.name.text, why);
            Ok(())
        }
        _ => Err(node.wrong(
            Mistake::new("decides who may come, which Carme does not")
                .cure("have the application do it, or listen where only they can come"),
        )),
    }
}

/// Apache's own pages; programs are not run.
pub(super) fn handler(reading: &mut Reading, node: &Node, _: &mut Host, context: &Context) -> Outcome {
    let word = node.arg(0)?;
    match word.text.to_ascii_lowercase().as_str() {
        "server-status" | "server-info" | "balancer-manager" => {
            let why = "is a page of Apache; Carme has `carme status`, [health] and [metrics]";
            reading.warn(word, &node.name.text, why);
            Ok(())
        }
        "none" | "default-handler" | "wsgi-script" if context.in_directory => {
            reading.warn(
                word,
                &node.name.text,
                "is about files below folders; name the script by WSGIScriptAlias",
            );
            Ok(())
        }
        handler => {
            let mistake = Mistake::new(format!("runs {handler:?}, which Carme does not have"));
            Err(node.wrong_arg(word, mistake.cure("write ProxyPass or WSGIScriptAlias")))
        }
    }
}

/// `<Location /path>`; `<LocationMatch>` where its expression is a path.
pub(super) fn location(reading: &mut Reading, node: &Node, children: &[Node], host: &mut Host) -> Outcome {
    let mut word = node.arg(0)?;
    let is_regex = node.name.is("LocationMatch") || word.text == "~";
    if word.text == "~" {
        word = node.arg(1)?;
    }
    let wrong = |mistake: Mistake| word.problem(&format!("<{}>", node.name.text), mistake);
    let path = match is_regex {
        true => path_of(&word.text).ok_or_else(|| {
            wrong(Mistake::new("has an expression that is more than a path").cure("write <Location /path>"))
        })?,
        false => path(&word.text).map_err(wrong)?,
    };
    let is_page = children.iter().any(|child| {
        let page =
            |word: &Word| word.is("server-status") || word.is("server-info") || word.is("balancer-manager");
        child.name.is("SetHandler") && child.args.first().is_some_and(page)
    });
    let context = Context {
        location: Some(word.at(&format!("<{}>", node.name.text), path)),
        ..Context::default()
    };
    if is_page {
        // Who may see a page that there is not is of no matter.
        let handler: Vec<Node> = children
            .iter()
            .filter(|child| child.name.is("SetHandler"))
            .cloned()
            .collect();
        reading.inside(&handler, host, &context);
    } else {
        reading.inside(children, host, &context);
    }
    Ok(())
}
