//! The files as one tree of directives: what is included is in its place, what a condition excludes is gone, variables
//! have their values.

use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};

use super::lexer::{Line, Source, Word};
use crate::nearest::did_you_mean;
use crate::paths;
use crate::problem::{Mistake, Place, Problem, Problems};

/// So deep may files include each other, and sections be nested.
const DEPTH: usize = 32;
/// Files that one configuration may have: more is a loop of another kind.
const FILES: usize = 1000;
/// Folders in folders that `Include` of a folder takes.
const FOLDERS: usize = 4;

/// A directive, or a section with what is in it.
#[derive(Debug, Clone)]
pub(super) struct Node {
    pub(super) name: Word,
    pub(super) args: Vec<Word>,
    /// `None` for a directive.
    pub(super) children: Option<Vec<Node>>,
}

/// Reads files into a tree.
pub(super) struct Reader<'p> {
    /// Where relative paths begin: `ServerRoot`, or the first file's folder.
    pub(super) root: PathBuf,
    variables: HashMap<String, String>,
    modules: Vec<String>,
    files: usize,
    problems: &'p mut Problems,
}

/// A section that is open while lines are read.
struct Open {
    name: Word,
    args: Vec<Word>,
    children: Vec<Node>,
    kind: Kind,
}

#[derive(PartialEq, Eq)]
enum Kind {
    /// Kept in the tree.
    Section,
    /// A condition that holds: its content is its parent's.
    Holds,
    /// One that does not: its content is dropped.
    Dropped,
}

impl<'p> Reader<'p> {
    pub(super) fn new(root: &Path, problems: &'p mut Problems) -> Self {
        Reader {
            root: root.to_owned(),
            variables: HashMap::new(),
            modules: Vec::new(),
            files: 0,
            problems,
        }
    }

    /// The tree of a file's text.
    pub(super) fn text(&mut self, path: &Path, text: &str, depth: usize) -> Vec<Node> {
        let lines = match Source::new(path, text).read() {
            Ok(lines) => lines,
            Err(problem) => {
                self.problems.push(problem);
                return Vec::new();
            }
        };
        let mut open: Vec<Open> = Vec::new();
        let mut top = Vec::new();
        for line in lines {
            match line {
                Line::Open(name, args) => {
                    if open.len() >= DEPTH {
                        self.problems
                            .push(name.problem(&name.text, Mistake::new("is nested too deeply")));
                        return top;
                    }
                    let dropped = open.last().is_some_and(|section| section.kind == Kind::Dropped);
                    let (args, kind) = match dropped {
                        true => (args, Kind::Dropped),
                        false => {
                            let args = self.resolved(args);
                            let kind = self.kind(&name, &args);
                            (args, kind)
                        }
                    };
                    open.push(Open {
                        name,
                        args,
                        children: Vec::new(),
                        kind,
                    });
                }
                Line::Close(name) => match open.pop() {
                    Some(section) if section.name.is(&name.text) => {
                        let into = open.last_mut().map_or(&mut top, |section| &mut section.children);
                        match section.kind {
                            Kind::Dropped => {}
                            Kind::Holds => into.extend(section.children),
                            Kind::Section => into.push(Node {
                                name: section.name,
                                args: section.args,
                                children: Some(section.children),
                            }),
                        }
                    }
                    Some(section) => {
                        let cure = format!("close it first: </{}>", section.name.text);
                        let what = format!("ends here, and <{}> is open", section.name.text);
                        self.problems
                            .push(name.problem(&format!("</{}>", name.text), Mistake::new(what).cure(cure)));
                        return top;
                    }
                    None => {
                        let mistake = Mistake::new("ends what has not begun");
                        self.problems
                            .push(name.problem(&format!("</{}>", name.text), mistake));
                    }
                },
                Line::Directive(name, args) => {
                    if open.last().is_some_and(|section| section.kind == Kind::Dropped) {
                        continue;
                    }
                    let args = self.resolved(args);
                    let nodes = self.directive(name, args, depth);
                    open.last_mut()
                        .map_or(&mut top, |section| &mut section.children)
                        .extend(nodes);
                }
            }
        }
        if let Some(section) = open.pop() {
            let mistake = Mistake::new("is not closed").cure(format!("add </{}>", section.name.text));
            let subject = format!("<{}>", section.name.text);
            self.problems.push(section.name.problem(&subject, mistake));
        }
        top
    }

