//! DNS: a real server with the authority for the names.

use std::fmt::Write;
use std::time::Duration;

use carme_discovery::{Dns, Question};
use carme_tests::engines::{ConsulAgent, Knot};

use crate::follower::Follower;

const SOON: Duration = Duration::from_millis(100);

fn addresses(knot: &Knot, name: &str) -> Follower {
    let question = Question::Addresses {
        name: name.to_owned(),
        port: 8000,
    };
    Follower::of(Dns::new(question, vec![knot.address], SOON))
}

fn services(knot: &Knot) -> Follower {
    let question = Question::Services {
        name: "_http._tcp.app.test".to_owned(),
    };
    Follower::of(Dns::new(question, vec![knot.address], SOON))
}

#[test]
fn a_headless_service_grows_and_shrinks() {
    let Some(mut knot) = Knot::start("pods A 10.0.0.10\npods A 10.0.0.9\n") else {
        return;
    };
    let follower = addresses(&knot, "pods.app.test");
    follower.wait_for("10.0.0.9:8000 10-0-0-9, 10.0.0.10:8000 10-0-0-10");
    knot.change("pods A 10.0.0.10\npods AAAA fd00::1\n");
    follower.wait_for("10.0.0.10:8000 10-0-0-10, [fd00::1]:8000 fd00--1");
    // A name may be another's.
    knot.change("pods CNAME others\nothers A 10.0.0.11\n");
    follower.wait_for("10.0.0.11:8000 10-0-0-11");
    assert_eq!(follower.sets().len(), 3);
}

#[test]
fn while_the_server_is_away_or_fails_the_last_known_members_stay() {
    let Some(mut knot) = Knot::start("pods A 10.0.0.1\n") else {
        return;
    };
    let follower = addresses(&knot, "pods.app.test");
    // For this one it answers that it has no authority, which does not say that there are none.
    let refused = addresses(&knot, "pods.elsewhere.test");
    follower.wait_for("10.0.0.1:8000 10-0-0-1");
    knot.kill();
    std::thread::sleep(SOON * 10);
    knot.run();
    knot.change("pods A 10.0.0.1\npods A 10.0.0.2\n");
    follower.wait_for("10.0.0.1:8000 10-0-0-1, 10.0.0.2:8000 10-0-0-2");
    assert_eq!(follower.sets().len(), 2, "{:?}", follower.sets());
    assert!(refused.sets().is_empty(), "{:?}", refused.sets());
}

#[test]
fn names_that_are_gone_are_gone_after_some_doubt() {
    let Some(mut knot) = Knot::start("pods A 10.0.0.1\n") else {
        return;
    };
    let follower = addresses(&knot, "pods.app.test");
    follower.wait_for("10.0.0.1:8000 10-0-0-1");
    knot.change("");
    follower.wait_for("");
    knot.change("pods TXT text\n");
    knot.change("pods A 10.0.0.2\n");
    follower.wait_for("10.0.0.2:8000 10-0-0-2");
    assert_eq!(follower.sets().len(), 3);
}

#[test]
fn services_have_weights_and_priorities() {
    let records = "_http._tcp SRV 10 60 8000 web-0\n_http._tcp SRV 10 0 8001 web-1\n_http._tcp SRV 20 500 8002 Web-2\n\
                   web-0 A 10.1.0.1\nweb-1 A 10.1.0.2\nweb-1 AAAA fd00::2\nweb-2 A 10.1.0.3\n";
    let Some(mut knot) = Knot::start(records) else {
        return;
    };
    let follower = services(&knot);
    follower.wait_for(
        "10.1.0.1:8000 web-0 60/0, 10.1.0.2:8001 web-1 1/0, [fd00::2]:8001 web-1 1/0, 10.1.0.3:8002 web-2 100/1",
    );
    // A target elsewhere, of which the answer says nothing more, one that is nowhere, and one that cannot be looked
    // up here.
    knot.change(
        "_http._tcp SRV 0 1 8000 web-9\n_http._tcp SRV 0 1 8000 nowhere\n_http._tcp SRV 0 1 8000 web.elsewhere.test.\n\
         web-9 CNAME web-8\nweb-8 A 10.1.0.8\n",
    );
    follower.wait_for("10.1.0.8:8000 web-9 1/0");
    // RFC 2782: there is none, decidedly.
    knot.change("_http._tcp SRV 0 0 0 .\n");
    follower.wait_for("");
    assert_eq!(follower.sets().len(), 3);
}

#[test]
fn more_than_a_datagram_holds_comes_by_tcp() {
    let mut records = String::new();
    let mut expected = String::new();
    for number in 0..900 {
        let (high, low) = (number / 250, number % 250);
        writeln!(records, "pods A 10.2.{high}.{low}").expect("text");
        let between = if number == 0 { "" } else { ", " };
        write!(expected, "{between}10.2.{high}.{low}:8000 10-2-{high}-{low}").expect("text");
    }
    let Some(knot) = Knot::start(&records) else {
        return;
    };
    addresses(&knot, "pods.app.test").wait_for(&expected);
}

#[test]
fn consul_answers_dns_too() {
    let Some(agent) = ConsulAgent::start() else {
        return;
    };
    agent.register("app-1", 9001, &[], 3);
    agent.register("app-2", 9002, &[], 1);
    let question = Question::Services {
        name: "app.service.consul".to_owned(),
    };
    let follower = Follower::of(Dns::new(question, vec![agent.dns], SOON));
    follower.wait_for("127.0.0.1:9001 7f000001 3/0, 127.0.0.1:9002 7f000001 1/0");
    agent.set_well("app-1", false);
    follower.wait_for("127.0.0.1:9002 7f000001 1/0");
}
