//! Where questions are worked on: threads of their own, so that receiving, names
//! and readiness never wait for a query. A question that nobody waits for any more
//! is dropped; its turn is over when what it had begun has ended.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use tokio::runtime::{Builder, Runtime};
use tokio::task::JoinSet;
use tokio::time::timeout;

use super::problem::Problem;
use super::turns::{Asker, Turn, Turns};

/// Questions that are worked on at a time.
pub const AT_A_TIME: usize = 4;
/// Those of one asker, where several are told apart.
pub const OF_ONE: usize = 2;
/// How long a question may wait for its turn.
const TURN: Duration = Duration::from_secs(5);

/// Stack of a thread, reserved and not touched until it is needed: planning and conditions
/// recurse as deep as a filter nests.
const STACK: usize = 16 << 20;

/// The threads, and whose turn it is.
#[derive(Debug)]
pub struct QueryThreads {
    runtime: Option<Runtime>,
    turns: Turns,
}

impl QueryThreads {
    /// Starts the threads: half as many as there are cores. So many questions of one asker
    /// are worked on at a time.
    ///
    /// # Errors
    /// The system refuses a thread.
    pub fn start(of_one: usize) -> io::Result<Self> {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        let runtime = Builder::new_multi_thread()
            .worker_threads(cores.div_ceil(2))
            .thread_name("query")
            .thread_stack_size(STACK)
            .enable_all()
            .build()?;
        Ok(Self {
            runtime: Some(runtime),
            turns: Turns::new(AT_A_TIME, of_one),
        })
    }

    /// Works on one question when it is its asker's turn. Dropping the future drops the work.
    ///
    /// # Errors
    /// Its turn does not come, the work failed, or we are stopping.
    pub async fn run<T: Send + 'static>(
        &self,
        asker: &Asker,
        work: impl Future<Output = Result<T, Problem>> + Send + 'static,
    ) -> Result<T, Problem> {
        let turn = self.turn(asker).await?;
        self.run_in(turn, work).await
    }

    /// The same if a turn is free now, for what can wait until no question of others does.
    ///
    /// # Errors
    /// No turn is free, the work failed, or we are stopping.
    pub async fn run_if_free<T: Send + 'static>(
        &self,
        asker: &Asker,
        work: impl Future<Output = Result<T, Problem>> + Send + 'static,
    ) -> Result<T, Problem> {
        let turn = self.turns.take(asker);
        let turn = turn.ok_or_else(|| Problem::busy("all turns are taken by queries of others"))?;
        self.run_in(turn, work).await
    }

    async fn run_in<T: Send + 'static>(
        &self,
        turn: Turn,
        work: impl Future<Output = Result<T, Problem>> + Send + 'static,
    ) -> Result<T, Problem> {
        let turn = Arc::new(turn);
        let runtime = self
            .runtime
            .as_ref()
            .ok_or_else(|| Problem::unavailable("the collector is stopping"))?;
        // A set ends its tasks when it is dropped.
        let mut tasks = JoinSet::new();
        tasks.spawn_on(weir_query::holding(turn, work), runtime.handle());
        match tasks.join_next().await {
            Some(Ok(outcome)) => outcome,
            Some(Err(error)) => {
                tracing::error!(%error, "a query died");
                Err(Problem::internal("the query died; the collector's log says why"))
            }
            None => Err(Problem::internal("the query was lost")),
        }
    }

    async fn turn(&self, asker: &Asker) -> Result<Turn, Problem> {
        timeout(TURN, self.turns.wait(asker)).await.map_err(|_| {
            Problem::busy(format!(
                "{AT_A_TIME} queries are worked on at a time, and those of one asker wait for each other; none \
                 ended within {TURN:?}; try again"
            ))
        })
    }
}

impl Drop for QueryThreads {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            // Waiting would block the task that drops us.
            runtime.shutdown_background();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Tells when it is dropped.
    struct Guard(Option<tokio::sync::oneshot::Sender<()>>);

    impl Drop for Guard {
        fn drop(&mut self) {
            self.0.take().map(|gone| gone.send(()));
        }
    }

    fn asker() -> Asker {
        Asker::from("ann")
    }