    /// What can only be done while reading; everything else stays.
    fn directive(&mut self, name: Word, args: Vec<Word>, depth: usize) -> Vec<Node> {
        match name.text.to_ascii_lowercase().as_str() {
            "define" => {
                match args.as_slice() {
                    [variable] => self.variables.insert(variable.text.clone(), String::new()),
                    [variable, value] => self.variables.insert(variable.text.clone(), value.text.clone()),
                    _ => {
                        let mistake = Mistake::new("takes a name and a value");
                        self.problems.push(name.problem("Define", mistake));
                        None
                    }
                };
                Vec::new()
            }
            "undefine" => {
                args.iter()
                    .for_each(|variable| drop(self.variables.remove(&variable.text)));
                Vec::new()
            }
            "include" | "includeoptional" => match args.first() {
                Some(pattern) => self.include(&name, pattern, depth),
                None => {
                    self.problems
                        .push(name.problem(&name.text, Mistake::new("names no file")));
                    Vec::new()
                }
            },
            "serverroot" => {
                if let Some(root) = args.first() {
                    self.root = paths::absolute(&self.root, &root.text);
                }
                Vec::new()
            }
            "loadmodule" => {
                if let Some(module) = args.first() {
                    self.modules.push(module.text.to_ascii_lowercase());
                }
                Vec::new()
            }
            "error" => {
                let text: Vec<&str> = args.iter().map(|word| word.text.as_str()).collect();
                let mistake = Mistake::new(format!("says: {}", text.join(" ")));
                self.problems.push(name.problem("Error", mistake));
                Vec::new()
            }
            _ => vec![Node {
                name,
                args,
                children: None,
            }],
        }
    }

    /// `${NAME}` in words: what `Define` says, else the environment.
    fn resolved(&mut self, args: Vec<Word>) -> Vec<Word> {
        args.into_iter().map(|word| self.resolve(word)).collect()
    }

    fn resolve(&mut self, mut word: Word) -> Word {
        let mut text = String::new();
        let mut rest = word.text.as_str();
        while let Some(at) = rest.find("${") {
            text.push_str(&rest[..at]);
            let Some(end) = rest[at..].find('}') else { break };
            let name = &rest[at + 2..at + end];
            let value = self.variables.get(name).cloned().or_else(|| {
                match name.contains(['=', '\0']) || name.is_empty() {
                    true => None,
                    false => std::env::var(name).ok(),
                }
            });
            match value {
                Some(value) => text.push_str(&value),
                None => {
                    let known = did_you_mean(name, self.variables.keys().map(String::as_str));
                    let cure = known.unwrap_or_else(|| format!("write before it: Define {name} VALUE"));
                    let what = format!("is defined nowhere, nor is it in the environment: ${{{name}}}");
                    self.problems
                        .push(word.problem("the variable", Mistake::new(what).cure(cure)));
                }
            }
            rest = &rest[at + end + 1..];
        }
        text.push_str(rest);
        word.text = text;
        word
    }

    /// Whether a section is a condition, and holds.
    fn kind(&mut self, name: &Word, args: &[Word]) -> Kind {
        let lower = name.text.to_ascii_lowercase();
        let argument = args.first().map_or("", |word| word.text.as_str());
        let (negated, wanted) = match argument.strip_prefix('!') {
            Some(wanted) => (true, wanted),
            None => (false, argument),
        };
        let holds = match lower.as_str() {
            "ifmodule" => self.has_module(wanted) != negated,
            "ifdefine" => self.variables.contains_key(wanted) != negated,
            "iffile" => paths::absolute(&self.root, wanted).exists() != negated,
            "ifversion" => match version_holds(args) {
                Ok(holds) => holds,
                Err(mistake) => {
                    self.problems.push(name.problem("<IfVersion>", mistake));
                    false
                }
            },
            _ => return Kind::Section,
        };
        match holds {
            true => Kind::Holds,
            false => Kind::Dropped,
        }
    }

    /// The modules that were loaded, and those that always are; where none is loaded, all whose work Carme does.
    fn has_module(&self, name: &str) -> bool {
        let name = name.to_ascii_lowercase();
        let short = name.strip_prefix("mod_").and_then(|name| name.strip_suffix(".c"));
        let short = short.or_else(|| name.strip_suffix("_module")).unwrap_or(&name);
        let compiled_in = ["so", "core", "http", "log_config", "logio", "version", "watchdog"];
        match self.modules.is_empty() {
            true => BUILT_IN.contains(&short),
            false => compiled_in.contains(&short) || self.modules.contains(&format!("{short}_module")),
        }
    }

