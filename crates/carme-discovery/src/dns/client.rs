//! Asking DNS servers.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use hickory_resolver::TokioResolver;
use hickory_resolver::config::{ConnectionConfig, NameServerConfig, ResolveHosts, ResolverConfig};
use hickory_resolver::lookup::Lookup;
use hickory_resolver::net::runtime::TokioRuntimeProvider;
use hickory_resolver::net::{DnsError, NetError};
use hickory_resolver::proto::rr::{Name, RData, Record, RecordType};
use hickory_resolver::system_conf::read_system_conf;

use super::search::Search;
use crate::course::Failure;

/// Records and how long they live. `None`: a server says that there are none.
pub(super) type Asked<T> = Result<Option<(T, Duration)>, Failure>;

/// The addresses of a name. No life: there are none, or they are from an earlier answer.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Addresses {
    pub(super) addresses: Vec<IpAddr>,
    pub(super) life: Option<Duration>,
}

/// A service record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Service {
    pub(super) priority: u16,
    pub(super) weight: u16,
    pub(super) port: u16,
    /// In lower case, with a dot at its end.
    pub(super) target: String,
}

impl Service {
    /// RFC 2782: "the service is decidedly not available at this domain".
    pub(super) fn is_no_target(&self) -> bool {
        self.target == "."
    }
}

/// The service records of a name.
#[derive(Debug, Default)]
pub(super) struct Services {
    pub(super) services: Vec<Service>,
    pub(super) life: Option<Duration>,
    /// Addresses that came with them.
    pub(super) glue: BTreeMap<String, Vec<IpAddr>>,
}

impl Services {
    /// Whether somebody wrote that there is none.
    pub(super) fn is_declined(&self) -> bool {
        !self.services.is_empty() && self.services.iter().all(Service::is_no_target)
    }
}

/// Servers that can be asked.
#[derive(Debug, Clone)]
pub(super) struct Client {
    resolver: TokioResolver,
    search: Search,
}

impl Client {
    /// Of these servers, or of the system's.
    pub(super) async fn new(servers: &[SocketAddr]) -> Result<Self, Failure> {
        let unusable = |error: &dyn std::fmt::Display| {
            let cure = "name one: server = \"10.0.0.53\"";
            Failure::Away(format!(
                "the system's DNS servers are not known ({error}); {cure}"
            ))
        };
        let (config, mut options) = match servers {
            [] => tokio::task::spawn_blocking(read_system_conf)
                .await
                .map_err(|error| unusable(&error))?
                .map_err(|error| unusable(&error))?,
            _ => {
                let servers = servers.iter().copied().map(name_server).collect();
                (
                    ResolverConfig::from_parts(None, Vec::new(), servers),
                    Default::default(),
                )
            }
        };
        options.cache_size = 0;
        options.use_hosts_file = match servers {
            [] => ResolveHosts::Auto,
            _ => ResolveHosts::Never,
        };
        // Else its firewall asks somebody about each port.
        options.os_port_selection = cfg!(windows);
        let search = match servers {
            [] => Search::of(&config, options.ndots),
            _ => Search::default(),
        };
        let mut builder = TokioResolver::builder_with_config(config, TokioRuntimeProvider::default());
        *builder.options_mut() = options;
        let resolver = builder.build().map_err(|error| unusable(&error))?;
        Ok(Client { resolver, search })
    }

    /// The addresses of a full name, IPv4 and IPv6.
    pub(super) async fn addresses(&self, name: &str) -> [Asked<Vec<IpAddr>>; 2] {
        let ask = async |record_type| {
            let asked = self.ask(&parsed(name)?, record_type).await?;
            Ok(asked.map(|(lookup, life)| (addresses(lookup.answers()), life)))
        };
        let (v4, v6) = tokio::join!(ask(RecordType::A), ask(RecordType::AAAA));
        [v4, v6]
    }

    /// The first of the names that this one stands for that has addresses, and these.
    pub(super) async fn search_addresses(
        &self,
        name: &str,
    ) -> Result<(String, [Asked<Vec<IpAddr>>; 2]), Failure> {
        let mut failed = None;
        let mut last = None;
        for candidate in self.search.candidates(&parsed(name)?) {
            let name = candidate.to_ascii();
            let asked = self.addresses(&name).await;
            if asked.iter().any(|asked| matches!(asked, Ok(Some(_)))) {
                return Ok((name, asked));
            }
            match asked.iter().any(Result::is_err) {
                true => failed = failed.or(Some((name, asked))),
                false => last = Some((name, asked)),
            }
        }
        // One that could not be asked for may be the right one.
        failed.or(last).ok_or_else(|| odd_name(name))
    }

