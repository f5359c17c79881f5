//! The options of `carme serve TARGET`, checked into a [`Config`].

use std::num::NonZeroUsize;
use std::time::Duration;

use crate::assemble::assemble;
use crate::bind::Bind;
use crate::config::{AccessLog, Config, Server, defaults};
use crate::draft::{AppDraft, At, Draft, LocationDraft};
use crate::env_file;
use crate::iis::{self, Said};
use crate::log_output::LogOutput;
use crate::monitor::Monitor;
use crate::mount::MountPath;
use crate::number::AtMost;
use crate::problem::{Mistake, Place, Problem, Problems};
use crate::proxies::TrustedProxy;
use crate::route::RoutePattern;
use crate::surroundings::Surroundings;
use crate::tls::{CertificateDraft, TlsDraft, no_certificate};
use crate::toml_file::bounds;
use crate::units::parse_duration;

/// The options as the user wrote them; `None` and empty lists mean "not given". Paths are seen from the current
/// directory, the target from `directory`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[allow(
    missing_docs,
    reason = "each is the option of its name; the program's help explains them"
)]
pub struct ServeOptions {
    pub target: Option<String>,
    pub bind: Vec<String>,
    pub certificate: Option<String>,
    pub key: Option<String>,
    pub workers: Option<String>,
    pub threads: Option<String>,
    pub interface: Option<String>,
    pub python: Option<String>,
    pub directory: Option<String>,
    pub access_log: Option<String>,
    pub log_format: Option<String>,
    pub env: Vec<String>,
    pub env_file: Vec<String>,
    pub mount: Option<String>,
    pub trusted_proxy: Vec<String>,
    pub queue_limit: Option<String>,
    pub queue_timeout: Option<String>,
    pub request_timeout: Option<String>,
    pub graceful_timeout: Option<String>,
    pub route: Option<String>,
    pub switch_interval: Option<String>,
    pub startup_timeout: Option<String>,
}

const NO_ACCESS_LOG: &str = "write --access-log off for no access log";

impl Config {
    /// Checks the options.
    ///
    /// # Errors
    /// Everything that is wrong with them.
    pub fn from_options(options: &ServeOptions, surroundings: &Surroundings) -> Result<Self, Problems> {
        let mut reader = Reader {
            problems: Problems::default(),
        };
        let base = &surroundings.directory;
        let mut server = Server::default();
        let tls = reader.tls(options);
        if tls.is_some() {
            server.listen = vec![Bind::Tls(defaults::LISTEN)];
        }
        if !options.bind.is_empty() {
            server.listen.clear();
            for text in &options.bind {
                let Some(bind) = reader.read("--bind", text, |text| Bind::parse(text, base)) else {
                    continue;
                };
                if bind.is_tls() && tls.is_none() {
                    let mistake = no_certificate(&bind, "add --certificate site.pem --key site.key");
                    reader.wrong("--bind", mistake);
                }
                match server.listen.iter().any(|other| other.collides(&bind)) {
                    true => reader.wrong("--bind", Mistake::new(format!("is given twice: {text}"))),
                    false => server.listen.push(bind),
                }
            }
        }
        if let Some(timeout) = reader.option("--graceful-timeout", &options.graceful_timeout, parse_duration)
        {
            server.timeouts.graceful = timeout;
        }
        for text in &options.trusted_proxy {
            let Some(proxy) = reader.read("--trusted-proxy", text, TrustedProxy::parse) else {
                continue;
            };
            let trusted = &mut server.proxies.trusted;
            match trusted.contains(&proxy) {
                true => reader.wrong("--trusted-proxy", Mistake::new(format!("is given twice: {text}"))),
                false => trusted.push(proxy),
            }
        }
        let said = Said {
            listen: !options.bind.is_empty() || tls.is_some(),
            trusted_proxies: !options.trusted_proxy.is_empty(),
            forwarded_fields: false,
        };
        if let Err(problem) = iis::adapt(&mut server, said, surroundings) {
            reader.problems.push(problem);
        }
        let app = reader.app(options, surroundings);
        let mount = reader.option("--mount", &options.mount, MountPath::parse);
        let locations = mount.map(|path| {
            vec![LocationDraft::app(
                at("--mount", path),
                at("--mount", app.name.value.clone()),
            )]
        });
        let access_logs = reader.access_logs(options, surroundings);
        let draft = Draft {
            base: base.clone(),
            server,
            tls,
            apps: vec![app],
            balancers: Vec::new(),
            locations,
            all_locations_read: true,
            access_logs,
            error_pages: Vec::new(),
            monitor: Monitor::default(),
            traces: None,
        };
        assemble(draft, surroundings, reader.problems).map(|made| made.value)
    }
}

fn at<T>(option: &str, value: T) -> At<T> {
    At {
        value,
        subject: option.to_owned(),
        place: Place::CommandLine,
    }
}

struct Reader {
    problems: Problems,
}

impl Reader {
    fn wrong(&mut self, option: &str, mistake: Mistake) {
        self.problems.push(at(option, ()).problem(mistake));
    }

    fn read<T>(
        &mut self,
        option: &str,
        text: &str,
        parse: impl FnOnce(&str) -> Result<T, Mistake>,
    ) -> Option<T> {
        parse(text).map_err(|mistake| self.wrong(option, mistake)).ok()
    }

    fn option<T>(
        &mut self,
        option: &str,
        text: &Option<String>,
        parse: impl FnOnce(&str) -> Result<T, Mistake>,
    ) -> Option<T> {
        self.read(option, text.as_deref()?, parse)
    }

    fn count(&mut self, option: &str, text: &Option<String>, bound: AtMost) -> Option<NonZeroUsize> {
        self.option(option, text, |text| bound.parse(text))
    }