    fn include(&mut self, name: &Word, pattern: &Word, depth: usize) -> Vec<Node> {
        if depth >= DEPTH {
            let mistake = Mistake::new("goes round in a circle, or too deep");
            self.problems.push(name.problem(&name.text, mistake));
            return Vec::new();
        }
        let path = paths::absolute(&self.root, &pattern.text);
        let mut found = Vec::new();
        matching(&path, &mut found);
        if found.is_empty() && name.is("Include") && !pattern.text.contains(['*', '?', '[']) {
            let near = paths::nearest_sibling(&path, |_| true);
            let mistake = Mistake::new(format!("names a file that does not exist: {}", path.display()));
            self.problems
                .push(pattern.problem("Include", mistake.maybe_cure(near)));
        }
        let mut nodes = Vec::new();
        for file in found {
            self.files += 1;
            if self.files > FILES {
                let mistake = Mistake::new(format!("has brought more than {FILES} files"));
                self.problems.push(name.problem(&name.text, mistake));
                return nodes;
            }
            match fs::read_to_string(&file) {
                Ok(text) => nodes.extend(self.text(&file, &text, depth + 1)),
                Err(error) => self.problems.push(Problem {
                    place: Place::WholeFile(file),
                    what: format!("this included file cannot be read: {error}"),
                    cure: None,
                }),
            }
        }
        nodes
    }
}

/// What Carme does itself, by the modules' short names.
const BUILT_IN: [&str; 30] = [
    "so",
    "core",
    "http",
    "log_config",
    "logio",
    "setenvif",
    "env",
    "headers",
    "alias",
    "dir",
    "mime",
    "ssl",
    "socache_shmcb",
    "remoteip",
    "rpaf",
    "reqtimeout",
    "deflate",
    "brotli",
    "proxy",
    "proxy_http",
    "proxy_http2",
    "proxy_wstunnel",
    "proxy_balancer",
    "proxy_hcheck",
    "lbmethod_byrequests",
    "lbmethod_bytraffic",
    "lbmethod_bybusyness",
    "slotmem_shm",
    "watchdog",
    "wsgi",
];

/// Files that a path with `*` and `?` in it names, in the order of their names; all files below a folder.
fn matching(path: &Path, found: &mut Vec<PathBuf>) {
    let mut places = vec![PathBuf::new()];
    for component in path.components() {
        let text = component.as_os_str().to_string_lossy();
        let mut next = Vec::new();
        for place in places {
            if text.contains(['*', '?']) {
                let names = paths::names_in(&place, |_| true);
                next.extend(
                    names
                        .iter()
                        .filter(|name| fits(&text, name))
                        .map(|name| place.join(name)),
                );
            } else {
                next.push(place.join(component));
            }
        }
        places = next;
    }
    for place in places {
        if place.is_dir() {
            files_below(&place, found, 0);
        } else if place.is_file() {
            found.push(place);
        }
    }
}

/// All files of a folder and of those in it, as Apache takes a folder; not more than could be read anyway.
fn files_below(folder: &Path, found: &mut Vec<PathBuf>, depth: usize) {
    for name in paths::names_in(folder, |_| true) {
        let path = folder.join(name);
        if found.len() > FILES {
            return;
        }
        if path.is_dir() && depth < FOLDERS {
            files_below(&path, found, depth + 1);
        } else if path.is_file() {
            found.push(path);
        }
    }
}

/// Whether a name fits a pattern; a leading dot is never matched by a wildcard.
fn fits(pattern: &str, name: &str) -> bool {
    fn rest(pattern: &[u8], name: &[u8]) -> bool {
        match (pattern, name) {
            ([], []) => true,
            ([b'*', more @ ..], _) => {
                rest(more, name)
                    || name
                        .split_first()
                        .is_some_and(|(_, shorter)| rest(pattern, shorter))
            }
            ([b'?', more @ ..], [_, name @ ..]) => rest(more, name),
            ([c, more @ ..], [d, name @ ..]) => c == d && rest(more, name),
            _ => false,
        }
    }
    (!name.starts_with('.') || pattern.starts_with('.')) && rest(pattern.as_bytes(), name.as_bytes())
}

