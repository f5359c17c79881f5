//! The site that is served, in whose place another may be put at any time.
//!
//! A request keeps the site that it began with. A connection looks for another before each request: one relaxed load, and
//! only when it finds another is more to be done.

use std::cell::RefCell;
use std::sync::{Arc, Weak};
use std::time::Duration;

use arc_swap::{ArcSwap, Cache};

use crate::site::Site;

type Place<A> = Arc<ArcSwap<Site<A>>>;

pub(crate) struct Current<A>(Place<A>);

impl<A> Clone for Current<A> {
    fn clone(&self) -> Self {
        Current(Arc::clone(&self.0))
    }
}

impl<A> Current<A> {
    pub(crate) fn new(site: Arc<Site<A>>) -> Self {
        Current(Arc::new(ArcSwap::new(site)))
    }

    /// The one of this moment.
    pub(crate) fn site(&self) -> Arc<Site<A>> {
        self.0.load_full()
    }

    /// Puts another in its place.
    pub(crate) fn replace(&self, site: Arc<Site<A>>) -> Retired<A> {
        Retired(Arc::downgrade(&self.0.swap(site)))
    }

    /// For somebody who looks often.
    pub(crate) fn view(&self) -> View<A> {
        View(RefCell::new(Cache::new(Arc::clone(&self.0))))
    }
}

/// What a connection sees of it.
pub(crate) struct View<A>(RefCell<Cache<Place<A>, Arc<Site<A>>>>);

impl<A> View<A> {
    pub(crate) fn site(&self) -> Arc<Site<A>> {
        Arc::clone(self.0.borrow_mut().load())
    }
}

/// A site that is served no more, but to requests that began with it.
pub struct Retired<A>(Weak<Site<A>>);

/// How often it is looked whether a site is over. Nobody waits for it who is in a hurry.
const LOOK: Duration = Duration::from_millis(20);

impl<A> Retired<A> {
    /// Returns when no request goes by it any more.
    pub async fn over(&self) {
        while self.0.strong_count() > 0 {
            tokio::time::sleep(LOOK).await;
        }
    }
}
