//! Carme: Python web applications from a farm of processes behind one port.

#![deny(unsafe_code)]

mod cli;
mod serve;
mod worker_files;

use std::process::ExitCode;

use carme_config::{Config, Problems, Surroundings};
use clap::Parser;

use cli::{Cli, Command};
use serve::FirstFailure;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// What `sysexits.h` and the shells agree on for a wrong command line is clap's 2 too.
const USAGE: u8 = 2;

fn main() -> ExitCode {
    let surroundings = match Surroundings::of_this_process() {
        Ok(surroundings) => surroundings,
        Err(error) => {
            eprintln!("carme: the current directory cannot be used: {error}");
            return ExitCode::FAILURE;
        }
    };
    match Cli::parse().command {
        Command::Serve(serve) => match &serve.config {
            Some(file) => match Config::from_file(file, &surroundings) {
                Ok(config) => serve::run(&config, FirstFailure::IsTriedAgain),
                Err(problems) => refuse(&problems),
            },
            None => match Config::from_options(&serve.into_options(), &surroundings) {
                Ok(config) => serve::run(&config, FirstFailure::Ends),
                Err(problems) => refuse(&problems),
            },
        },
        Command::Check { config } => match Config::from_file(&config, &surroundings) {
            Ok(_) => {
                println!("{}: no mistakes", config.display());
                ExitCode::SUCCESS
            }
            Err(problems) => refuse(&problems),
        },
    }
}

/// Tells all that is wrong.
fn refuse(problems: &Problems) -> ExitCode {
    eprintln!("{problems}");
    ExitCode::from(USAGE)
}
