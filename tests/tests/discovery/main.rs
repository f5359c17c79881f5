//! Members that engines name, with the engines themselves: Knot DNS and Consul's agent, where they are installed.

mod consul;
mod dns;
mod follower;
mod routes;
mod served;
