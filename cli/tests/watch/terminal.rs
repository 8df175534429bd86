//! A terminal with a program in it: what it shows is read as a terminal reads it, keys are
//! typed into it, and it can be made wider.

use std::fs;
use std::io::Write;
use std::num::NonZeroU16;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::Receiver;
use std::time::{Duration, Instant};

use crate::pty::watch;

/// Longer than anything takes on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);
const ROWS: u16 = 24;

/// The terminal; what runs in it ends with it.
pub struct Terminal {
    child: Child,
    keys: ChildStdin,
    written: Receiver<Vec<u8>>,
    all: Vec<u8>,
    screen: vt100::Parser,
    home: PathBuf,
}

fn size(columns: u16) -> (NonZeroU16, NonZeroU16) {
    (NonZeroU16::new(ROWS).unwrap(), NonZeroU16::new(columns).unwrap())
}

impl Terminal {
    /// Runs `weir` with these words, which a shell splits. How the terminal was before and
    /// after, the process and the exit code are left in files of `home`.
    pub fn open(columns: u16, words: &str, home: &Path, environment: &[(&str, &str)]) -> Self {
        let program = env!("CARGO_BIN_EXE_weir");
        let command = format!(
            "stty cols {columns} rows {ROWS}; tty >tty; stty -g >before; \
             sh -c 'echo $$ >pid; exec {program} {words}'; echo $? >code; stty -g >after"
        );
        let mut child = Command::new("script")
            .args(["--quiet", "--return", "--command", &command, "/dev/null"])
            .current_dir(home)
            .env_clear()
            .env("PATH", std::env::var("PATH").unwrap())
            .envs([
                ("TERM", "xterm"),
                ("TZ", "CET-1"),
                ("LC_ALL", "C.UTF-8"),
                ("SHELL", "/bin/sh"),
            ])
            .envs(environment.iter().copied())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let (rows, columns) = size(columns);
        Self {
            keys: child.stdin.take().unwrap(),
            written: watch(child.stdout.take().unwrap()),
            all: Vec::new(),
            screen: vt100::Parser::new(rows, columns, 0),
            home: home.to_owned(),
            child,
        }
    }

    /// Types.
    pub fn press(&mut self, keys: &str) {
        self.keys.write_all(keys.as_bytes()).unwrap();
        self.keys.flush().unwrap();
    }

    /// Makes it as wide as this, as a window does that is pulled by its edge.
    pub fn resize(&mut self, columns: u16) {
        let tty = self.file("tty");
        let wide = Command::new("stty")
            .args(["-F", &tty, "cols", &columns.to_string()])
            .status();
        assert!(wide.unwrap().success());
        let (rows, columns) = size(columns);
        self.screen.screen_mut().set_size(rows, columns);
    }

    /// Takes nothing more that is written on it, as if Ctrl-S had been pressed.
    pub fn stop(&self) {
        let stop = r#"open my $tty, "+<", $ARGV[0] or die; defined POSIX::tcflow(fileno($tty), POSIX::TCOOFF()) or die"#;
        let stopped = Command::new("perl")
            .args(["-MPOSIX", "-e", stop, &self.file("tty")])
            .status();
        assert!(stopped.unwrap().success());
    }

    /// Waits until the program has ended on a terminal that takes nothing; gives its exit
    /// code. What is typed is echoed again.
    pub fn ended_stopped(&self) -> i32 {
        let code = self.file("code").parse().unwrap();
        assert_eq!(self.file("after"), self.file("before"));
        code
    }

    /// Sends a signal to the program.
    pub fn signal(&self, name: &str) {
        let sent = Command::new("sh")
            .args(["-c", &format!("kill -s {name} {}", self.file("pid"))])
            .status();
        assert!(sent.unwrap().success());
    }

    /// Waits until what is shown is so, and gives it.
    pub fn until(&mut self, what: &str, holds: impl Fn(&[String]) -> bool) -> Vec<String> {
        let end = Instant::now() + PATIENCE;
        loop {
            let lines = self.lines();
            if holds(&lines) {
                return lines;
            }
            assert!(Instant::now() < end, "{what} was not shown: {lines:#?}");
            if let Ok(more) = self.written.recv_timeout(Duration::from_millis(20)) {
                self.screen.process(&more);
                self.all.extend(more);
            }
        }
    }

    /// Waits until it shows this text.
    pub fn until_shown(&mut self, text: &str) -> Vec<String> {
        self.until(text, |lines| lines.iter().any(|line| line.contains(text)))
    }

    fn lines(&self) -> Vec<String> {
        let contents = self.screen.screen().contents();
        let lines = contents.lines().map(|line| line.trim_end().to_owned());
        // A screen has as many lines as it has, filled or not.
        let mut lines: Vec<String> = lines.collect();
        lines.resize(ROWS.into(), String::new());
        lines
    }

    /// Everything that was written.
    pub fn written(&self) -> String {
        String::from_utf8_lossy(&self.all).into_owned()
    }

    /// Waits until the program has ended; gives its exit code. The terminal is as it was.
    pub fn ended(&mut self) -> i32 {
        let end = Instant::now() + PATIENCE;
        while !self.home.join("after").exists() || self.file("after").is_empty() {
            assert!(Instant::now() < end, "it does not end: {:#?}", self.lines());
            if let Ok(more) = self.written.recv_timeout(Duration::from_millis(20)) {
                self.screen.process(&more);
                self.all.extend(more);
            }
        }
        while let Ok(more) = self.written.recv_timeout(Duration::from_millis(200)) {
            self.screen.process(&more);
            self.all.extend(more);
        }
        let screen = self.screen.screen();
        assert!(!screen.alternate_screen(), "the other screen is still shown");
        assert!(!screen.hide_cursor(), "the cursor is still hidden");
        assert!(!screen.bracketed_paste(), "text that is pasted is still marked");
        assert_eq!(
            self.file("after"),
            self.file("before"),
            "the terminal is not as it was"
        );
        self.file("code").parse().unwrap()
    }

    fn file(&self, name: &str) -> String {
        let end = Instant::now() + PATIENCE;
        loop {
            match fs::read_to_string(self.home.join(name)) {
                Ok(text) if text.ends_with('\n') => return text.trim_end().to_owned(),
                _ => assert!(Instant::now() < end, "there is no {name}"),
            }
            std::thread::yield_now();
        }
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        // The program gets a hangup when its terminal goes.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