    /// The service records of the first of the names that this one stands for that has any.
    pub(super) async fn search_services(&self, name: &str) -> Result<Services, Failure> {
        let mut failed = None;
        for candidate in self.search.candidates(&parsed(name)?) {
            match self.ask(&candidate, RecordType::SRV).await {
                Ok(None) => {}
                Ok(Some((lookup, life))) => {
                    return Ok(Services {
                        services: lookup.answers().iter().filter_map(service).collect(),
                        life: Some(life),
                        glue: glue(lookup.additionals()),
                    });
                }
                Err(failure) => failed = failed.or(Some(failure)),
            }
        }
        match failed {
            Some(failure) => Err(failure),
            None => Ok(Services::default()),
        }
    }

    async fn ask(&self, name: &Name, record_type: RecordType) -> Asked<Lookup> {
        match self.resolver.lookup(name.clone(), record_type).await {
            Ok(lookup) => {
                let answers = lookup.answers();
                let life = answers.iter().map(|record| record.ttl).min().unwrap_or_default();
                let has_any = answers.iter().any(|record| record.record_type() == record_type);
                Ok(has_any.then(|| (lookup, Duration::from_secs(life.into()))))
            }
            // NXDOMAIN, or other records at this name only.
            Err(NetError::Dns(DnsError::NoRecordsFound(_))) => Ok(None),
            Err(NetError::Dns(DnsError::ResponseCode(code))) => {
                Err(Failure::Away(format!("the server answers for {name}: {code}")))
            }
            Err(NetError::Timeout) => Err(Failure::Away(format!("no answer for {name} in time"))),
            Err(error) => Err(Failure::Away(format!("no answer for {name}: {error}"))),
        }
    }
}

fn name_server(address: SocketAddr) -> NameServerConfig {
    let mut server = NameServerConfig::new(
        address.ip(),
        true,
        vec![ConnectionConfig::udp(), ConnectionConfig::tcp()],
    );
    for connection in &mut server.connections {
        connection.port = address.port();
    }
    server
}

fn parsed(name: &str) -> Result<Name, Failure> {
    Name::from_ascii(name).map_err(|_| odd_name(name))
}

fn odd_name(name: &str) -> Failure {
    Failure::Away(format!("{name:?} is no name that DNS has"))
}

fn addresses(records: &[Record]) -> Vec<IpAddr> {
    let address = |record: &Record| match &record.data {
        RData::A(address) => Some(IpAddr::V4(address.0)),
        RData::AAAA(address) => Some(IpAddr::V6(address.0)),
        _ => None,
    };
    records.iter().filter_map(address).collect()
}

fn service(record: &Record) -> Option<Service> {
    match &record.data {
        RData::SRV(service) => Some(Service {
            priority: service.priority,
            weight: service.weight,
            port: service.port,
            target: full(&service.target),
        }),
        _ => None,
    }
}

fn glue(records: &[Record]) -> BTreeMap<String, Vec<IpAddr>> {
    let mut glue = BTreeMap::<String, Vec<IpAddr>>::new();
    for record in records {
        let found = addresses(std::slice::from_ref(record));
        if !found.is_empty() {
            glue.entry(full(&record.name)).or_default().extend(found);
        }
    }
    glue
}

fn full(name: &Name) -> String {
    let mut name = name.to_lowercase();
    name.set_fqdn(true);
    name.to_ascii()
}

#[cfg(test)]
mod tests {
    use hickory_resolver::proto::rr::rdata::{A, AAAA, CNAME, SRV};

    use super::*;

    fn name(text: &str) -> Name {
        Name::from_ascii(text).expect("a name")
    }

    #[test]
    fn addresses_that_come_with_service_records_are_theirs() {
        let record = |at: &str, data| Record::from_rdata(name(at), 30, data);
        let records = [
            record("Web-0.app.", RData::A(A::new(10, 0, 0, 1))),
            record("web-0.app.", RData::AAAA(AAAA::new(0xfd00, 0, 0, 0, 0, 0, 0, 1))),
            record("web-1.app.", RData::CNAME(CNAME(name("web-0.app.")))),
        ];
        let glue = glue(&records);
        assert_eq!(glue.keys().collect::<Vec<_>>(), ["web-0.app."]);
        assert_eq!(glue["web-0.app."].len(), 2);
    }

    #[test]
    fn a_service_may_be_declined() {
        let services = |targets: &[(&str, u16)]| Services {
            services: targets
                .iter()
                .filter_map(|(target, port)| {
                    let data = RData::SRV(SRV::new(0, 0, *port, name(target)));
                    service(&Record::from_rdata(name("_http._tcp.app."), 30, data))
                })
                .collect(),
            ..Services::default()
        };
        assert!(services(&[(".", 0)]).is_declined());
        assert!(!services(&[]).is_declined());
        assert!(!services(&[(".", 0), ("web-0.app.", 80)]).is_declined());
    }
}
