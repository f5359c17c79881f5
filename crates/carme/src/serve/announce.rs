//! The line that says what is served, where, and by how many workers of which Python.

use carme_farm::{About, AppPlan};

/// The line of one app, which answers below these paths at these addresses.
pub(super) fn line(about: &About, plan: &AppPlan, addresses: &[String], paths: &[&str]) -> String {
    let range = &plan.workers.range;
    let workers = match (range.start(), range.end()) {
        (1, 1) => "1 worker".to_owned(),
        (least, most) if least == most => format!("{most} workers"),
        (least, most) => format!("{least} to {most} workers"),
    };
    format!(
        "Serving {} ({}) at {} with {workers} of {} ({})",
        about.title,
        about.interface,
        places(addresses, paths),
        about.python,
        plan.python.display(),
    )
}

/// The line of an app that does not start yet, where somebody works on it.
pub(super) fn line_until_it_starts(plan: &AppPlan, addresses: &[String], paths: &[&str]) -> String {
    format!(
        "Serving why {} does not start at {}",
        plan.target,
        places(addresses, paths)
    )
}

fn places(addresses: &[String], paths: &[&str]) -> String {
    let mut places = Vec::new();
    for address in addresses {
        for path in paths {
            let path = path.trim_end_matches('/');
            // A Unix socket's address has no place for a path.
            let apart = if address.starts_with("unix:") && !path.is_empty() {
                " "
            } else {
                ""
            };
            places.push(format!("{address}{apart}{path}"));
        }
    }
    places.join(", ")
}

/// The line of a server that needs no app.
pub(super) fn line_without_apps(addresses: &[String]) -> String {
    format!("Serving at {}", addresses.join(", "))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use carme_farm::{Recycle, Scale};
    use carme_ring::control::Interface;

    use super::*;

    fn plan(workers: Scale) -> AppPlan {
        AppPlan {
            name: "hello".into(),
            python: "/usr/bin/python3".into(),
            target: "hello".into(),
            import_root: "/srv".into(),
            interface: Interface::Auto,
            directory: "/srv".into(),
            environment: Vec::new(),
            user: None,
            workers,
            surge: 1,
            threads: 10,
            switch_interval: Duration::from_millis(1),
            route: "hello_{n}".into(),
            startup_timeout: Duration::from_secs(60),
            drain_timeout: Duration::from_secs(60),
            recycle: Recycle::default(),
        }
    }

    #[test]
    fn says_what_where_and_how() {
        let about = About {
            title: "hello:application".into(),
            interface: "WSGI".into(),
            python: "CPython 3.13.1".into(),
        };
        let tcp = "http://127.0.0.1:8000".to_owned();
        assert_eq!(
            line(&about, &plan(Scale::fixed(2)), std::slice::from_ref(&tcp), &["/"]),
            "Serving hello:application (WSGI) at http://127.0.0.1:8000 with 2 workers of CPython 3.13.1 (/usr/bin/python3)"
        );
        assert_eq!(
            line(
                &about,
                &plan(Scale::fixed(1)),
                &[tcp.clone(), "unix:/run/a.sock".to_owned()],
                &["/blog/"]
            ),
            "Serving hello:application (WSGI) at http://127.0.0.1:8000/blog, unix:/run/a.sock /blog with 1 worker of \
             CPython 3.13.1 (/usr/bin/python3)"
        );
        assert_eq!(
            line_until_it_starts(&plan(Scale::fixed(1)), &[tcp], &["/blog/"]),
            "Serving why hello does not start at http://127.0.0.1:8000/blog"
        );
    }
}
