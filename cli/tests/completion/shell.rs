//! A shell on a terminal of its own, as a person has it, but that it tells what it
//! has in its line.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::Receiver;
use std::time::{Duration, Instant};

use crate::pty::watch;

/// Longer than any completion takes on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);

/// Ctrl-T writes the line to this file.
const SEEN: &str = "seen";
const PROMPT: &str = "ready-now> ";

#[derive(Debug, Clone, Copy)]
pub enum Shell {
    Bash,
    Zsh,
    Fish,
}

impl Shell {
    /// What a person has in a file that the shell reads at its start, and our key.
    fn script(self) -> &'static str {
        match self {
            Self::Bash => {
                r#"PS1='ready''-now> '
                source <(weir completion bash)
                tell() { printf '%s' "$READLINE_LINE" >seen.part; mv seen.part seen; }
                bind -x '"\C-t": tell'
                "#
            }
            Self::Zsh => {
                r#"PROMPT='ready''-now> '
                autoload -Uz compinit && compinit -u -D
                source <(weir completion zsh)
                tell() { print -rn -- "$BUFFER" >seen.part; mv seen.part seen; }
                zle -N tell
                bindkey '^T' tell
                "#
            }
            Self::Fish => {
                r#"function fish_prompt; echo -n 'ready''-now> '; end
                weir completion fish | source
                function tell; commandline >seen.part; mv seen.part seen; end
                bind \ct tell
                "#
            }
        }
    }

    fn command(self) -> &'static str {
        match self {
            Self::Bash => "bash --noprofile --rcfile start -i",
            Self::Zsh => "ZDOTDIR=. zsh -d -i",
            Self::Fish => "fish --no-config --interactive --init-command 'source start'",
        }
    }
}

/// The terminal; the shell ends with it.
pub struct Terminal {
    child: Child,
    keys: ChildStdin,
    screen: Receiver<Vec<u8>>,
    shown: Vec<u8>,
    home: PathBuf,
}

impl Terminal {
    /// Starts the shell in this directory, which is its home, and waits for its prompt.
    pub fn open(shell: Shell, home: &Path) -> Self {
        for name in ["start", ".zshrc"] {
            fs::write(home.join(name), shell.script()).unwrap();
        }
        let program = Path::new(env!("CARGO_BIN_EXE_weir")).parent().unwrap();
        let path = format!("{}:{}", program.display(), std::env::var("PATH").unwrap());
        let command = format!("stty cols 200 rows 50; {}", shell.command());
        let mut child = Command::new("script")
            .args(["--quiet", "--return", "--command", &command, "/dev/null"])
            .current_dir(home)
            .env_clear()
            .envs([("PATH", path.as_str()), ("TERM", "xterm"), ("LC_ALL", "C.UTF-8")])
            .env("HOME", home)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let (screen, keys) = (child.stdout.take().unwrap(), child.stdin.take().unwrap());
        let mut terminal = Self {
            child,
            keys,
            screen: watch(screen),
            shown: Vec::new(),
            home: home.to_owned(),
        };
        terminal.until("the prompt", |shown, _| shown.contains(PROMPT).then_some(()));
        terminal
    }

    /// The line after this was typed and Tab pressed.
    pub fn complete(&mut self, typed: &str) -> String {
        let _ = fs::remove_file(self.home.join(SEEN));
        // Ctrl-U empties the line for the next time.
        write!(self.keys, "{typed}\t\x14").unwrap();
        self.keys.flush().unwrap();
        let line = self.until(typed, |_, home| fs::read_to_string(home.join(SEEN)).ok());
        self.keys.write_all(b"\x15").unwrap();
        line.trim_end_matches('\n').to_owned()
    }

    fn until<T>(&mut self, what: &str, holds: impl Fn(&str, &Path) -> Option<T>) -> T {
        let end = Instant::now() + PATIENCE;
        loop {
            let shown = String::from_utf8_lossy(&self.shown);
            if let Some(found) = holds(&shown, &self.home) {
                return found;
            }
            assert!(Instant::now() < end, "no answer to {what:?}; shown: {shown}");
            if let Ok(more) = self.screen.recv_timeout(Duration::from_millis(20)) {
                self.shown.extend(more);
            }
        }
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        // The shell gets a hangup when its terminal goes.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
