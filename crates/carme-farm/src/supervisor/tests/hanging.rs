//! Workers that hang.

use super::replacing::{bad, fixed, goods};
use super::*;

impl Stage {
    /// The worker in this place hangs; `only`: it has nothing else to do.
    fn hangs(&self, place: u16, only: bool) {
        *self.books.hung.lock().unwrap() = (place, only);
        self.books.hangs.notify_one();
    }

    fn is_done_with(&self, place: u16) {
        *self.books.hung.lock().unwrap() = (place, true);
    }
}

#[tokio::test(start_paused = true)]
async fn one_that_hangs_is_replaced_first_and_ended_when_its_other_requests_are_answered() {
    // Nothing but a kill ends them.
    let stage = stage_of(fixed(2), 8, goods(3), true);
    sleep(secs(1)).await;
    let begun = stage.done().len();
    stage.hangs(1, false);
    sleep(secs(5)).await;
    assert_eq!(
        stage.since(begun),
        ["launch 3 as site_2 in 2: one", "serve 3", "drain 2"],
        "it is not killed while it has something to finish"
    );
    assert_eq!(stage.ready_pids(), [1, 3]);
    assert_eq!(stage.count(Cause::Hung), 1);
    stage.is_done_with(1);
    sleep(secs(1)).await;
    assert_eq!(stage.since(begun + 3), ["kill 2", "end 2"]);
    assert_eq!(stage.ready_pids(), [1, 3]);
    let failed = stage.seats[1]
        .shown
        .borrow()
        .failed
        .clone()
        .expect("that it hangs is known");
    assert_eq!(failed.1.message, "it hangs");
}

#[tokio::test(start_paused = true)]
async fn one_that_hangs_goes_on_while_no_other_starts() {
    let mut scripts = goods(1);
    scripts.extend([bad(), bad()]);
    scripts.extend(goods(1));
    let stage = stage_of(fixed(1), 8, scripts, true);
    sleep(secs(1)).await;
    stage.hangs(0, true);
    sleep(millis(50)).await;
    assert_eq!(stage.ready_pids(), [1], "what it can do is more than nothing");
    sleep(secs(5)).await;
    assert_eq!(stage.ready_pids(), [4]);
    assert!(stage.done().contains(&"kill 1".to_owned()));
    assert_eq!(stage.count(Cause::Hung), 1);
}

#[tokio::test(start_paused = true)]
async fn one_that_hangs_is_not_waited_for_when_it_leaves() {
    let stage = stage_of(fixed(1), 8, goods(1), true);
    sleep(secs(1)).await;
    stage.tell(Command::Stop(Instant::now() + secs(1000)));
    sleep(secs(1)).await;
    stage.hangs(0, true);
    let begun = Instant::now();
    stage.task.await.unwrap();
    assert!(begun.elapsed() < secs(1), "{:?}", begun.elapsed());
}

#[tokio::test(start_paused = true)]
async fn one_that_hangs_while_its_successor_starts_is_replaced_once() {
    let stage = stage_of(fixed(1), 8, goods(2), true);
    sleep(secs(1)).await;
    let (asked_by, mut outcome) = mpsc::unbounded_channel();
    stage.tell(Command::Restart(None, asked_by));
    sleep(millis(5)).await;
    stage.hangs(0, true);
    sleep(secs(1)).await;
    assert!(outcome.recv().await.is_none());
    assert_eq!(stage.ready_pids(), [2]);
    assert!(stage.done().contains(&"kill 1".to_owned()));
}
