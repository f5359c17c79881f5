//! Behind IIS: HttpPlatformHandler starts the server and tells it its port in the environment.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use ipnet::IpNet;

use crate::bind::Bind;
use crate::config::Server;
use crate::problem::{Mistake, Place, Problem};
use crate::proxies::{ForwardedFields, TrustedProxy};
use crate::surroundings::Surroundings;

/// Where the port is told.
pub(crate) const VARIABLE: &str = "HTTP_PLATFORM_PORT";

/// What the user has said about it; that holds then.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Said {
    pub(crate) listen: bool,
    pub(crate) trusted_proxies: bool,
    pub(crate) forwarded_fields: bool,
}

/// Listens where IIS expects it, and believes IIS about clients, unless the user has said otherwise.
pub(crate) fn adapt(server: &mut Server, said: Said, surroundings: &Surroundings) -> Result<(), Problem> {
    let (Some(text), false) = (&surroundings.platform_port, said.listen) else {
        return Ok(());
    };
    let port = match text.to_string_lossy().trim().parse::<u16>() {
        Ok(port @ 1..) => port,
        _ => {
            let what = format!("must be a port from 1 to 65535, found {text:?}");
            let mistake = Mistake::new(what).cure("unset it, or name an address to listen at");
            return Err(Problem {
                place: Place::Environment,
                what: format!("{VARIABLE} {}", mistake.what),
                cure: mistake.cure,
            });
        }
    };
    let here = IpAddr::V4(Ipv4Addr::LOCALHOST);
    server.listen = vec![Bind::Tcp(SocketAddr::new(here, port))];
    if !said.trusted_proxies {
        server.proxies.trusted = vec![TrustedProxy::Network(IpNet::from(here))];
        if !said.forwarded_fields {
            // IIS sets this one, and passes on the others as its clients have written them.
            server.proxies.fields = ForwardedFields {
                proto: true,
                ..ForwardedFields::NONE
            };
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn adapted(port: &str, said: Said) -> Result<Server, Problem> {
        let surroundings = Surroundings {
            platform_port: Some(port.into()),
            ..Surroundings::default()
        };
        let mut server = Server::default();
        adapt(&mut server, said, &surroundings).map(|()| server)
    }

    #[test]
    fn iis_is_listened_to_and_believed() {
        let server = adapted("12345", Said::default()).expect("it is a port");
        assert_eq!(server.listen, [Bind::Tcp("127.0.0.1:12345".parse().unwrap())]);
        assert_eq!(
            server.proxies.trusted,
            [TrustedProxy::parse("127.0.0.1").unwrap()]
        );
        let ForwardedFields { proto, host, port } = server.proxies.fields;
        assert_eq!((proto, host, port), (true, false, false));
    }

    #[test]
    fn what_the_user_says_holds() {
        let listen = Said {
            listen: true,
            ..Said::default()
        };
        assert_eq!(adapted("12345", listen), Ok(Server::default()));
        assert_eq!(
            adapted("nonsense", listen),
            Ok(Server::default()),
            "it is nobody's business"
        );
        let trusted_proxies = Said {
            trusted_proxies: true,
            ..Said::default()
        };
        let server = adapted("12345", trusted_proxies).expect("it is a port");
        assert_eq!(
            (server.listen.len(), server.proxies),
            (1, Server::default().proxies)
        );
    }

    #[test]
    fn what_is_no_port_is_a_problem() {
        for text in ["", "0", "65536", "%HTTP_PLATFORM_PORT%"] {
            let problem = adapted(text, Said::default()).expect_err(text).to_string();
            assert!(
                problem.starts_with("environment: HTTP_PLATFORM_PORT must be a port"),
                "{problem}"
            );
        }
    }
}