    #[tokio::test]
    async fn the_turn_of_a_question_that_was_dropped_is_over_when_what_it_began_has_ended() {
        let threads = QueryThreads::start(1).unwrap();
        let (ann, ben) = (asker(), Asker::from("ben"));
        let (begun, has_begun) = tokio::sync::oneshot::channel();
        let (end, ends) = std::sync::mpsc::sync_channel::<()>(0);
        let plans = move || {
            begun.send(()).unwrap();
            let _ = ends.recv();
            Ok::<_, weir_query::QueryError>(())
        };
        let asked = threads.run(&ann, async move {
            weir_query::off_thread(plans).await.map_err(Problem::from)
        });
        tokio::select! {
            _ = asked => unreachable!("it never ends"),
            _ = has_begun => {}
        }
        assert!(threads.turns.take(&ann).is_none(), "it plans on");
        assert!(threads.turns.take(&ben).is_some());
        drop(end);
        assert_eq!(threads.run(&ann, async { Ok(1) }).await, Ok(1));
    }

    #[tokio::test]
    async fn what_takes_free_turns_alone_does_not_wait_and_goes_before_nobody() {
        let threads = QueryThreads::start(AT_A_TIME).unwrap();
        let (ann, ben) = (asker(), Asker::from("ben"));
        let mut held: Vec<_> = (0..AT_A_TIME)
            .map(|_| threads.turns.take(&ann).unwrap())
            .collect();
        let refused = threads.run_if_free(&ben, async { Ok(1) }).await;
        assert!(refused.is_err_and(|problem| problem.is_busy()));
        // Whoever waits has the next turn, however many of theirs go on.
        let mut waits = Box::pin(threads.turns.wait(&ann));
        assert!(futures::poll!(waits.as_mut()).is_pending());
        held.pop();
        let refused = threads.run_if_free(&ben, async { Ok(1) }).await;
        assert!(refused.is_err_and(|problem| problem.is_busy()));
        drop(waits.await);
        assert_eq!(threads.run_if_free(&ben, async { Ok(1) }).await, Ok(1));
    }

    #[tokio::test]
    async fn a_question_that_nobody_waits_for_is_dropped() {
        let engine = QueryThreads::start(AT_A_TIME).unwrap();
        let (gone, is_gone) = tokio::sync::oneshot::channel();
        let (begun, has_begun) = tokio::sync::oneshot::channel();
        let ann = asker();
        let asked = engine.run::<()>(&ann, async move {
            let _guard = Guard(Some(gone));
            begun.send(()).unwrap();
            std::future::pending().await
        });
        tokio::select! {
            _ = asked => unreachable!("it never ends"),
            _ = has_begun => {}
        }
        is_gone.await.unwrap();
        // Its turn is free again.
        for _ in 0..=AT_A_TIME {
            assert_eq!(engine.run(&asker(), async { Ok(1) }).await, Ok(1));
        }
    }

    #[tokio::test]
    async fn a_client_that_goes_away_ends_its_question() {
        use tokio::io::AsyncWriteExt;
        let engine = Arc::new(QueryThreads::start(AT_A_TIME).unwrap());
        let (gone, mut is_gone) = tokio::sync::mpsc::channel(1);
        let (begun, mut has_begun) = tokio::sync::mpsc::channel(1);
        let page = async move || {
            let (gone, begun) = (gone.clone(), begun.clone());
            let work = async move {
                let (alone, dropped) = tokio::sync::oneshot::channel();
                let _guard = Guard(Some(alone));
                tokio::spawn(async move {
                    let _ = dropped.await;
                    let _ = gone.send(()).await;
                });
                let _ = begun.send(()).await;
                std::future::pending::<Result<String, Problem>>().await
            };
            engine.run(&asker(), work).await
        };
        let router = axum::Router::new().route("/", axum::routing::get(page));
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async move { axum::serve(listener, router).await });
        let mut client = tokio::net::TcpStream::connect(address).await.unwrap();
        client
            .write_all(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
            .await
            .unwrap();
        has_begun.recv().await.unwrap();
        drop(client);
        is_gone.recv().await.unwrap();
    }

    #[tokio::test]
    async fn a_question_that_dies_is_a_problem_and_not_the_end() {
        let engine = QueryThreads::start(AT_A_TIME).unwrap();
        let outcome = engine
            .run::<()>(&asker(), async { panic!("a fault of ours") })
            .await;
        assert_eq!(outcome.map_err(|problem| problem.status), Err(500));
        assert_eq!(engine.run(&asker(), async { Ok(1) }).await, Ok(1));
    }
}
