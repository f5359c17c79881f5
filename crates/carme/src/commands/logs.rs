//! `carme logs`: what can be done with the logs of a running server.

use std::process::ExitCode;

use carme_control::{Reply, Request, printable};

use super::reach;
use crate::cli::Which;

/// Returns when nothing is written to the old files any more.
pub(crate) fn reopen(which: &Which) -> ExitCode {
    reach::run(async {
        let server = reach::server(which).await?;
        match reach::ask(&server, &Request::ReopenLogs).await? {
            Reply::Done { message } => {
                println!("{}: {}", reach::title(&server), printable(&message));
                Ok(())
            }
            _ => Err(reach::misunderstood(&server)),
        }
    })
}
