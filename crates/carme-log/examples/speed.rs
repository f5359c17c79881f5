//! How long one access-log line takes: `cargo run --release -p carme-log --example speed [FILE]`.

use std::hint::black_box;
use std::path::PathBuf;
use std::time::{Duration, Instant, SystemTime};

use carme_log::{Destination, Fields, Format, Record, RequestLine, Writer, WriterOptions};

const LINES: u32 = 1_000_000;

struct Headers;

impl Fields for Headers {
    fn request_header(&self, name: &str, each: &mut dyn FnMut(&[u8])) {
        match name {
            "user-agent" => each(b"Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"),
            "referer" => each(b"https://www.example.org/articles/running-python"),
            _ => {}
        }
    }

    fn response_header(&self, _name: &str, _each: &mut dyn FnMut(&[u8])) {}
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let record = |number: u32| Record {
        client: Some([192, 168, 17, 4].into()),
        request_line: RequestLine::Parsed {
            method: b"GET",
            target: b"/articles/7?page=2",
            protocol: "HTTP/1.1",
        },
        status: 200,
        body_bytes: 5120,
        start: SystemTime::UNIX_EPOCH
            + Duration::from_secs(1_795_427_901)
            + Duration::from_micros(7) * number,
        duration: Duration::from_micros(2345),
        queue_time: Some(Duration::from_micros(12)),
        worker_time: Some(Duration::from_micros(2200)),
        route: Some("www_1"),
        request_id: Some("01J9ZC3T0V5QK8M4"),
        fields: &Headers,
        ..Record::default()
    };
    for name in ["common", "combined", "combined_route"] {
        let format = Format::parse(name)?;
        let mut line = Vec::new();
        let begun = Instant::now();
        for number in 0..LINES {
            line.clear();
            format.render(black_box(&record(number)), &mut line);
            black_box(&line);
        }
        println!(
            "render {name:15} {:6.0} ns a line",
            begun.elapsed().as_nanos() as f64 / f64::from(LINES)
        );
    }
    let file = std::env::args_os().nth(1).map_or_else(
        || PathBuf::from(if cfg!(windows) { "NUL" } else { "/dev/null" }),
        PathBuf::from,
    );
    let writer = Writer::open(
        Destination::File(file),
        WriterOptions {
            buffer: 256 << 20,
            ..WriterOptions::default()
        },
    )?;
    let format = Format::parse("combined_route")?;
    let mut line = Vec::new();
    let begun = Instant::now();
    for number in 0..LINES {
        line.clear();
        format.render(&record(number), &mut line);
        writer.line(&line);
    }
    println!(
        "render and line        {:6.0} ns a line",
        begun.elapsed().as_nanos() as f64 / f64::from(LINES)
    );
    println!(
        "{:?}, the last one\n{}",
        writer.close(),
        String::from_utf8_lossy(&line)
    );
    Ok(())
}
