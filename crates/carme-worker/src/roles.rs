//! Which thread of a worker does what, as a pure state machine.
//!
//! What it owes its callers:
//! - At most one thread sleeps on the leader's bell and at most one on the second bell.
//! - Whenever no thread runs a request, one leads: a worker with nothing to do always hears its bell.
//! - A thread that goes off to run a request leaves another one on the second bell, as long as the limit allows:
//!   a request that comes meanwhile need not wait for the first to end.
//! - Threads come into being only when one is needed, and the one that stood by last is woken first.

/// A thread of this worker, numbered from 0 in the order of their creation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ThreadId(pub usize);

/// What a thread is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Runs a request, or has just come from one and looks for the next.
    Running,
    /// Sleeps on the leader's bell, which the front rings first.
    Leader,
    /// Sleeps on the second bell, which the front rings when the running threads do not come back soon enough.
    Second,
    /// Sleeps until another thread hands it a role.
    Standby,
}

/// Who is to wait on the second bell in the place of a thread that has gone off to run a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub enum Handover {
    /// Nothing to do: somebody waits there already, or the limit is reached.
    None,
    /// Wake this thread; it is the second now.
    Wake(ThreadId),
    /// Create this thread; it begins as the second.
    Create(ThreadId),
}

/// The roles of all threads of one worker.
#[derive(Debug)]
pub struct Roles {
    limit: usize,
    roles: Vec<Role>,
    standbys: Vec<ThreadId>,
}

impl Roles {
    /// One thread, [`ThreadId`] 0, that is about to look for its first request.
    pub fn new(limit: usize) -> Self {
        Self {
            limit: limit.max(1),
            roles: vec![Role::Running],
            standbys: Vec::new(),
        }
    }

    /// What a thread does.
    pub fn role(&self, thread: ThreadId) -> Role {
        self.roles[thread.0]
    }

    fn holds(&self, role: Role) -> bool {
        self.roles.contains(&role)
    }

    /// A thread found a request to take: it runs, and somebody else has to listen.
    pub fn took(&mut self, thread: ThreadId) -> Handover {
        self.roles[thread.0] = Role::Running;
        if self.holds(Role::Second) {
            return Handover::None;
        }
        if let Some(next) = self.standbys.pop() {
            self.roles[next.0] = Role::Second;
            return Handover::Wake(next);
        }
        if self.roles.len() < self.limit {
            let next = ThreadId(self.roles.len());
            self.roles.push(Role::Second);
            return Handover::Create(next);
        }
        Handover::None
    }

    /// A thread found nothing to take: the role that it sleeps in from now on.
    pub fn found_nothing(&mut self, thread: ThreadId) -> Role {
        let role = match self.roles[thread.0] {
            // The second moves up when nobody leads, so that the next request finds the bell that is rung first.
            Role::Running | Role::Second if !self.holds(Role::Leader) => Role::Leader,
            Role::Running if !self.holds(Role::Second) => Role::Second,
            Role::Running => {
                self.standbys.push(thread);
                Role::Standby
            }
            stays => stays,
        };
        self.roles[thread.0] = role;
        role
    }

    /// A thread was called and gives way to those that run: the role that it sleeps in from now on.
    pub fn gave_way(&mut self, thread: ThreadId) -> Role {
        let others_run = self.running() > usize::from(self.roles[thread.0] == Role::Running);
        if !others_run {
            return self.found_nothing(thread);
        }
        let taken = self.holds(Role::Second) && self.roles[thread.0] != Role::Second;
        let role = if taken { Role::Standby } else { Role::Second };
        if taken {
            self.standbys.push(thread);
        }
        self.roles[thread.0] = role;
        role
    }

    /// A thread could not be created after all.
    pub fn not_created(&mut self, thread: ThreadId) {
        debug_assert_eq!(
            thread.0 + 1,
            self.roles.len(),
            "only the newest thread can fail to be created"
        );
        self.roles.truncate(thread.0);
        self.limit = self.roles.len();
    }

    /// Threads that run a request or look for one.
    pub fn running(&self) -> usize {
        self.roles.iter().filter(|role| **role == Role::Running).count()
    }
}
