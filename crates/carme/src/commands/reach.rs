//! Reaching the running server that a command is for.

use std::process::ExitCode;

use carme_control::{CallError, Found, Reply, Request, Wanted, find, printable};

use crate::cli::Which;

/// There is no such server. As other programs say of a service that does not run.
const NO_SERVER: u8 = 3;

/// Runs what a command does with a server.
pub(super) fn run(command: impl Future<Output = Result<(), ExitCode>>) -> ExitCode {
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("carme: {error}");
            return ExitCode::FAILURE;
        }
    };
    let done = runtime.block_on(command);
    runtime.shutdown_background();
    done.err().unwrap_or(ExitCode::SUCCESS)
}

/// Finds the server that is meant, or says why it cannot be found and which there are.
pub(super) async fn server(which: &Which) -> Result<Found, ExitCode> {
    let wanted = match which {
        Which {
            config: Some(file), ..
        } => Wanted::File(std::path::absolute(file).unwrap_or_else(|_| file.clone())),
        Which { name: Some(name), .. } => Wanted::Name(name.clone()),
        Which { .. } => Wanted::Only,
    };
    find(&wanted).await.map_err(|error| {
        eprintln!("carme: {error}");
        ExitCode::from(NO_SERVER)
    })
}

/// Asks it, or says why it gave no answer.
pub(super) async fn ask(server: &Found, request: &Request) -> Result<Reply, ExitCode> {
    match server.call(request).await {
        Ok(Reply::Refused { message }) => {
            eprintln!("carme: {}: {}", title(server), printable(&message));
            Err(ExitCode::FAILURE)
        }
        Ok(reply) => Ok(reply),
        Err(error) => Err(no_answer(server, &error)),
    }
}

fn no_answer(server: &Found, error: &CallError) -> ExitCode {
    eprintln!("carme: {}: {}", title(server), printable(&error.to_string()));
    ExitCode::FAILURE
}

/// An answer to another question.
pub(super) fn misunderstood(server: &Found) -> ExitCode {
    no_answer(
        server,
        &CallError::NotUnderstood(
            "it gave an answer that does not fit: use the same version of carme on both sides".into(),
        ),
    )
}

/// How messages call a server.
pub(super) fn title(server: &Found) -> String {
    format!(
        "{} (process {})",
        printable(server.identity.name()),
        server.identity.pid
    )
}
