//! `carme balancer`, `member`, `disable` and `standby`: what can be done with the balancers of a running server.

use std::collections::BTreeMap;
use std::process::ExitCode;

use carme_control::Request;

use super::WRONG_CONFIGURATION;
use super::farm::have_done;
use crate::cli::{BalancerOptions, MemberCommand, MemberOptions, NamedMember};

/// Changes a balancer.
pub(crate) fn balancer(options: &BalancerOptions) -> ExitCode {
    let settings = options.settings();
    if settings.is_empty() {
        return nothing("balancer", "--method, --timeout, --stickysession");
    }
    let request = Request::SetBalancer {
        balancer: options.balancer.clone(),
        settings,
    };
    have_done(&options.which, request)
}

/// Nothing is to be changed, which is a slip.
fn nothing(command: &str, examples: &str) -> ExitCode {
    eprintln!(
        "carme: nothing is to be changed: give {examples} or another option of `carme {command} --help`"
    );
    ExitCode::from(WRONG_CONFIGURATION)
}

/// Changes a member, adds or removes one.
pub(crate) fn member(options: &MemberOptions) -> ExitCode {
    match &options.command {
        Some(MemberCommand::Add(add)) => {
            let request = Request::AddMember {
                balancer: add.balancer.clone(),
                url: add.url.clone(),
                settings: add.settings(),
            };
            have_done(&add.which, request)
        }
        Some(MemberCommand::Remove(remove)) => {
            let request = Request::RemoveMember {
                balancer: remove.balancer.clone(),
                member: remove.member.clone(),
            };
            have_done(&remove.which, request)
        }
        None => {
            let change = &options.change;
            let settings = change.settings();
            if settings.is_empty() {
                return nothing("member", "--loadfactor, --disable, --standby");
            }
            let request = Request::SetMember {
                balancer: Some(change.balancer().to_owned()),
                member: change.member().to_owned(),
                settings,
            };
            have_done(&change.which, request)
        }
    }
}

/// Gives a member nothing.
pub(crate) fn disable(options: &NamedMember) -> ExitCode {
    set_status(options, "+D")
}

/// Has a member stand by.
pub(crate) fn standby(options: &NamedMember) -> ExitCode {
    set_status(options, "+H")
}

fn set_status(options: &NamedMember, letters: &str) -> ExitCode {
    let request = Request::SetMember {
        balancer: None,
        member: options.member.clone(),
        settings: BTreeMap::from([("status".to_owned(), letters.to_owned())]),
    };
    have_done(&options.which, request)
}
