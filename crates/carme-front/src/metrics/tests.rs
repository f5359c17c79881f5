use carme_farm::dispatch::Identity;

use super::*;

fn text(metrics: &Metrics) -> String {
    let mut text = Exposition::default();
    metrics.write(&mut text);
    text.into_text()
}

fn value(text: &str, sample: &str) -> Option<f64> {
    let line = text.lines().find_map(|line| line.strip_prefix(sample))?;
    Some(line.trim().parse().expect(line))
}

#[test]
fn a_request_is_counted_where_it_belongs_and_nowhere_else() {
    let metrics = Metrics::new([
        ("site", vec!["site_1".into(), "site_2".into()]),
        ("shop", vec!["shop_1".into()]),
    ]);
    let account = |place| Account {
        worker: Some(Identity {
            route: "whoever".into(),
            pid: 1,
            seat: place,
        }),
        queued: Duration::from_millis(1),
        worked: Duration::from_millis(2),
    };
    let untaken = Account {
        queued: Duration::from_secs(30),
        ..Account::default()
    };
    let observe = |app, account: Option<Account>, status, sent| {
        metrics.begin();
        metrics.observe(&Observation {
            app,
            balancer: None,
            account: account.as_ref(),
            status,
            duration: Duration::from_millis(3),
            bytes_in: 10,
            bytes_out: 100,
            sent,
        });
    };
    observe(Some(0), Some(account(1)), 200, true);
    observe(Some(0), Some(account(1)), 204, true);
    observe(Some(0), Some(account(0)), 500, true);
    observe(Some(0), Some(untaken), 503, true);
    observe(Some(1), Some(account(0)), 301, false);
    observe(None, None, 404, true);
    // Beyond what there is: counted all the same.
    observe(Some(0), Some(account(9)), 999, true);
    observe(Some(7), None, 0, true);
    metrics.begin();
    let text = text(&metrics);
    for (sample, expected) in [
        (
            r#"carme_http_requests_total{app="site",route="site_2",status="2xx"}"#,
            2.0,
        ),
        (
            r#"carme_http_requests_total{app="site",route="site_1",status="5xx"}"#,
            1.0,
        ),
        (r#"carme_http_requests_total{app="site",status="5xx"}"#, 2.0),
        (
            r#"carme_http_requests_total{app="shop",route="shop_1",status="3xx"}"#,
            1.0,
        ),
        (r#"carme_http_requests_total{status="4xx"}"#, 1.0),
        (r#"carme_http_requests_total{status="1xx"}"#, 1.0),
        (
            r#"carme_http_request_queue_seconds_count{app="site",route="site_2",status="2xx"}"#,
            2.0,
        ),
        (
            r#"carme_http_request_worker_seconds_sum{app="site",route="site_2",status="2xx"}"#,
            0.004,
        ),
        (
            r#"carme_http_request_queue_seconds_sum{app="site",status="5xx"}"#,
            30.001,
        ),
        (r#"carme_http_requests_in_progress"#, 1.0),
        (r#"carme_http_requests_aborted_total"#, 1.0),
        (r#"carme_http_request_bytes_total{app="site"}"#, 50.0),
        (r#"carme_http_response_bytes_total{app="shop"}"#, 100.0),
        ("carme_http_request_bytes_total ", 20.0),
    ] {
        assert_eq!(value(&text, sample), Some(expected), "{sample}\n{text}");
    }
    assert!(!text.contains(r#"queue_seconds_count{status="4xx"}"#), "{text}");
    let requests = text
        .lines()
        .filter(|line| line.starts_with("carme_http_requests_total{"));
    assert_eq!(requests.count(), 6, "{text}");
}

#[test]
fn failures_and_own_answers_have_their_causes() {
    let metrics = Metrics::new([("site", vec!["site_1".into()])]);
    for failure in [
        Failure::QueueFull {
            longest: Duration::ZERO,
        },
        Failure::QueueFull {
            longest: Duration::ZERO,
        },
        Failure::QueueTimeout,
        Failure::Stopping,
        Failure::TooLarge,
        Failure::WorkerDied,
        Failure::TimedOut(Duration::ZERO),
        Failure::AppRaised(String::new()),
        Failure::InvalidResponse(String::new()),
    ] {
        metrics.failed(Some(0), &failure);
    }
    for status in [
        StatusCode::BAD_REQUEST,
        StatusCode::IM_A_TEAPOT,
        StatusCode::GATEWAY_TIMEOUT,
    ] {
        metrics.own_answer(status);
    }
    let text = text(&metrics);
    for (cause, count) in [
        ("queue_full", 2.0),
        ("queue_timeout", 1.0),
        ("stopping", 1.0),
        ("too_large", 1.0),
        ("worker_died", 1.0),
        ("request_timeout", 1.0),
        ("app_raised", 1.0),
        ("invalid_response", 1.0),
    ] {
        let sample = format!("carme_app_failures_total{{app=\"site\",cause=\"{cause}\"}}");
        assert_eq!(value(&text, &sample), Some(count), "{text}");
    }
    for code in ["400", "other", "504"] {
        let sample = format!("carme_http_error_responses_total{{code=\"{code}\"}}");
        assert_eq!(value(&text, &sample), Some(1.0), "{text}");
    }
}
