//! Apache's `httpd.conf`, read into the same draft as `carme.toml`.
//!
//! What a directive means here is in [`table`]; what answers where, once all are read, in [`places`].

mod balancers;
mod convert;
mod finish;
mod fold;
mod headers;
mod hosting;
mod hosts;
mod lexer;
mod limits;
mod logs;
mod parameters;
mod passed;
mod places;
mod policies;
mod pools;
mod proxy;
mod reading;
mod remote_ip;
mod requests;
mod rules;
mod seen_variables;
mod source;
mod switches;
mod table;
mod time;
mod tls;
mod variables;
mod wsgi;

use std::path::Path;

use self::reading::Reading;
use self::source::Reader;
use crate::assemble::assemble;
use crate::config::Config;
use crate::draft::Draft;
use crate::paths;
use crate::problem::{Place, Problem, Problems};
use crate::surroundings::{Console, Surroundings};

/// What was read, and what is to be told of it.
#[derive(Debug)]
pub struct Translated<T> {
    /// What was read.
    pub value: T,
    /// What is probably not meant. Of a file in Apache's syntax directives without a meaning here, each with the reason,
    /// and what is otherwise than in Apache.
    pub warnings: Vec<Problem>,
}

/// The draft with what only the translation to TOML needs.
struct Read {
    draft: Draft,
    logs: Vec<requests::LogRequests>,
    notes: Vec<String>,
    warnings: Vec<Problem>,
}

impl Config {
    /// Checks the text of a file at `path` in Apache's syntax. Relative paths are seen from `ServerRoot`, or from the
    /// file's folder.
    ///
    /// # Errors
    /// Everything that is wrong in it, or cannot be done here.
    pub fn from_apache(
        text: &str,
        path: &Path,
        surroundings: &Surroundings,
    ) -> Result<Translated<Self>, Problems> {
        let mut problems = Problems::default();
        let read = read(&[(path, text)], surroundings, &mut problems);
        let base = read.draft.base.clone();
        let mut made = assemble(read.draft, surroundings, problems)?;
        if surroundings.console == Console::Absent {
            made.value
                .write_console_to(&base.join(crate::config::defaults::SERVICE_LOG_FOLDER));
        }
        made.warnings.splice(0..0, read.warnings);
        Ok(made)
    }
}

/// As [`convert`](crate::convert), of texts whose files need not exist.
///
/// # Errors
/// Everything that is wrong in them, or cannot be done here.
pub fn convert_texts(
    files: &[(&Path, &str)],
    surroundings: &Surroundings,
) -> Result<Translated<String>, Problems> {
    if files.is_empty() {
        return Err(Problems::from(Problem {
            place: Place::CommandLine,
            what: "names no file".to_owned(),
            cure: Some("name httpd.conf".to_owned()),
        }));
    }
    let mut problems = Problems::default();
    let read = read(files, surroundings, &mut problems);
    if !problems.is_empty() {
        return Err(problems.in_order());
    }
    Ok(Translated {
        value: convert::toml(&read, files[0].0),
        warnings: read.warnings,
    })
}

fn read(files: &[(&Path, &str)], surroundings: &Surroundings, problems: &mut Problems) -> Read {
    let mut sites = files.iter().map(|(path, text)| {
        let file = paths::absolute(&surroundings.directory, path);
        let folder = file.parent().unwrap_or(&surroundings.directory);
        let mut reader = Reader::new(folder, problems);
        let nodes = reader.text(path, text, 0);
        let root = reader.root;
        let whole = Place::WholeFile(path.to_path_buf());
        let mut reading = Reading::new(root, whole, surroundings.is_root);
        reading.nodes(&nodes);
        for problem in std::mem::take(&mut reading.problems).iter() {
            problems.push(problem.clone());
        }
        reading
    });
    let Some(mut first) = sites.next() else {
        unreachable!("there is a file to read")
    };
    let instances: Vec<Reading> = sites.collect();
    let notes = first.fold(instances);
    let mut read = first.finish(problems);
    read.notes = notes;
    read
}
