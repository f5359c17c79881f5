//! `carme stop`: the end of a running server, waited for.

use std::process::ExitCode;

use carme_control::{Reply, Request};

use super::reach;
use crate::cli::StopOptions;

/// Returns when the server has ended.
pub(crate) fn stop(options: &StopOptions) -> ExitCode {
    reach::run(async {
        let server = reach::server(&options.which).await?;
        let request = Request::stop(options.timeout, options.now);
        match reach::ask(&server, &request).await? {
            Reply::Stopped { orderly } => {
                let how = match (orderly, options.now) {
                    (true, _) | (false, true) => "",
                    // Somebody else was in a hurry.
                    (false, false) => " at once: it was told to stop again meanwhile",
                };
                println!("stopped {}{how}", reach::title(&server));
                Ok(())
            }
            _ => Err(reach::misunderstood(&server)),
        }
    })
}
