//! What is said: one request a connection, then replies, of which the last is the answer.
//!
//! Each is one frame of JSON. Fields that one side does not know are passed over, so that programs of different ages
//! understand each other as long as [`VERSION`] is the same.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::status::Status;

/// Counts up when programs from before cannot understand what is said any more.
pub const VERSION: u32 = 1;

/// What a running server can be asked for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "command", rename_all = "snake_case")]
pub enum Request {
    /// Who it is. Answered by [`Reply::Identity`].
    Identify,
    /// How it is. Answered by [`Reply::Status`].
    Status,
    /// Read the configuration again and start new workers. Answered by [`Reply::Reloaded`] or [`Reply::NotReloaded`].
    Reload,
    /// Replace workers, one after another. Answered by [`Reply::Restarted`].
    Restart {
        /// Only the worker with this route.
        #[serde(default)]
        route: Option<String>,
    },
    /// Let a worker finish what it has, and keep its seat empty; or give a member of a balancer nothing but the requests
    /// of its own sessions. Answered by [`Reply::Done`] when nothing is in flight there.
    Drain {
        /// Its route. A member can be named by its URL, and each by what it belongs to, too: `cluster/www_1`.
        route: String,
    },
    /// Fill a seat again that was drained, or use a member again. Answered by [`Reply::Done`].
    Enable {
        /// As in [`Request::Drain`].
        route: String,
    },
    /// Change settings of a balancer. Answered by [`Reply::Done`].
    SetBalancer {
        /// Its name.
        balancer: String,
        /// By their names in `carme.toml`, their values as text.
        settings: BTreeMap<String, String>,
    },
    /// Change settings of a member. Answered by [`Reply::Done`].
    SetMember {
        /// Its balancer, if that is said apart.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        balancer: Option<String>,
        /// Its route or its URL.
        member: String,
        /// By their names in `carme.toml`, their values as text.
        settings: BTreeMap<String, String>,
    },
    /// Add a member to a balancer. Answered by [`Reply::Done`].
    AddMember {
        /// The balancer.
        balancer: String,
        /// The member's URL.
        url: String,
        /// By their names in `carme.toml`, their values as text.
        #[serde(default)]
        settings: BTreeMap<String, String>,
    },
    /// Let a member finish what it has, and forget it. Answered by [`Reply::Done`].
    RemoveMember {
        /// The balancer.
        balancer: String,
        /// The member's route or its URL.
        member: String,
    },
    /// Have so many workers. Answered by [`Reply::Done`].
    Scale {
        /// The app.
        app: String,
        /// How many.
        workers: u16,
    },
    /// Have workers write the stacks of all their Python threads into the error log. Answered by [`Reply::Done`].
    Stacks {
        /// Only the worker with this route.
        #[serde(default)]
        route: Option<String>,
    },
    /// Open the log files anew. Answered by [`Reply::Done`].
    ReopenLogs,
    /// Finish what was begun and end. Answered by [`Reply::Stopped`] just before the end.
    Stop {
        /// What requests in flight get to finish, in milliseconds, in place of the configured time.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        timeout_ms: Option<u64>,
        /// Finish nothing.
        #[serde(default)]
        now: bool,
    },
}

impl Request {
    /// Asks to stop, with this much time for requests in flight in place of what is configured.
    pub fn stop(timeout: Option<Duration>, now: bool) -> Self {
        let milliseconds = |time: Duration| u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
        Request::Stop {
            timeout_ms: timeout.map(milliseconds),
            now,
        }
    }
}

/// What a server says. All but [`Reply::Working`] end the conversation.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Reply {
    /// It is at it; said again and again, so that its silence means something.
    Working,
    /// Who it is.
    Identity(Identity),
    /// How it is.
    Status(Box<Status>),
    /// The reload is done.
    Reloaded {
        /// What is different now, a line each.
        changes: Vec<String>,
        /// What the file says and only a start of the server brings, a line each.
        needs_restart: Vec<String>,
        /// The apps that have new workers.
        apps: Vec<String>,
        /// Workers that stay as they were, because no other started in their place; a line each.
        #[serde(default)]
        unfinished: Vec<String>,
    },
    /// Nothing has changed.
    NotReloaded {
        /// Why; several lines if much is wrong.
        message: String,
        /// Python's traceback, if an app does not start.
        #[serde(default)]
        traceback: String,
    },
    /// Workers were replaced.
    Restarted {
        /// Those that were told to be.
        routes: Vec<String>,
        /// Workers that stay as they were, because no other started in their place.
        unfinished: Vec<Unfinished>,
    },
    /// It ends now.
    Stopped {
        /// Whether everything that was begun could be finished.
        orderly: bool,
    },
    /// It is done.
    Done {
        /// What was done, in a sentence.
        message: String,
    },
    /// It is not done.
    Refused {
        /// Why, in a sentence.
        message: String,
    },
}

/// A worker that stays as it was.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Unfinished {
    /// Its route.
    pub route: String,
    /// Why no other started in its place, in a sentence.
    pub message: String,
    /// Python's traceback, if the app could not be imported.
    #[serde(default)]
    pub traceback: String,
}

/// Which server it is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Identity {
    /// Of the program.
    pub version: String,
    /// Its process.
    pub pid: u32,
    /// The configuration file with its full path, if it has one.
    #[serde(default)]
    pub file: Option<String>,
    /// Where it listens, as it says so itself: `http://127.0.0.1:8000`.
    pub addresses: Vec<String>,
}

