//! Looking again and again.

use std::convert::Infallible;
use std::fmt;

use tokio::time::sleep;

use crate::course::{Course, Failure, Look, News};
use crate::pause;

/// What can be asked for members.
pub trait Engine {
    /// What it finds.
    type Member: Clone + PartialEq + fmt::Display + Send;

    /// Asks once. Dropping the future ends that and does no harm.
    ///
    /// # Errors
    /// That it does not answer, or says nonsense.
    fn look(&mut self) -> impl Future<Output = Result<Look<Self::Member>, Failure>> + Send;

    /// The next look answers at once and is a whole one: nothing that was remembered counts.
    fn anew(&mut self) {}

    /// What is asked for what, for the log: `DNS for app.default.svc:8000`.
    fn title(&self) -> String;
}

/// Asks until it is dropped, and gives the members to `sink` whenever they are others; the first time in any case. The
/// log says so, and that the engine is away or back; `name` is the balancer's there.
pub async fn follow<E: Engine>(
    name: &str,
    mut engine: E,
    mut sink: impl FnMut(Vec<E::Member>),
) -> Infallible {
    let title = engine.title();
    let mut course = Course::new();
    loop {
        let outcome = engine.look().await;
        let step = course.step(outcome, pause::part());
        for news in step.news {
            tell(name, &title, &news);
        }
        if let Some(members) = step.members {
            sink(members);
        }
        if step.anew {
            engine.anew();
        }
        sleep(step.pause).await;
    }
}

fn tell(name: &str, title: &str, news: &News) {
    match news {
        News::Members(what) => tracing::info!("balancer {name}: {title}: {what}"),
        News::Lost(why) => {
            tracing::error!("balancer {name}: {title}: the last known members stay: {why}");
        }
        News::Back => tracing::info!("balancer {name}: {title}: there are answers again"),
        News::InDoubt => {
            tracing::warn!("balancer {name}: {title}: it names no members; the last known ones stay for now");
        }
        News::LeftOut(what) => tracing::warn!("balancer {name}: {title}: left out: {}", what.join("; ")),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;
    use std::time::Duration;

    use tokio::time::{Instant, timeout};

    use super::*;

    /// Answers what it was told to, then nothing any more; keeps when it was asked, and whether anew.
    struct Scripted<'t> {
        answers: VecDeque<Result<Look<&'static str>, Failure>>,
        asked: &'t mut Vec<(Duration, bool)>,
        begin: Instant,
        anew: bool,
    }

    impl Engine for Scripted<'_> {
        type Member = &'static str;

        async fn look(&mut self) -> Result<Look<&'static str>, Failure> {
            self.asked
                .push((self.begin.elapsed(), std::mem::take(&mut self.anew)));
            match self.answers.pop_front() {
                Some(answer) => answer,
                None => std::future::pending().await,
            }
        }

        fn anew(&mut self) {
            self.anew = true;
        }

        fn title(&self) -> String {
            "a script".to_owned()
        }
    }

    fn look(members: &[&'static str], again: u64) -> Result<Look<&'static str>, Failure> {
        Ok(Look {
            members: members.to_vec(),
            left_out: Vec::new(),
            again: Duration::from_secs(again),
            is_meant: false,
        })
    }

    #[tokio::test(start_paused = true)]
    async fn it_asks_when_it_was_told_to_and_gives_what_has_changed() {
        let away = || Err(Failure::Away("refused".to_owned()));
        let mut asked = Vec::new();
        let mut given = Vec::new();
        let engine = Scripted {
            answers: VecDeque::from([
                look(&["a"], 100),
                look(&["a", "b"], 10),
                away(),
                away(),
                look(&["a", "b"], 0),
                look(&["b"], 10),
            ]),
            asked: &mut asked,
            begin: Instant::now(),
            anew: false,
        };
        let following = follow("cluster", engine, |members| given.push(members));
        let ended = timeout(Duration::from_secs(3600), following).await;
        assert!(ended.is_err(), "it goes on until it is dropped");
        assert_eq!(given, [vec!["a"], vec!["a", "b"], vec!["b"]]);
        let pauses: Vec<f64> = asked
            .windows(2)
            .map(|pair| (pair[1].0 - pair[0].0).as_secs_f64())
            .collect();
        let bounds = [
            (90.0, 100.0),
            (9.0, 10.0),
            (0.5, 1.0),
            (1.0, 2.0),
            (0.0, 0.0),
            (9.0, 10.0),
        ];
        assert_eq!(pauses.len(), bounds.len());
        for (pause, (least, most)) in pauses.iter().zip(bounds) {
            // The clock's step is a millisecond.
            assert!((least..=most + 0.002).contains(pause), "{pauses:?}");
        }
        let anew: Vec<bool> = asked.iter().map(|(_, anew)| *anew).collect();
        assert_eq!(anew, [false, false, false, true, true, false, false]);
    }
}
