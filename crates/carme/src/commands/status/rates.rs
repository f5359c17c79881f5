//! How much came to pass in each second between two looks at a server.

use carme_control::{AppStatus, MemberStatus, Status, WorkerStatus};

/// The look before, and the time since then.
pub(super) struct Rates<'b> {
    before: &'b Status,
    seconds: f64,
}

impl<'b> Rates<'b> {
    /// `None` if there is nothing to compare: another server took its place, or no time has passed.
    pub(super) fn between(before: &'b Status, now: &Status) -> Option<Self> {
        let seconds = now.uptime_seconds - before.uptime_seconds;
        (before.identity.pid == now.identity.pid && seconds > 0.0).then_some(Rates { before, seconds })
    }

    fn app(&self, name: &str) -> Option<&'b AppStatus> {
        self.before.apps.iter().find(|app| app.name == name)
    }

    /// Requests that an app has finished.
    pub(super) fn of_app(&self, app: &AppStatus) -> f64 {
        let before = self.app(&app.name).map_or(0, |before| before.requests);
        self.rate(before, app.requests)
    }

    /// Requests that a worker has finished. One that has replaced another begins anew.
    pub(super) fn of_worker(&self, app: &str, worker: &WorkerStatus) -> f64 {
        let before = self.app(app).into_iter().flat_map(|app| &app.workers);
        let same = |before: &&WorkerStatus| before.route == worker.route && before.pid == worker.pid;
        let before = before.filter(same).map(|before| before.requests).sum();
        self.rate(before, worker.requests)
    }

    /// Requests that a member of a balancer was chosen for.
    pub(super) fn of_member(&self, balancer: &str, member: &MemberStatus) -> f64 {
        let balancers = self.before.balancers.iter();
        let before = balancers.filter(|before| before.name == balancer);
        let mut before = before.flat_map(|before| &before.members);
        let same = before.find(|before| before.url == member.url);
        self.rate(same.map_or(0, |before| before.requests), member.requests)
    }

    fn rate(&self, before: u64, now: u64) -> f64 {
        // What has begun anew has done all that it has done since then.
        let done = now.checked_sub(before).unwrap_or(now);
        done as f64 / self.seconds
    }
}
