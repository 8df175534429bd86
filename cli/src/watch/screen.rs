//! The terminal while it is drawn on: raw, its other screen shown. It is left as it was
//! found, also after a panic.

use std::io::{self, IsTerminal};
use std::sync::{Mutex, Once, PoisonError};
use std::thread::{self, ThreadId};

use anyhow::{Context, Result};
use ratatui::DefaultTerminal;
use ratatui::crossterm::event::{self, DisableBracketedPaste, EnableBracketedPaste};
use ratatui::crossterm::execute;
use ratatui::crossterm::terminal::{EnterAlternateScreen, disable_raw_mode, enable_raw_mode};
use ratatui::prelude::CrosstermBackend;
use rustix::process::{Signal, kill_current_process_group};
use tokio::sync::mpsc;

use crate::terminal::say;

/// Keys that may wait to be looked at.
const WAITING: usize = 64;
/// Panics of other threads that are told when the terminal is given back.
const PANICS: usize = 8;

/// Who draws, and what may not be written meanwhile.
struct Drawn {
    by: Option<ThreadId>,
    untold: Vec<String>,
}

static DRAWN: Mutex<Drawn> = Mutex::new(Drawn {
    by: None,
    untold: Vec::new(),
});

/// A terminal that is drawn on. Dropping it gives the terminal back.
pub struct Screen {
    /// To draw on.
    pub terminal: DefaultTerminal,
}

/// Whether one can draw here.
///
/// # Errors
/// Standard input or output is no terminal, or it is one that cannot move its cursor.
pub fn check() -> Result<()> {
    let dumb = std::env::var_os("TERM").is_some_and(|term| term == "dumb");
    anyhow::ensure!(
        io::stdin().is_terminal() && io::stdout().is_terminal() && !dumb,
        "weir watch draws on a terminal, and this is none: weir top shows sums once, weir flows --follow \
         records as they arrive"
    );
    Ok(())
}

impl Screen {
    /// Takes the terminal.
    ///
    /// # Errors
    /// It cannot be drawn on.
    pub fn take() -> Result<Self> {
        let terminal = take()?;
        Ok(Self { terminal })
    }

    /// Gives the terminal to the shell until it lets this go on, and takes it again.
    ///
    /// # Errors
    /// It cannot be drawn on any more.
    pub fn suspend(&mut self) -> Result<()> {
        give_back();
        // The shell waits for all of its job, such as the script that this runs in.
        kill_current_process_group(Signal::TSTP).context("cannot be suspended")?;
        self.terminal = take()?;
        Ok(())
    }
}

/// Lets the terminal echo again, which waits for nothing: all that can be given back of one
/// that takes no more.
pub fn leave_raw_mode() {
    let _ = disable_raw_mode();
}

impl Drop for Screen {
    fn drop(&mut self) {
        give_back();
    }
}

fn take() -> Result<DefaultTerminal> {
    static HOOK: Once = Once::new();
    HOOK.call_once(hook);
    drawn(|drawn| drawn.by = Some(thread::current().id()));
    let terminal = begin().inspect_err(|_| give_back());
    terminal.context("cannot draw on this terminal")
}

fn begin() -> io::Result<DefaultTerminal> {
    enable_raw_mode()?;
    // What is pasted is text, not keys. Without it, it is keys.
    let _ = execute!(io::stdout(), EnterAlternateScreen, EnableBracketedPaste);
    ratatui::Terminal::new(CrosstermBackend::new(io::stdout()))
}

fn give_back() {
    let _ = execute!(io::stdout(), DisableBracketedPaste);
    // There is nobody left to tell.
    let _ = ratatui::try_restore();
    let untold = drawn(|drawn| {
        drawn.by = None;
        std::mem::take(&mut drawn.untold)
    });
    untold.iter().for_each(|panic| say(panic));
}

fn drawn<T>(change: impl FnOnce(&mut Drawn) -> T) -> T {
    change(&mut DRAWN.lock().unwrap_or_else(PoisonError::into_inner))
}

