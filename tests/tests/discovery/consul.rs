//! Consul: its real agent, in version 1.8 as Debian had it, or whichever is installed.

use std::time::Duration;

use carme_discovery::Consul;
use carme_tests::engines::ConsulAgent;

use crate::follower::Follower;

fn follow(agent: &ConsulAgent) -> Follower {
    Follower::of(Consul::new(agent.http.to_string(), "app"))
}

#[test]
fn instances_that_are_well_are_members() {
    let Some(agent) = ConsulAgent::start() else {
        return;
    };
    let follower = follow(&agent);
    follower.wait_for("");
    agent.register("app-1", 9001, &["blue"], 1);
    follower.wait_for("127.0.0.1:9001 app-1 1");
    agent.register("app", 9002, &["green"], 7);
    follower.wait_for("127.0.0.1:9001 app-1 1, 127.0.0.1:9002 n1 7");
    agent.set_well("app-1", false);
    follower.wait_for("127.0.0.1:9002 n1 7");
    agent.set_well("app-1", true);
    follower.wait_for("127.0.0.1:9001 app-1 1, 127.0.0.1:9002 n1 7");
    agent.deregister("app");
    follower.wait_for("127.0.0.1:9001 app-1 1");
    assert_eq!(follower.sets().len(), 6, "{:?}", follower.sets());
}

#[test]
fn a_tag_chooses_and_a_datacenter_that_is_not_there_is_no_answer() {
    let Some(agent) = ConsulAgent::start() else {
        return;
    };
    agent.register("app-1", 9001, &["blue"], 1);
    agent.register("app-2", 9002, &["green", "new"], 1);
    let consul = || Consul::new(agent.http.to_string(), "app");
    let green = consul().tag(Some("green".to_owned()));
    let here = green.datacenter(Some("dc1".to_owned()));
    let green = Follower::of(here);
    let elsewhere = Follower::of(consul().datacenter(Some("dc2".to_owned())));
    green.wait_for("127.0.0.1:9002 app-2 1");
    assert!(elsewhere.sets().is_empty());
}

#[test]
fn while_the_agent_is_away_the_last_known_members_stay() {
    let Some(mut agent) = ConsulAgent::start() else {
        return;
    };
    agent.register("app-1", 9001, &[], 1);
    // The index grows, so that the next life of the agent begins with a smaller one.
    for _ in 0..50 {
        agent.register("other", 9009, &[], 1);
        agent.deregister("other");
    }
    let follower = follow(&agent);
    follower.wait_for("127.0.0.1:9001 app-1 1");
    // It waits for changes by then, and a connection breaks.
    std::thread::sleep(Duration::from_millis(500));
    agent.kill();
    agent.run();
    agent.register("app-2", 9002, &[], 1);
    agent.register("app-1", 9001, &[], 1);
    follower.wait_for("127.0.0.1:9001 app-1 1, 127.0.0.1:9002 app-2 1");
    assert!(
        follower.sets().iter().all(|set| !set.is_empty()),
        "{:?}",
        follower.sets()
    );
}

#[test]
fn a_token_opens_what_is_closed_without() {
    let Some(agent) = ConsulAgent::start_with_token("8f246b77-f3e1-ff88-5b48-8ec93abf3e05") else {
        return;
    };
    agent.register("app-1", 9001, &[], 1);
    let consul = || Consul::new(agent.http.to_string(), "app");
    let token = |token: &str| Follower::of(consul().token(Some(token.to_owned())));
    let (with, without) = (token("8f246b77-f3e1-ff88-5b48-8ec93abf3e05"), token("another"));
    with.wait_for("127.0.0.1:9001 app-1 1");
    assert!(without.sets().is_empty(), "{:?}", without.sets());
}
