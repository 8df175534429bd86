//! What the terminal is like, and how something is shown that takes long.

use std::io::{self, IsTerminal, Write};
use std::time::Duration;

use terminal_size::{Width, terminal_size_of};
use tokio::time::{Instant, interval_at};
use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

use crate::table::harmless_lines;

/// Columns of a terminal that does not tell how many it has.
const USUAL_WIDTH: usize = 80;

/// Columns of the terminal on standard output; none: it is not one.
pub fn width() -> Option<usize> {
    let stdout = io::stdout();
    if !stdout.is_terminal() {
        return None;
    }
    let told = terminal_size_of(stdout).map(|(Width(width), _)| width.into());
    Some(told.filter(|width| *width > 0).unwrap_or(USUAL_WIDTH))
}

/// Whether standard output may have colours: a terminal, and nobody has set
/// `NO_COLOR` (no-color.org).
pub fn has_colours() -> bool {
    let unwanted = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
    io::stdout().is_terminal() && !unwanted && std::env::var_os("TERM").is_none_or(|term| term != "dumb")
}

/// Writes a line on standard error; on a terminal no word of it is torn, and what others say
/// in it does not steer that. That nobody reads it any more is no failure, and no reason to
/// panic as `eprintln!` does.
pub fn say(line: &str) {
    let err = io::stderr();
    let _ = match terminal_size_of(&err) {
        _ if !err.is_terminal() => writeln!(&err, "{line}"),
        Some((Width(width), _)) => writeln!(&err, "{}", wrapped(&harmless_lines(line), width.into())),
        None => writeln!(&err, "{}", harmless_lines(line)),
    };
}

/// Writes a line on standard output of what was done to a cluster, or is served. That nobody
/// reads it any more does not end such work in its middle.
pub fn report(line: &str) {
    let _ = writeln!(io::stdout(), "{line}");
}

/// A text in lines no wider than this, as far as its words allow.
pub fn wrapped(text: &str, width: usize) -> String {
    let mut lines = Vec::new();
    for line in text.split('\n') {
        let mut rest = line;
        while rest.width() > width {
            let (mut wide, mut cut) = (0, None);
            for (at, c) in rest.char_indices() {
                if wide > width && cut.is_some() {
                    break;
                }
                if c == ' ' && at > 0 {
                    cut = Some(at);
                }
                wide += c.width().unwrap_or(0);
            }
            let Some(cut) = cut else { break };
            lines.push(rest[..cut].trim_end());
            rest = rest[cut..].trim_start();
        }
        lines.push(rest);
    }
    lines.join("\n")
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_as_wide_as_they_may_be_and_no_word_is_torn() {
        let text = "there are more than 3 records: see --limit, --since and --until";
        for width in 1..80 {
            let lines = wrapped(text, width);
            assert_eq!(
                lines.split_whitespace().collect::<Vec<_>>(),
                text.split_whitespace().collect::<Vec<_>>()
            );
            for line in lines.lines() {
                assert!(line.width() <= width || !line.contains(' '), "{width}: {line:?}");
            }
        }
        assert_eq!(wrapped("ab cd ef", 5), "ab cd\nef");
        assert_eq!(wrapped("ab cd ef\n\n  gh", 8), "ab cd ef\n\n  gh");
        assert_eq!(wrapped("", 5), "");
    }
}