/// A panic of the thread that draws gives the terminal back and is told there. Others end no
/// more than their task: they are told when the terminal is given back.
fn hook() {
    let usual = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        let by = drawn(|drawn| drawn.by);
        if by.is_none_or(|by| by == thread::current().id()) {
            if by.is_some() {
                give_back();
            }
            return usual(panic);
        }
        drawn(|drawn| {
            if drawn.untold.len() < PANICS {
                drawn.untold.push(panic.to_string());
            }
        });
    }));
}

/// What is typed and how the terminal changes, until it is gone. A thread waits for it, which
/// ends with the program.
///
/// # Errors
/// There is no thread.
pub fn events() -> io::Result<mpsc::Receiver<event::Event>> {
    let (sender, receiver) = mpsc::channel(WAITING);
    let wait = move || {
        while let Ok(event) = event::read() {
            if sender.blocking_send(event).is_err() {
                return;
            }
        }
    };
    std::thread::Builder::new().name("keys".to_owned()).spawn(wait)?;
    Ok(receiver)
}

#[cfg(test)]
mod tests {
    use std::process::{Command, Stdio};

    use super::*;

    /// Is run by a test below, in a terminal.
    #[test]
    #[ignore = "draws on the terminal in which it runs, and panics"]
    #[should_panic(expected = "while it is drawn on")]
    fn panics_on_its_terminal() {
        let mut screen = Screen::take().unwrap();
        let drawn = screen
            .terminal
            .draw(|frame| frame.render_widget("drawn", frame.area()));
        drawn.unwrap();
        panic!("while it is drawn on");
    }

    /// Is run by a test below, in a terminal.
    #[test]
    #[ignore = "draws on the terminal in which it runs"]
    fn draws_on_though_another_thread_panics() {
        let mut screen = Screen::take().unwrap();
        let other = thread::spawn(|| panic!("beside it"));
        assert!(other.join().is_err());
        let drawn = screen
            .terminal
            .draw(|frame| frame.render_widget("drawn", frame.area()));
        drawn.unwrap();
    }

    /// What a test writes on its terminal, which is left as it was.
    fn on_terminal(test: &str) -> String {
        let directory = tempfile::tempdir().unwrap();
        let program = std::env::current_exe().unwrap();
        let command = format!(
            "stty cols 80 rows 24; stty -g >before; {} --exact watch::screen::tests::{test} --ignored \
             --nocapture; stty -g >after",
            program.display()
        );
        let output = Command::new("script")
            .args(["--quiet", "--return", "--command", &command, "/dev/null"])
            .current_dir(directory.path())
            .env("TERM", "xterm")
            .stdin(Stdio::null())
            .output()
            .unwrap();
        let state = |name: &str| std::fs::read_to_string(directory.path().join(name)).unwrap();
        assert_eq!(state("after"), state("before"));
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    /// These stand in it, in this order, where each was written first.
    fn assert_order(written: &str, parts: [&str; 4]) {
        let places = parts.map(|part| {
            written
                .find(part)
                .unwrap_or_else(|| panic!("no {part:?}: {written:?}"))
        });
        assert!(places.is_sorted(), "{places:?}: {written:?}");
    }

    #[test]
    fn a_panic_gives_the_terminal_back_and_is_told_there() {
        let written = on_terminal("panics_on_its_terminal");
        assert_order(
            &written,
            [
                "\u{1b}[?1049h",
                "drawn\u{1b}",
                "\u{1b}[?1049l",
                "while it is drawn on",
            ],
        );
    }

    #[test]
    fn a_panic_of_another_thread_is_told_when_the_terminal_is_given_back() {
        let written = on_terminal("draws_on_though_another_thread_panics");
        assert_order(
            &written,
            ["\u{1b}[?1049h", "drawn\u{1b}", "\u{1b}[?1049l", "beside it"],
        );
    }
}
