//! The terminal while it is drawn on: raw, its other screen shown. It is left as it was
//! found, also after a panic.

use std::io::{self, IsTerminal};

use anyhow::{Context, Result};
use ratatui::DefaultTerminal;
use ratatui::crossterm::event::{self, DisableBracketedPaste, EnableBracketedPaste};
use ratatui::crossterm::execute;
use rustix::process::{Signal, getpid, kill_process};
use tokio::sync::mpsc;

/// Keys that may wait to be looked at.
const WAITING: usize = 64;

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
        kill_process(getpid(), Signal::TSTP).context("cannot be suspended")?;
        self.terminal = take()?;
        Ok(())
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        give_back();
    }
}

fn take() -> Result<DefaultTerminal> {
    let terminal = ratatui::try_init().context("cannot draw on this terminal")?;
    // What is pasted is text, not keys. Without it, it is keys.
    let _ = execute!(io::stdout(), EnableBracketedPaste);
    Ok(terminal)
}

fn give_back() {
    let _ = execute!(io::stdout(), DisableBracketedPaste);
    // There is nobody left to tell.
    let _ = ratatui::try_restore();
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

    /// Is run by the test below, in a terminal.
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

    #[test]
    fn a_panic_gives_the_terminal_back_and_is_told_there() {
        let directory = tempfile::tempdir().unwrap();
        let program = std::env::current_exe().unwrap();
        let test = "watch::screen::tests::panics_on_its_terminal";
        let command = format!(
            "stty cols 80 rows 24; stty -g >before; {} --exact {test} --ignored --nocapture; stty -g >after",
            program.display()
        );
        let output = Command::new("script")
            .args(["--quiet", "--return", "--command", &command, "/dev/null"])
            .current_dir(directory.path())
            .env("TERM", "xterm")
            .stdin(Stdio::null())
            .output()
            .unwrap();
        let written = String::from_utf8_lossy(&output.stdout).into_owned();
        let place = |text: &str| {
            written
                .rfind(text)
                .unwrap_or_else(|| panic!("no {text:?}: {written:?}"))
        };
        let (taken, drawn) = (place("\u{1b}[?1049h"), place("drawn\u{1b}"));
        let (given_back, told) = (written.find("\u{1b}[?1049l"), place("while it is drawn on"));
        assert!(
            taken < drawn && Some(drawn) < given_back && given_back < Some(told),
            "{written:?}"
        );
        let state = |name: &str| std::fs::read_to_string(directory.path().join(name)).unwrap();
        assert_eq!(state("after"), state("before"));
    }
}
