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