impl Identity {
    /// The server's name: its configuration file, or without one the first of its addresses.
    pub fn name(&self) -> &str {
        let first = || self.addresses.first().map(String::as_str);
        self.file
            .as_deref()
            .or_else(first)
            .unwrap_or("a server without an address")
    }
}

/// A frame that cannot be understood.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum ProtocolError {
    #[error(
        "it speaks version {theirs} of the protocol, this program version {VERSION}: use the same version of carme on both sides"
    )]
    Version { theirs: u32 },
    #[error("it says what this program does not understand ({0})")]
    Garbage(String),
}

#[derive(Serialize)]
struct Outgoing<'m, M> {
    version: u32,
    message: &'m M,
}

/// Looked at first: what a stranger says need not make sense beyond its version.
#[derive(Deserialize)]
struct Incoming {
    version: u32,
    #[serde(default)]
    message: serde_json::Value,
}

pub(crate) fn encode<M: Serialize>(message: &M) -> Vec<u8> {
    let version = VERSION;
    // Maps with keys that are no text, and numbers that are none, are what cannot be written; there are none.
    serde_json::to_vec(&Outgoing { version, message }).unwrap_or_default()
}

pub(crate) fn decode<M: for<'de> Deserialize<'de>>(frame: &[u8]) -> Result<M, ProtocolError> {
    let garbage = |error: serde_json::Error| ProtocolError::Garbage(error.to_string());
    let Incoming { version, message } = serde_json::from_slice(frame).map_err(garbage)?;
    if version != VERSION {
        return Err(ProtocolError::Version { theirs: version });
    }
    serde_json::from_value(message).map_err(garbage)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn settings() -> impl Strategy<Value = BTreeMap<String, String>> {
        prop::collection::btree_map(any::<String>(), any::<String>(), 0..4)
    }

    fn requests() -> impl Strategy<Value = Request> {
        prop_oneof![
            Just(Request::Identify),
            Just(Request::Status),
            Just(Request::Reload),
            Just(Request::ReopenLogs),
            any::<Option<String>>().prop_map(|route| Request::Restart { route }),
            any::<Option<String>>().prop_map(|route| Request::Stacks { route }),
            any::<String>().prop_map(|route| Request::Drain { route }),
            any::<String>().prop_map(|route| Request::Enable { route }),
            (any::<String>(), any::<u16>()).prop_map(|(app, workers)| Request::Scale { app, workers }),
            (any::<String>(), settings())
                .prop_map(|(balancer, settings)| Request::SetBalancer { balancer, settings }),
            (any::<Option<String>>(), any::<String>(), settings()).prop_map(
                |(balancer, member, settings)| Request::SetMember {
                    balancer,
                    member,
                    settings
                }
            ),
            (any::<String>(), any::<String>(), settings()).prop_map(|(balancer, url, settings)| {
                Request::AddMember {
                    balancer,
                    url,
                    settings,
                }
            }),
            (any::<String>(), any::<String>())
                .prop_map(|(balancer, member)| Request::RemoveMember { balancer, member }),
            (any::<Option<u64>>(), any::<bool>())
                .prop_map(|(timeout_ms, now)| Request::Stop { timeout_ms, now }),
        ]
    }

    proptest! {
        #[test]
        fn what_is_asked_arrives(request in requests()) {
            prop_assert_eq!(decode::<Request>(&encode(&request)), Ok(request));
        }

        #[test]
        fn what_is_said_arrives(
            changes in prop::collection::vec(any::<String>(), 0..4),
            apps in prop::collection::vec(any::<String>(), 0..4),
            message: String,
            traceback: String,
        ) {
            for reply in [
                Reply::Reloaded { changes, needs_restart: Vec::new(), apps, unfinished: vec![message.clone()] },
                Reply::NotReloaded { message: message.clone(), traceback },
                Reply::Refused { message },
            ] {
                prop_assert_eq!(decode::<Reply>(&encode(&reply)), Ok(reply));
            }
        }

        #[test]
        fn any_bytes_are_refused_or_understood(bytes: Vec<u8>) {
            let _ = decode::<Request>(&bytes);
            let _ = decode::<Reply>(&bytes);
        }

        #[test]
        fn a_frame_that_was_cut_is_not_understood(request in requests(), cut in 1usize..10) {
            let frame = encode(&request);
            prop_assert!(decode::<Request>(&frame[..frame.len() - cut]).is_err());
        }
    }

    #[test]
    fn another_version_is_told_whatever_it_says() {
        for frame in [
            r#"{"version":2,"message":{"command":"dance"}}"#,
            r#"{"version":2}"#,
            r#"{"version":2,"more":[1]}"#,
        ] {
            assert_eq!(
                decode::<Request>(frame.as_bytes()),
                Err(ProtocolError::Version { theirs: 2 }),
                "{frame}"
            );
        }
    }

    #[test]
    fn a_field_that_is_not_known_is_passed_over() {
        let frame = br#"{"version":1,"later":1,"message":{"command":"stop","now":true,"softly":1}}"#;
        let stop = Request::Stop {
            timeout_ms: None,
            now: true,
        };
        assert_eq!(decode::<Request>(frame), Ok(stop));
    }

    #[test]
    fn nesting_without_end_is_refused() {
        let frame = format!("{{\"version\":1,\"message\":{}", "[".repeat(60_000));
        assert!(matches!(
            decode::<Request>(frame.as_bytes()),
            Err(ProtocolError::Garbage(_))
        ));
    }
}
