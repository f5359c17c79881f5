//! Cases of changes at run time that the recording has not: all that balancer-manager can set, one after another.

use serde_json::{Value, json};

const METHODS: [&str; 3] = ["byrequests", "bytraffic", "bybusyness"];

fn case(name: &str, parameters: &Value, members: &[Value], steps: Vec<Value>) -> Value {
    let mut parameters = parameters.clone();
    if parameters.get("lbmethod").is_none() {
        parameters["lbmethod"] = json!("byrequests");
    }
    parameters["growth"] = json!("3");
    json!({"name": name, "parameters": parameters, "members": members, "steps": steps})
}

fn member(name: &str) -> Value {
    json!({"name": name, "dead": false, "parameters": {"route": name}})
}

fn members(names: &str) -> Vec<Value> {
    names.chars().map(|name| member(&name.to_string())).collect()
}

fn dead(name: &str) -> Value {
    json!({"name": name, "dead": true, "parameters": {"route": name}})
}

fn get(cookie: &str) -> Value {
    json!({"get": {"cookie": cookie, "path": "/", "query": {"bytes": 700}}})
}

fn respond(status: u16) -> Value {
    json!({"get": {"cookie": "", "path": "/", "query": {"respond": status}}})
}

/// So many without a session.
fn gets(count: usize) -> Vec<Value> {
    vec![get(""); count]
}

/// One for each member's session, one for a session that is nobody's, and some without.
fn sessions() -> Vec<Value> {
    let mut steps: Vec<Value> = ["R=x.a", "R=x.b", "R=x.c", "R=x.z", "R=x."].map(get).into();
    steps.extend(gets(4));
    steps
}

fn change(member: &str, parameters: Value) -> Value {
    json!({"change": {"member": member, "parameters": parameters}})
}

/// A change of the balancer itself.
fn set(parameters: Value) -> Value {
    json!({"change": {"member": null, "parameters": parameters}})
}

/// A member more, with its first settings.
fn add(name: &str, mut parameters: Value) -> [Value; 2] {
    parameters["w_status_D"] = json!(0);
    parameters["w_wr"] = json!(name);
    [json!({"add": {"member": name}}), change(name, parameters)]
}

/// Each flag is set and taken back again, while clients with sessions and others come.
fn flags() -> impl Iterator<Item = Value> {
    let of_method = |method: &'static str| {
        "NDSHRIC".chars().map(move |flag| {
            let flag = format!("w_status_{flag}");
            let mut steps = sessions();
            for on in [1, 0] {
                steps.push(change("b", json!({ &flag: on })));
                steps.extend(sessions());
            }
            let parameters = json!({"lbmethod": method, "stickysession": "R"});
            case(
                &format!("{method} {flag} by hand"),
                &parameters,
                &members("abc"),
                steps,
            )
        })
    };
    METHODS.into_iter().flat_map(of_method)
}

/// Two flags at two members, one after the other, and back in the other order.
fn pairs() -> impl Iterator<Item = Value> {
    let pairs = [
        "ND", "DN", "NH", "HR", "RD", "DS", "SH", "RN", "HD", "DI", "DC", "CR", "HC",
    ];
    pairs.into_iter().map(|pair| {
        let (first, second) = pair.split_at(1);
        let flag = |flag: &str, on: u8| json!({ format!("w_status_{flag}"): on });
        let mut steps = Vec::new();
        for (member, flag) in [
            ("a", flag(first, 1)),
            ("b", flag(second, 1)),
            ("a", flag(second, 1)),
            ("a", flag(first, 0)),
            ("b", flag(second, 0)),
            ("a", flag(second, 0)),
        ] {
            steps.push(change(member, flag));
            steps.extend(sessions());
        }
        case(
            &format!("{pair} by hand"),
            &json!({"stickysession": "R"}),
            &members("abc"),
            steps,
        )
    })
}