    fn positive(&mut self, option: &str, text: &Option<String>) -> Option<Duration> {
        self.option(option, text, |text| bounds::positive(parse_duration(text)?))
    }

    fn tls(&mut self, options: &ServeOptions) -> Option<TlsDraft> {
        let key = options.key.clone().map(|file| at("--key", file));
        let Some(certificate) = &options.certificate else {
            if key.is_some() {
                let mistake = Mistake::new("has no certificate beside it").cure("add --certificate site.pem");
                self.wrong("--key", mistake);
            }
            return None;
        };
        let mut draft = TlsDraft::new(at("--certificate", ()));
        draft.certificates.push(CertificateDraft::Pem {
            certificate: at("--certificate", certificate.clone()),
            key,
        });
        Some(draft)
    }

    fn app(&mut self, options: &ServeOptions, surroundings: &Surroundings) -> AppDraft {
        let target = match &options.target {
            Some(target) => Some(at("TARGET", target.clone())),
            None => {
                self.problems.push(Problem {
                    place: Place::CommandLine,
                    what: "nothing to serve is named".to_owned(),
                    cure: Some(suggestion(surroundings)),
                });
                None
            }
        };
        let mut app = AppDraft::named(At {
            value: target
                .as_ref()
                .map_or_else(|| "app".to_owned(), |target| app_name(&target.value)),
            subject: "the app".to_owned(),
            place: Place::CommandLine,
        });
        app.target = target;
        app.directory = options.directory.clone().map(|text| at("--directory", text));
        app.python = options.python.clone().map(|text| at("--python", text));
        app.interface = self.option("--interface", &options.interface, bounds::interface);
        app.workers = self.option("--workers", &options.workers, bounds::workers_text);
        app.threads = self.count("--threads", &options.threads, bounds::THREADS);
        app.queue_limit = self.count("--queue-limit", &options.queue_limit, bounds::QUEUE_LIMIT);
        app.queue_timeout = self.positive("--queue-timeout", &options.queue_timeout);
        app.request_timeout = self.option("--request-timeout", &options.request_timeout, bounds::time_or_off);
        app.startup_timeout = self.positive("--startup-timeout", &options.startup_timeout);
        app.switch_interval = self.positive("--switch-interval", &options.switch_interval);
        app.route = self
            .option("--route", &options.route, RoutePattern::parse)
            .map(|route| at("--route", route));
        app.env_files = options
            .env_file
            .iter()
            .map(|file| at("--env-file", file.clone()))
            .collect();
        for text in &options.env {
            let pair = self.read("--env", text, |text| {
                let Some((key, value)) = text.split_once('=') else {
                    return Err(Mistake::new(format!("must be KEY=VALUE, found {text:?}"))
                        .cure(format!("write --env {text}=VALUE")));
                };
                let named = |mistake: Mistake| Mistake {
                    what: format!("{text:?}: {}", mistake.what),
                    ..mistake
                };
                env_file::check_key(key)
                    .and_then(|()| env_file::check_value(value))
                    .map_err(named)?;
                Ok((key.to_owned(), value.to_owned()))
            });
            app.env.extend(pair);
        }
        app
    }

    fn access_logs(&mut self, options: &ServeOptions, surroundings: &Surroundings) -> Option<Vec<AccessLog>> {
        let format = self.option("--log-format", &options.log_format, |text| {
            bounds::log_format(text, NO_ACCESS_LOG)
        });
        let output = match options.access_log.as_deref() {
            Some("off") if options.log_format.is_some() => {
                self.wrong(
                    "--log-format",
                    Mistake::new("has no log to format beside --access-log off"),
                );
                return None;
            }
            Some("off") => return Some(Vec::new()),
            Some(text) => self.read("--access-log", text, |text| {
                LogOutput::parse(text, &surroundings.directory, NO_ACCESS_LOG)
            })?,
            None => LogOutput::Standard,
        };
        let standard = AccessLog::default();
        Some(vec![AccessLog {
            output,
            format: format.unwrap_or_else(|| standard.format.clone()),
            ..standard
        }])
    }
}

/// An app's name made of its target's: the module's first part, or the file's name.
fn app_name(target: &str) -> String {
    let place = match target.rsplit_once(':') {
        Some((place, attribute)) if place.len() > 1 && !attribute.starts_with(['/', '\\']) => place,
        _ => target,
    };
    let last = place
        .trim_end_matches(['/', '\\'])
        .rsplit(['/', '\\'])
        .next()
        .unwrap_or_default();
    let first = last.split('.').next().unwrap_or_default();
    let plain = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
    let name: String = first
        .chars()
        .map(|c| if plain(c) { c.to_ascii_lowercase() } else { '_' })
        .collect();
    if name.is_empty() { "app".to_owned() } else { name }
}

/// What could be served from here.
fn suggestion(surroundings: &Surroundings) -> String {
    let here = &surroundings.directory;
    if here.join("carme.toml").is_file() {
        return "there is a carme.toml: carme serve -c carme.toml".to_owned();
    }
    match ["manage.py", "wsgi.py", "app.py"]
        .into_iter()
        .find(|name| here.join(name).is_file())
    {
        Some(name) => format!("there is {name}: carme serve {name}"),
        None => "name a module, a file or a folder, such as: carme serve app.py".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::app_name;

    #[test]
    fn names_of_apps() {
        for (target, name) in [
            ("mysite.wsgi:application", "mysite"),
            ("hello", "hello"),
            ("examples/hello.py:app", "hello"),
            ("D:\\sites\\Shop.py", "shop"),
            ("D:\\sites\\Shop.py:app", "shop"),
            ("my site/", "my_site"),
            (".", "app"),
            ("", "app"),
        ] {
            assert_eq!(app_name(target), name, "{target}");
        }
    }
}
