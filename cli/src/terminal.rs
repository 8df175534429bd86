//! What the terminal is like, and how something is shown that takes long.

use std::io::{self, IsTerminal, Write};
use std::time::Duration;

use terminal_size::{Width, terminal_size_of};
use tokio::time::{Instant, interval_at};

/// Columns of the terminal on standard output; none: it is not one.
pub fn width() -> Option<usize> {
    let stdout = io::stdout();
    if !stdout.is_terminal() {
        return None;
    }
    let (Width(width), _) = terminal_size_of(stdout)?;
    (width > 0).then_some(width.into())
}

/// Whether standard output may have colours: a terminal, and nobody has set
/// `NO_COLOR` (no-color.org).
pub fn has_colours() -> bool {
    let unwanted = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
    io::stdout().is_terminal() && !unwanted && std::env::var_os("TERM").is_none_or(|term| term != "dumb")
}

/// Writes a line on standard error. That nobody reads it any more is no failure, and
/// no reason to panic as `eprintln!` does.
pub fn say(line: &str) {
    let _ = writeln!(io::stderr(), "{line}");
}

/// A line that stands out, where there are colours.
pub fn bold(line: &str) -> String {
    if has_colours() {
        format!("\u{1b}[1m{line}\u{1b}[0m")
    } else {
        line.to_owned()
    }
}

/// Waits, and says after a second that it does, when a person looks on.
pub async fn patiently<T>(work: impl Future<Output = T>) -> T {
    if !io::stderr().is_terminal() {
        return work.await;
    }
    let begun = Instant::now();
    let second = Duration::from_secs(1);
    let mut ticks = interval_at(begun + second, second);
    let mut shown = false;
    tokio::pin!(work);
    let done = loop {
        tokio::select! {
            done = &mut work => break done,
            _ = ticks.tick() => {
                shown = true;
                show_for_now(&format!("\rworking for {} s; Ctrl-C ends it", begun.elapsed().as_secs()));
            }
        }
    };
    if shown {
        show_for_now("\r\u{1b}[K");
    }
    done
}

/// It is only for the eye.
fn show_for_now(text: &str) {
    let mut err = io::stderr();
    let _ = write!(err, "{text}").and_then(|()| err.flush());
}
