//! Answers to [`Question`]s for all clients together: ovs-vswitchd answers in the thread that
//! does its work, so it is asked one question at a time, and the same one once in [`FRESH`].

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use run_folder::{Question, RunFolder};
use serde_json::Value;
use tokio::sync::Mutex;

use crate::pace::Pace;

/// How long an answer counts.
pub const FRESH: Duration = Duration::from_secs(1);
/// Questions at once: each bridge's and those of the switch, for a daemon that starts.
const BURST: u32 = 40;
/// Time between two questions after that, whatever they are.
const INTERVAL: Duration = Duration::from_millis(200);

/// What the switch said lately.
#[derive(Debug)]
pub struct Answers(Mutex<Asked>);

#[derive(Debug)]
struct Asked {
    pace: Pace,
    /// No more than were asked within [`FRESH`], which the pace bounds.
    kept: BTreeMap<Question, (Instant, Result<Value, String>)>,
}

impl Default for Answers {
    fn default() -> Self {
        Self(Mutex::new(Asked {
            pace: Pace::new(BURST, INTERVAL),
            kept: BTreeMap::new(),
        }))
    }
}

impl Answers {
    /// The answer to a question, or why there is none.
    ///
    /// # Errors
    /// OVS does not tell.
    pub async fn to(&self, question: &Question, folder: &RunFolder) -> Result<Value, String> {
        // Asks nobody: it looks at two files.
        if *question == Question::State {
            return question.answer(folder).await.map_err(|error| error.to_string());
        }
        let mut asked = self.0.lock().await;
        asked.kept.retain(|_, (at, _)| at.elapsed() < FRESH);
        if let Some((_, answer)) = asked.kept.get(question) {
            return answer.clone();
        }
        let wait = asked.pace.take(Instant::now());
        tokio::time::sleep(wait).await;
        let answer = question.answer(folder).await.map_err(|error| error.to_string());
        asked
            .kept
            .insert(question.clone(), (Instant::now(), answer.clone()));
        answer
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::os::unix::net::UnixListener;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    /// A switch that counts how often it is asked.
    fn switch(folder: &std::path::Path) -> Arc<AtomicUsize> {
        std::fs::create_dir_all(folder).unwrap();
        std::fs::write(folder.join("ovs-vswitchd.pid"), "7\n").unwrap();
        let listener = UnixListener::bind(folder.join("ovs-vswitchd.7.ctl")).unwrap();
        let asked = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&asked);
        std::thread::spawn(move || {
            for client in listener.incoming() {
                let mut client = client.unwrap();
                let _ = client.read(&mut [0; 512]);
                count.fetch_add(1, Ordering::SeqCst);
                let _ =
                    client.write_all(br#"{"id":0,"result":"lookups: hit:2 missed:1 lost:5","error":null}"#);
            }
        });
        asked
    }

    #[tokio::test]
    async fn however_often_clients_ask_the_switch_is_asked_once_a_second() {
        let folder = std::env::temp_dir().join(format!("weir-answers-{}", std::process::id()));
        let asked = switch(&folder);
        let of = RunFolder::of_socket(&folder.join("db.sock"));
        let answers = Answers::default();
        let start = Instant::now();
        for _ in 0..1000 {
            assert_eq!(answers.to(&Question::Lost, &of).await, Ok(Value::from(5)));
        }
        let most = 1 + start.elapsed().as_secs() as usize;
        assert!(asked.load(Ordering::SeqCst) <= most);
        // What OVS does not tell is not asked for again either.
        let other = Question::Ipfix("br-int".to_owned());
        assert!(answers.to(&other, &of).await.is_err());
        assert!(answers.to(&other, &of).await.is_err());
        std::fs::remove_dir_all(folder).unwrap();
    }
}
