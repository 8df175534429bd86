//! A small test harness for cases that share one lab: they run in order, one
//! failure stops none, and a failed one shows the ends of the logs that were
//! written meanwhile.
//!
//! For a test target with `harness = false`:
//!
//! ```no_run
//! use weir_lab::{Lab, Options, harness::{Case, Suite}};
//!
//! fn every_node_has_a_bridge(lab: &mut Lab) -> anyhow::Result<()> {
//!     for node in lab.nodes() {
//!         node.vsctl(&["br-exists", "br-int"])?;
//!     }
//!     Ok(())
//! }
//!
//! fn main() -> std::process::ExitCode {
//!     Suite::new("bridges", Lab::raise).cases(&[Case::new("every node has br-int", every_node_has_a_bridge)])
//!         .run(Options::default().nodes(2))
//! }
//! ```
//!
//! Arguments: any number of words; a case runs when its name contains one of
//! them. `--list` prints the names. libtest's other flags are accepted and
//! change nothing. `WEIR_LAB_LOGS=DIR` keeps all logs there.

use std::{
    error::Error,
    fmt,
    panic::{AssertUnwindSafe, catch_unwind},
    path::{Path, PathBuf},
    process::ExitCode,
    time::{Instant, SystemTime},
};

use anyhow::{Result, anyhow};

use crate::{Options, enclosure, files, isolated};

/// Lines shown of each log when a case fails.
const TAIL: usize = 20;

/// One case on a shared `T`, which is the lab or holds it.
#[derive(Debug)]
pub struct Case<T> {
    name: &'static str,
    run: fn(&mut T) -> Result<()>,
}

impl<T> Case<T> {
    /// A case; its name is a sentence that says what holds.
    pub const fn new(name: &'static str, run: fn(&mut T) -> Result<()>) -> Self {
        Self { name, run }
    }
}

/// The error of a case that cannot run here; the suite counts it apart.
pub fn skip(reason: &str) -> anyhow::Error {
    Skipped(reason.to_owned()).into()
}

#[derive(Debug)]
struct Skipped(String);

impl fmt::Display for Skipped {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Error for Skipped {}

/// Cases and how the thing they share is raised.
#[derive(Debug)]
pub struct Suite<'a, T> {
    title: &'static str,
    raise: fn(Options) -> Result<T>,
    cases: Vec<&'a Case<T>>,
}

impl<'a, T> Suite<'a, T> {
    /// A suite whose cases share what `raise` makes.
    pub fn new(title: &'static str, raise: fn(Options) -> Result<T>) -> Self {
        Self {
            title,
            raise,
            cases: Vec::new(),
        }
    }

    /// Adds cases, in the order in which they are to run.
    pub fn cases(mut self, cases: &'a [Case<T>]) -> Self {
        self.cases.extend(cases);
        self
    }

    /// Runs the cases that the program's arguments ask for, in an enclosure.
    pub fn run(self, options: Options) -> ExitCode {
        let arguments: Vec<String> = std::env::args().skip(1).collect();
        let chosen = select(&self.cases, &arguments);
        if arguments.iter().any(|argument| argument == "--list") {
            chosen.iter().for_each(|case| println!("{}: test", case.name));
            return ExitCode::SUCCESS;
        }
        if chosen.is_empty() {
            println!("{}: 0 passed, 0 failed, 0 skipped", self.title);
            return ExitCode::SUCCESS;
        }
        isolated(options, |options| {
            let start = Instant::now();
            let mut shared = (self.raise)(options)
                .inspect_err(|_| print_logs(Path::new(enclosure::STATE), SystemTime::UNIX_EPOCH))?;
            println!("{}: raised in {:.1} s", self.title, start.elapsed().as_secs_f64());
            let code = run_cases(self.title, &chosen, &mut shared);
            drop(shared);
            if let Some(target) = std::env::var_os("WEIR_LAB_LOGS") {
                files::save_logs(Path::new(enclosure::STATE), &PathBuf::from(target))?;
            }
            Ok(code)
        })
    }
}

fn select<'a, T>(cases: &[&'a Case<T>], arguments: &[String]) -> Vec<&'a Case<T>> {
    let words: Vec<&String> = arguments
        .iter()
        .filter(|argument| !argument.starts_with('-'))
        .collect();
    let wanted = |case: &&&Case<T>| words.is_empty() || words.iter().any(|word| case.name.contains(*word));
    cases.iter().filter(wanted).copied().collect()
}

fn run_cases<T>(title: &str, cases: &[&Case<T>], shared: &mut T) -> ExitCode {
    let [mut passed, mut failed, mut skipped] = [0, 0, 0];
    for case in cases {
        let (began, clock) = (SystemTime::now(), Instant::now());
        let outcome = catch_unwind(AssertUnwindSafe(|| (case.run)(shared)))
            .unwrap_or_else(|panic| Err(anyhow!("panicked: {}", message(&*panic))));
        let seconds = clock.elapsed().as_secs_f64();
        match outcome {
            Ok(()) => {
                passed += 1;
                println!("ok      {seconds:7.2} s  {}", case.name);
            }
            Err(error) if error.is::<Skipped>() => {
                skipped += 1;
                println!("skipped {seconds:7.2} s  {}: {error}", case.name);
            }
            Err(error) => {
                failed += 1;
                println!("FAILED  {seconds:7.2} s  {}", case.name);
                error.chain().for_each(|cause| println!("        {cause}"));
                print_logs(Path::new(enclosure::STATE), began);
            }
        }
    }
    println!("{title}: {passed} passed, {failed} failed, {skipped} skipped");
    if failed == 0 {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}

fn print_logs(directory: &Path, since: SystemTime) {
    for log in files::logs_since(directory, since) {
        println!("--- end of {}", log.display());
        println!("{}", files::tail(&log, TAIL));
    }
}

fn message(panic: &(dyn std::any::Any + Send)) -> &str {
    let text = panic.downcast_ref::<&str>().copied();
    text.or_else(|| panic.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("no message")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pass(_: &mut Vec<u8>) -> Result<()> {
        Ok(())
    }

    #[test]
    fn words_choose_the_cases_whose_names_contain_one_of_them() {
        let [one, two] = [
            Case::new("a row is healed", pass),
            Case::new("a pod is named", pass),
        ];
        let names = |arguments: &[&str]| {
            let arguments: Vec<String> = arguments.iter().map(|word| (*word).to_owned()).collect();
            select(&[&one, &two], &arguments)
                .iter()
                .map(|case| case.name)
                .collect::<Vec<_>>()
        };
        assert_eq!(names(&["--nocapture"]).len(), 2);
        assert_eq!(names(&["pod", "nothing"]), ["a pod is named"]);
    }

    #[test]
    fn a_failure_or_a_panic_stops_no_other_case_and_a_skip_fails_nothing() {
        let fail = Case::new("fails", |_: &mut Vec<u8>| Err(anyhow!("no")));
        let panic = Case::new("panics", |_| panic!("on purpose"));
        let last = Case::new("runs", |seen: &mut Vec<u8>| {
            seen.push(1);
            Ok(())
        });
        let mut seen = Vec::new();
        assert_eq!(
            run_cases("suite", &[&fail, &panic, &last], &mut seen),
            ExitCode::FAILURE
        );
        assert_eq!(seen, [1]);
        let skipped = Case::new("is skipped", |_| Err(skip("not here")));
        assert_eq!(run_cases("suite", &[&skipped], &mut seen), ExitCode::SUCCESS);
    }
}
