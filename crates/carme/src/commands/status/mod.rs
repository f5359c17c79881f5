//! `carme status`: how a running server is, for people or as JSON, once or again and again.

mod balancers;
mod figures;
mod page;
mod rates;
mod table;

use std::io::{self, IsTerminal, Write};
use std::process::ExitCode;
use std::time::Duration;

use carme_control::{Found, Reply, Request, Status};
use tokio::time::{MissedTickBehavior, interval};

use super::reach;
use crate::cli::StatusOptions;

/// Clears a terminal's window and goes to its beginning.
const CLEAR: &str = "\x1b[H\x1b[2J\x1b[3J";

/// Prints it; with `--watch` until the server is gone or nobody reads it.
pub(crate) fn status(options: &StatusOptions) -> ExitCode {
    reach::run(async {
        let server = reach::server(&options.which).await?;
        match options.watch {
            None => print(&render(&ask(&server).await?, None, options.json)),
            Some(pause) => watch(&server, pause, options.json).await,
        }
    })
}

async fn watch(server: &Found, pause: Duration, json: bool) -> Result<(), ExitCode> {
    let mut ticks = interval(pause);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let clears = !json && is_terminal_that_obeys();
    let mut before = None;
    loop {
        ticks.tick().await;
        let status = ask(server).await?;
        let text = render(&status, before.as_ref(), json);
        let text = match (clears, before.is_some(), json) {
            (true, _, _) => format!("{CLEAR}{text}"),
            (false, true, false) => format!("\n{text}"),
            _ => text,
        };
        print(&text)?;
        before = Some(status);
    }
}

async fn ask(server: &Found) -> Result<Status, ExitCode> {
    match reach::ask(server, &Request::Status).await? {
        Reply::Status(status) => Ok(*status),
        _ => Err(reach::misunderstood(server)),
    }
}

fn render(status: &Status, before: Option<&Status>, json: bool) -> String {
    if json {
        // Nothing in it can fail to be written.
        let text = serde_json::to_string(status).unwrap_or_default();
        return format!("{text}\n");
    }
    page::page(status, before)
}

fn print(text: &str) -> Result<(), ExitCode> {
    let mut out = io::stdout().lock();
    let printed = out.write_all(text.as_bytes()).and_then(|()| out.flush());
    // Whoever read it has seen enough.
    printed.map_err(|_| ExitCode::SUCCESS)
}

fn is_terminal_that_obeys() -> bool {
    io::stdout().is_terminal() && anstyle_query::windows::enable_ansi_colors().unwrap_or(true)
}
