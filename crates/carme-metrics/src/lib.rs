//! Counters and histograms that a request's path can afford, and Prometheus' text format (0.0.4) to show them in.
//!
//! Why not `prometheus-client` or `metrics`: both find a series by hashing its labels, under a lock or in a concurrent
//! map, wherever a handle was not kept; and both want to own what is exposed, while most of Carme's figures (workers,
//! queues, memory) are looked up when they are asked for. What is left of them is a row of atomics and two hundred lines
//! of text, which are here. Nothing in this crate knows HTTP, workers or clocks.
//!
//! What callers may rely on: updating is a few relaxed atomic additions, without locks, hashing or allocation; a
//! [`Snapshot`] of a histogram is consistent in itself (its count is the sum of its buckets); and [`Exposition`] writes
//! only what a strict parser accepts, whatever a label's value is.

#![forbid(unsafe_code)]

mod exposition;
mod histogram;

pub use exposition::{CONTENT_TYPE, Exposition, Family, Kind};
pub use histogram::{Counter, Histogram, SECONDS, Snapshot};
