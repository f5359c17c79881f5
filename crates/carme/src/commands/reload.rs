//! `carme reload`: new code and new settings, or the reason why not.

use std::process::ExitCode;

use carme_control::{Reply, Request, printable};

use super::reach;
use crate::cli::Which;

/// Prints what has changed; on standard error what is wrong.
pub(crate) fn reload(which: &Which) -> ExitCode {
    reach::run(async {
        let server = reach::server(which).await?;
        match reach::ask(&server, &Request::Reload).await? {
            Reply::Reloaded {
                changes,
                needs_restart,
                apps,
                unfinished,
            } => {
                for line in changes.iter().chain(&needs_restart) {
                    println!("{}", printable(line));
                }
                let workers = match apps.as_slice() {
                    [] => String::new(),
                    apps => format!(", with new workers of {}", printable(&apps.join(", "))),
                };
                println!("reloaded {}{workers}", reach::title(&server));
                for line in &unfinished {
                    eprintln!("carme: {}", printable(line));
                }
                if unfinished.is_empty() {
                    Ok(())
                } else {
                    Err(ExitCode::FAILURE)
                }
            }
            Reply::NotReloaded { message, traceback } => {
                if !traceback.is_empty() {
                    eprintln!("{}", printable(traceback.trim_end()));
                }
                eprintln!(
                    "carme: not reloaded, all goes on as before: {}",
                    printable(&message)
                );
                Err(ExitCode::FAILURE)
            }
            _ => Err(reach::misunderstood(&server)),
        }
    })
}
