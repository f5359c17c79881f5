//! Carme: Python web applications from a farm of processes behind one port.

#![deny(unsafe_code)]

mod cli;
mod commands;
mod configuration;
mod serve;
mod service;
mod worker_files;

use std::process::ExitCode;

use carme_config::Surroundings;
use clap::Parser;

use cli::{Cli, Command, LogsCommand};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    let command = Cli::parse().command;
    let surroundings = match Surroundings::of_this_process() {
        Ok(surroundings) => surroundings,
        Err(error) => {
            eprintln!("carme: the current directory cannot be used: {error}");
            return ExitCode::FAILURE;
        }
    };
    match command {
        Command::Serve(serving) => commands::serve::serve(*serving, &surroundings),
        Command::Check(subject) => commands::check::check(*subject, surroundings),
        Command::Convert(apache) => commands::convert::convert(&apache, &surroundings),
        Command::Status(options) => commands::status::status(&options),
        Command::Reload(which) => commands::reload::reload(&which),
        Command::Restart(options) => commands::farm::restart(&options),
        Command::Drain(options) => commands::farm::drain(&options),
        Command::Enable(options) => commands::farm::enable(&options),
        Command::Disable(options) => commands::members::disable(&options),
        Command::Standby(options) => commands::members::standby(&options),
        Command::Balancer(options) => commands::members::balancer(&options),
        Command::Member(options) => commands::members::member(&options),
        Command::Scale(options) => commands::farm::scale(&options),
        Command::Stacks(options) => commands::farm::stacks(&options),
        Command::Stop(options) => commands::stop::stop(&options),
        Command::Logs(LogsCommand::Reopen(which)) => commands::logs::reopen(&which),
        Command::Service(command) => service::service(command, &surroundings),
    }
}
