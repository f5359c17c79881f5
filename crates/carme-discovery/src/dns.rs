//! DNS: the addresses of a name, or its service records (RFC 2782).
//!
//! Names are looked up when their records' life is over. Nothing is cached here: what asks seldom needs no cache, and the
//! server's own counts the lives down.

mod client;
mod known;
mod search;

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use tokio::task::JoinSet;

use crate::course::{Failure, Look};
use crate::follow::Engine;
use crate::found::{Found, MOST_MEMBERS, Ranked, bracketed, in_order, plain, scaled, too_many};
use client::{Addresses, Client, Service};
use known::Known;

/// A record whose life is shorter is looked up after this all the same.
const SOONEST: Duration = Duration::from_secs(1);

/// So many names are asked for at a time.
const AT_A_TIME: usize = 16;

/// What is asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Question {
    /// The addresses (A and AAAA) of a name; all have this port.
    Addresses {
        /// The name.
        name: String,
        /// The port.
        port: u16,
    },
    /// The service records (SRV) of a name, such as `_http._tcp.app.service.consul`.
    Services {
        /// The name.
        name: String,
    },
}

/// A question to DNS servers.
#[derive(Debug)]
pub struct Dns {
    question: Question,
    servers: Vec<SocketAddr>,
    interval: Duration,
    /// Made anew after each failure: the system's servers may be others by then.
    client: Option<Client>,
    known: Known,
}

impl Dns {
    /// Asks `servers`; if there are none, those of the system, with its search domains. `interval`: the answer is looked at
    /// again after so long, or sooner if it says that it does not live so long.
    pub fn new(question: Question, servers: Vec<SocketAddr>, interval: Duration) -> Self {
        Dns {
            question,
            servers,
            interval,
            client: None,
            known: Known::default(),
        }
    }

    /// When what lives for `life` is looked at again.
    fn again(&self, life: Duration) -> Duration {
        life.clamp(SOONEST.min(self.interval), self.interval)
    }

    async fn addresses(&mut self, client: &Client, name: &str, port: u16) -> Result<Look<Found>, Failure> {
        let (name, asked) = client.search_addresses(name).await?;
        let Addresses { addresses, life } = self.known.settle(&name, asked)?;
        self.known.forget_others(&[name]);
        let found = addresses.into_iter().map(|address| {
            let host = bracketed(address);
            Found {
                name: plain(&address.to_string()),
                host,
                port,
                weight: None,
                set: None,
            }
        });
        self.found(in_order(found.collect()), Vec::new(), life, false)
    }

    async fn services(&mut self, client: &Client, name: &str) -> Result<Look<Found>, Failure> {
        let answer = client.search_services(name).await?;
        let mut life = answer.life.unwrap_or(self.interval);
        let is_meant = answer.is_declined();
        let services: Vec<Service> = answer
            .services
            .into_iter()
            .filter(|one| !one.is_no_target())
            .collect();
        if services.len() > MOST_MEMBERS {
            return Err(Failure::Away(too_many(services.len())));
        }
        let mut targets: Vec<String> = services.iter().map(|service| service.target.clone()).collect();
        targets.sort_unstable();
        targets.dedup();
        let mut left_out = Vec::new();
        let asked = match targets.iter().all(|target| answer.glue.contains_key(target)) {
            true => answer.glue,
            false => self.targets(client, &targets, &mut life, &mut left_out).await?,
        };
        for (target, addresses) in &asked {
            self.known.remember(target, addresses);
        }
        self.known.forget_others(&targets);
        let mut ranked = Vec::new();
        for service in &services {
            let addresses = asked.get(&service.target).map(Vec::as_slice);
            match (addresses, service.port) {
                (Some([]), _) => left_out.push(format!("{} has no address", service.target)),
                (Some(_), 0) => left_out.push(format!("{} has the port 0", service.target)),
                (Some(addresses), _) => ranked.extend(addresses.iter().map(|address| service.at(*address))),
                // Why has been said.
                (None, _) => {}
            }
        }
        left_out.sort_unstable();
        left_out.dedup();
        self.found(scaled(ranked), left_out, life, is_meant)
    }

    /// The addresses of the records' targets. One that cannot be had now keeps those it had; without any it is left out.
    async fn targets(
        &mut self,
        client: &Client,
        targets: &[String],
        life: &mut Duration,
        left_out: &mut Vec<String>,
    ) -> Result<BTreeMap<String, Vec<IpAddr>>, Failure> {
        let mut found = BTreeMap::new();
        let mut failure = None;
        let mut waiting = targets.iter();
        let mut asking = JoinSet::new();
        loop {
            while asking.len() < AT_A_TIME
                && let Some(target) = waiting.next()
            {
                let (client, target) = (client.clone(), target.clone());
                asking.spawn(async move {
                    let asked = client.addresses(&target).await;
                    (target, asked)
                });
            }
            let Some(joined) = asking.join_next().await else {
                break;
            };
            let (target, asked) = joined.map_err(|error| Failure::Away(error.to_string()))?;
            match self.known.settle(&target, asked) {
                Ok(addresses) => {
                    *life = (*life).min(addresses.life.unwrap_or(*life));
                    found.insert(target, addresses.addresses);
                }
                Err(error) => match self.known.addresses(&target) {
                    Some(addresses) => {
                        found.insert(target, addresses);
                    }
                    None => {
                        left_out.push(error.to_string());
                        failure = Some(error);
                    }
                },
            }
        }
        match failure {
            Some(failure) if found.values().all(Vec::is_empty) => Err(failure),
            _ => Ok(found),
        }
    }

    fn found(
        &self,
        members: Vec<Found>,
        left_out: Vec<String>,
        life: impl Into<Option<Duration>>,
        is_meant: bool,
    ) -> Result<Look<Found>, Failure> {
        if members.len() > MOST_MEMBERS {
            return Err(Failure::Away(too_many(members.len())));
        }
        Ok(Look {
            members,
            left_out,
            again: self.again(life.into().unwrap_or(self.interval)),
            is_meant,
        })
    }
}

impl Service {
    fn at(&self, address: IpAddr) -> Ranked {
        let label = self.target.split('.').next().unwrap_or_default();
        Ranked {
            host: bracketed(address),
            port: self.port,
            name: plain(label),
            weight: self.weight.into(),
            priority: Some(self.priority),
        }
    }
}

impl Engine for Dns {
    type Member = Found;

    async fn look(&mut self) -> Result<Look<Found>, Failure> {
        let client = match &self.client {
            Some(client) => client.clone(),
            None => self.client.insert(Client::new(&self.servers).await?).clone(),
        };
        match self.question.clone() {
            Question::Addresses { name, port } => self.addresses(&client, &name, port).await,
            Question::Services { name } => self.services(&client, &name).await,
        }
    }

    fn anew(&mut self) {
        self.client = None;
    }

    fn title(&self) -> String {
        match &self.question {
            Question::Addresses { name, port } => format!("DNS for {name}:{port}"),
            Question::Services { name } => format!("DNS for srv:{name}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_live_for_as_long_as_they_say_within_bounds() {
        let question = Question::Services {
            name: "_http._tcp.app".to_owned(),
        };
        let every = |interval| Dns::new(question.clone(), Vec::new(), Duration::from_millis(interval));
        for (interval, life, again) in [
            (30_000, 0, 1000),
            (30_000, 5000, 5000),
            (30_000, 3_600_000, 30_000),
            (500, 0, 500),
            (500, 5000, 500),
        ] {
            let again = Duration::from_millis(again);
            assert_eq!(every(interval).again(Duration::from_millis(life)), again);
        }
    }
}