fn settings() -> Vec<Value> {
    let (sticky, none) = (json!({"stickysession": "R"}), json!({}));
    let three = members("abc");
    let play = |name: &str, parameters: &Value, members: &[Value], changes: &[Value], between: &[Value]| {
        let mut steps = between.to_vec();
        for change in changes {
            steps.push(change.clone());
            steps.extend_from_slice(between);
        }
        case(name, parameters, members, steps)
    };
    let path = |path: &str| json!({"get": {"cookie": "", "path": path, "query": {}}});
    let forms = [sessions(), vec![path("/p;r=x.b"), path("/p;R=x.c"), get("r=x.a")]].concat();
    let changed = |value: &str| set(json!({ "b_ss": value }));
    vec![
        play(
            "sessions by hand",
            &none,
            &three,
            &[
                changed("R"),
                changed("R|r"),
                changed("r"),
                changed("-"),
                changed("R"),
            ],
            &forms,
        ),
        play(
            "nofailover by hand",
            &sticky,
            &three,
            &[
                change("b", json!({"w_status_D": 1})),
                set(json!({"b_sforce": 1})),
                change("b", json!({"w_status_D": 0})),
                change("c", json!({"w_status_S": 1})),
                set(json!({"b_sforce": 0})),
            ],
            &sessions(),
        ),
        play(
            "route by hand",
            &sticky,
            &three,
            &[
                change("b", json!({"w_wr": "z"})),
                change("a", json!({"w_wr": "b"})),
                change("c", json!({"w_wr": ""})),
                change("c", json!({"w_wr": "b"})),
            ],
            &sessions(),
        ),
        play(
            "redirect by hand",
            &sticky,
            &three,
            &[
                change("b", json!({"w_rr": "c"})),
                change("b", json!({"w_status_D": 1})),
                change("c", json!({"w_rr": "a", "w_status_D": 1})),
                change("b", json!({"w_rr": "nobody"})),
                change("b", json!({"w_rr": ""})),
                change("a", json!({"w_rr": "b", "w_status_N": 1})),
            ],
            &sessions(),
        ),
        play(
            "sets by hand",
            &sticky,
            &three,
            &[
                change("a", json!({"w_ls": 2})),
                change("b", json!({"w_ls": 1})),
                change("c", json!({"w_status_N": 1})),
                change("b", json!({"w_status_D": 1})),
                change("a", json!({"w_ls": 0})),
            ],
            &sessions(),
        ),
        play(
            "attempts by hand",
            &json!({"forcerecovery": "Off"}),
            &[dead("a"), dead("b"), member("c"), dead("d")],
            &[
                set(json!({"b_max": 0})),
                set(json!({"b_max": 1})),
                set(json!({"b_max": 5})),
            ],
            &gets(2),
        ),
        play(
            "no attempts by hand",
            &none,
            &[dead("a"), member("b")],
            &[set(json!({"b_max": 0}))],
            &[],
        ),
        play(
            "errors ignored by hand",
            &json!({"failonstatus": "500,503"}),
            &three,
            &[
                change("b", json!({"w_status_I": 1})),
                change("b", json!({"w_status_I": 0})),
                change("a", json!({"w_status_I": 1})),
                change("c", json!({"w_status_I": 1})),
            ],
            &[respond(503), get(""), respond(404), get("")],
        ),
    ]
}

fn factors() -> impl Iterator<Item = Value> {
    METHODS.into_iter().map(|method| {
        let mut steps = gets(4);
        for (member, factor) in [("b", "3"), ("a", "2.5"), ("b", "1"), ("c", "100"), ("c", "1")] {
            steps.push(change(member, json!({ "w_lf": factor })));
            steps.extend(gets(7));
        }
        let parameters = json!({ "lbmethod": method });
        case(
            &format!("{method} factor by hand"),
            &parameters,
            &members("abc"),
            steps,
        )
    })
}

fn methods() -> impl Iterator<Item = Value> {
    let pairs = METHODS.into_iter().flat_map(|from| METHODS.map(|to| (from, to)));
    pairs.filter(|(from, to)| from != to).map(|(from, to)| {
        let mut steps = [gets(4), vec![get("R=x.b")]].concat();
        for method in [to, from, from] {
            steps.push(set(json!({ "b_lbm": method })));
            steps.extend([gets(5), vec![get("R=x.c")], gets(2)].concat());
        }
        let parameters = json!({"lbmethod": from, "stickysession": "R"});
        case(
            &format!("{from} {to} by hand"),
            &parameters,
            &members("abc"),
            steps,
        )
    })
}

fn growth() -> impl Iterator<Item = Value> {
    let of_method = |method: &'static str| {
        let parameters = json!({"lbmethod": method, "stickysession": "R"});
        let grown = |name: &str, settings: Value, more: Vec<Value>| {
            let steps = [gets(3), add("c", settings).into(), sessions(), gets(4), more].concat();
            case(
                &format!("{method} grows {name}"),
                &parameters,
                &members("ab"),
                steps,
            )
        };
        let disabled = {
            let steps = [vec![json!({"add": {"member": "c"}})], sessions()].concat();
            case(
                &format!("{method} grows disabled"),
                &parameters,
                &members("ab"),
                steps,
            )
        };
        let reset = [vec![set(json!({"b_lbm": "byrequests"}))], sessions(), gets(3)].concat();
        [
            disabled,
            grown("plainly", json!({}), Vec::new()),
            grown("by a factor", json!({"w_lf": 3}), Vec::new()),
            grown(
                "in a set",
                json!({"w_ls": 1}),
                vec![change("a", json!({"w_status_S": 1})), get(""), get("")],
            ),
            grown(
                "by a spare",
                json!({"w_status_R": 1}),
                vec![change("a", json!({"w_status_D": 1})), get(""), get("")],
            ),
            grown("and changes its method", json!({}), reset),
            grown(
                "twice",
                json!({}),
                [add("d", json!({})).into(), sessions(), gets(5)].concat(),
            ),
        ]
    };
    METHODS.into_iter().flat_map(of_method)
}

/// All of them.
pub(crate) fn cases() -> Vec<Value> {
    let mut cases: Vec<Value> = flags().chain(pairs()).collect();
    cases.extend(settings());
    cases.extend(factors());
    cases.extend(methods());
    cases.extend(growth());
    cases
}