/// `<IfVersion >= 2.4>`: this is a 2.4.
fn version_holds(args: &[Word]) -> Result<bool, Mistake> {
    let wrong = || Mistake::new("takes a comparison and a version, as in \">= 2.4\"");
    let (operator, version) = match args {
        [version] => ("=", version.text.as_str()),
        [operator, version] => (operator.text.as_str(), version.text.as_str()),
        _ => return Err(wrong()),
    };
    let number = |part: Option<&str>, usual: u32| {
        part.map_or(Ok(usual), |part| part.parse::<u32>().map_err(|_| wrong()))
    };
    let mut parts = version.split('.');
    let wanted = (
        number(parts.next(), 0)?,
        number(parts.next(), 0)?,
        number(parts.next(), 0)?,
    );
    let own = (
        2,
        4,
        if parts.next().is_none() && version.split('.').count() < 3 {
            0
        } else {
            66
        },
    );
    let (not, operator) = match operator.strip_prefix('!') {
        Some(operator) => (true, operator),
        None => (false, operator),
    };
    let holds = match operator {
        "=" | "==" => own == wanted,
        ">" => own > wanted,
        ">=" => own >= wanted,
        "<" => own < wanted,
        "<=" => own <= wanted,
        _ => return Err(wrong()),
    };
    Ok(holds != not)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(text: &str) -> (String, Vec<String>) {
        fn tree(nodes: &[Node]) -> String {
            let node = |node: &Node| {
                let args: Vec<&str> = node.args.iter().map(|word| word.text.as_str()).collect();
                let inner = node.children.as_ref().map(|nodes| format!("{{{}}}", tree(nodes)));
                format!(
                    "{}({}){}",
                    node.name.text,
                    args.join(","),
                    inner.unwrap_or_default()
                )
            };
            nodes.iter().map(node).collect()
        }
        let mut problems = Problems::default();
        let nodes = Reader::new(Path::new("/nowhere"), &mut problems).text(Path::new("a.conf"), text, 0);
        (
            tree(&nodes),
            problems
                .iter()
                .map(|problem| problem.to_string().replace("\n    ", " | "))
                .collect(),
        )
    }

    #[test]
    fn conditions_and_variables() {
        for (text, expected) in [
            ("A 1\n<B c>\nD e\n</B>", "A(1)B(c){D(e)}"),
            ("<IfModule mod_proxy.c>\nA\n</IfModule>", "A()"),
            ("<IfModule !mod_proxy.c>\nA\n</IfModule>\nB", "B()"),
            ("<IfModule nonsense_module>\nA\n</IfModule>\nB", "B()"),
            (
                "LoadModule nonsense_module x.so\n<IfModule mod_nonsense.c>\nA\n</IfModule>",
                "A()",
            ),
            ("<IfDefine X>\n<B>\nA\n</B>\n</IfDefine>\nC", "C()"),
            (
                "LoadModule x_module x.so\n<IfModule mod_ssl.c>\nA\n</IfModule>\n<IfModule log_config_module>\nB\n</IfModule>",
                "B()",
            ),
            ("Define X\n<IfDefine X>\nA\n</IfDefine>", "A()"),
            ("Define X y\nA ${X}/z-${X}", "A(y/z-y)"),
            ("<IfVersion >= 2.4>\nA\n</IfVersion>", "A()"),
            ("<IfVersion < 2.4>\nA\n</IfVersion>", ""),
        ] {
            assert_eq!(shown(text).0, expected, "{text}");
        }
    }

    #[test]
    fn mistakes() {
        for (text, expected) in [
            (
                "Define ROOT /a\nA ${ROOTS}",
                "a.conf:2:3: the variable is defined nowhere, nor is it in the environment: ${ROOTS} | help: did you mean `ROOT`?",
            ),
            ("<A>", "a.conf:1:2: <A> is not closed | help: add </A>"),
            ("</A>", "a.conf:1:2: </A> ends what has not begun"),
            (
                "<A>\n<B>\n</A>",
                "a.conf:3:2: </A> ends here, and <B> is open | help: close it first: </B>",
            ),
            ("Error \"not here\"", "a.conf:1:1: Error says: not here"),
            (
                "Include other.conf",
                "a.conf:1:9: Include names a file that does not exist: /nowhere/other.conf",
            ),
        ] {
            let found = shown(text).1.concat().replace('\\', "/");
            // On Windows it is on some drive.
            let nowhere = paths::absolute(Path::new("/"), "nowhere").display().to_string();
            let found = found.replace(&nowhere.replace('\\', "/"), "/nowhere");
            assert!(found.starts_with(expected), "{text}: {found}");
        }
    }

    #[test]
    fn patterns_of_names() {
        for (pattern, name, expected) in [
            ("*.conf", "a.conf", true),
            ("*.conf", ".a.conf", false),
            ("a?", "ab", true),
            ("a?", "a", false),
            ("*", "x", true),
        ] {
            assert_eq!(fits(pattern, name), expected, "{pattern} {name}");
        }
    }

    #[test]
    fn included_files_are_in_their_place() {
        let folder = tempfile::tempdir().expect("a folder");
        fs::create_dir(folder.path().join("sites")).expect("a folder");
        fs::write(folder.path().join("sites/b.conf"), "B").expect("written");
        fs::write(folder.path().join("sites/a.conf"), "A").expect("written");
        fs::write(folder.path().join("loop.conf"), "Include loop.conf").expect("written");
        let read = |text: &str| {
            let mut problems = Problems::default();
            let nodes = Reader::new(folder.path(), &mut problems).text(Path::new("x.conf"), text, 0);
            let names: String = nodes.iter().map(|node| node.name.text.as_str()).collect();
            (names, problems.iter().count())
        };
        assert_eq!(read("X\nInclude sites/*.conf\nY"), ("XABY".into(), 0));
        assert_eq!(
            read("IncludeOptional none/*.conf\nInclude sites"),
            ("AB".into(), 0)
        );
        assert_eq!(read("Include loop.conf").1, 1);
    }
}
