//! What each shell wants: words come as they stand on the line, quotes and all, and
//! candidates go back as the shell puts them into it. What may come next is said
//! elsewhere.
//!
//! The shells differ. bash cuts words at `=` and `:` and replaces the last piece
//! only; zsh and fish replace the word and quote what they put in.

use std::ffi::OsString;
use std::io::{self, Write};
use std::path::Path;

use clap::Command;
use clap_complete::env::{self, EnvCompleter, Shells};

/// All that can complete.
pub const SHELLS: Shells<'static> = Shells(&[&Shell::Bash, &Shell::Zsh, &Shell::Fish]);

/// What bash runs at Tab.
const BASH: &str = include_str!("weir.bash");
/// The text that bash will replace.
const TEXT: &str = "_WEIR_TEXT";
/// Stands between candidates for bash, since they may have spaces.
const BETWEEN: char = '\u{b}';

/// A shell that completes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shell {
    /// GNU bash, 4.4 or later.
    Bash,
    /// The Z shell.
    Zsh,
    /// fish, 3 or later.
    Fish,
}

impl Shell {
    fn builtin(self) -> &'static dyn EnvCompleter {
        match self {
            Self::Bash => &env::Bash,
            Self::Zsh => &env::Zsh,
            Self::Fish => &env::Fish,
        }
    }
}

impl EnvCompleter for Shell {
    fn name(&self) -> &'static str {
        self.builtin().name()
    }

    fn is(&self, name: &str) -> bool {
        self.builtin().is(name)
    }

    fn write_registration(
        &self,
        variable: &str,
        name: &str,
        program: &str,
        completer: &str,
        out: &mut dyn Write,
    ) -> io::Result<()> {
        match self {
            Self::Bash => out.write_all(BASH.as_bytes()),
            _ => self
                .builtin()
                .write_registration(variable, name, program, completer, out),
        }
    }

    fn write_complete(
        &self,
        command: &mut Command,
        words: Vec<OsString>,
        directory: Option<&Path>,
        out: &mut dyn Write,
    ) -> io::Result<()> {
        let raw: Vec<String> = words.iter().map(|w| w.to_string_lossy().into_owned()).collect();
        let last = raw.len().saturating_sub(1);
        // fish takes the quotes off all words but the one that is being typed.
        let plain = raw.iter().enumerate().map(|(at, word)| match self {
            Self::Fish if at < last => word.clone(),
            _ => unquote(word).0,
        });
        let plain: Vec<OsString> = plain.map(OsString::from).collect();
        if *self != Self::Bash {
            return self.builtin().write_complete(command, plain, directory, out);
        }
        let found = clap_complete::engine::complete(command, plain, last, directory)?;
        let text = std::env::var(TEXT).unwrap_or_default();
        let word = raw.last().map_or("", String::as_str);
        let candidates = found.iter().map(|candidate| {
            let candidate = candidate.get_value().to_string_lossy();
            replacement(word, &text, &candidate)
        });
        let candidates: Vec<String> = candidates.collect();
        write!(out, "{}", candidates.join(BETWEEN.encode_utf8(&mut [0; 4])))
    }
}

/// What stands for this piece of the word, its end, when the word is to be the candidate.
fn replacement(word: &str, piece: &str, candidate: &str) -> String {
    let before = word.strip_suffix(piece).unwrap_or_default();
    let (_, quote) = unquote(word);
    let rest = candidate.strip_prefix(&unquote(before).0).unwrap_or(candidate);
    let special = |c: char| match quote {
        Some('\'') => false,
        Some(_) => "\"\\$`".contains(c),
        None => !(c.is_alphanumeric() || "_-./,:=@%+".contains(c)),
    };
    let mut quoted = String::new();
    for c in rest.chars() {
        if special(c) {
            quoted.push('\\');
        }
        quoted.push(c);
    }
    // bash takes an escaped quote at the end for the one that closes, and adds none.
    if quote == Some('"') && quoted.ends_with('"') {
        quoted.push('"');
    }
    quoted
}

/// A word as the program would get it, and the quote that is still open at its end.
pub fn unquote(word: &str) -> (String, Option<char>) {
    let (mut plain, mut quote) = (String::new(), None);
    let mut chars = word.chars();
    while let Some(c) = chars.next() {
        match (quote, c) {
            (None, '\'' | '"') => quote = Some(c),
            (Some(open), _) if open == c => quote = None,
            (None, '\\') => plain.extend(chars.next()),
            (Some('"'), '\\') => match chars.next() {
                Some(escaped @ ('"' | '\\' | '$' | '`')) => plain.push(escaped),
                other => plain.extend([Some('\\'), other].into_iter().flatten()),
            },
            _ => plain.push(c),
        }
    }
    (plain, quote)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_loses_its_quotes_though_the_last_one_is_open() {
        let plain = |word| unquote(word).0;
        assert_eq!(unquote(r#"'ns == "sh"#), (r#"ns == "sh"#.to_owned(), Some('\'')));
        assert_eq!(unquote(r#""ns == \"sh"#), (r#"ns == "sh"#.to_owned(), Some('"')));
        assert_eq!(
            unquote(r#"--data-dir='/a b'/c"#),
            ("--data-dir=/a b/c".to_owned(), None)
        );
        assert_eq!(plain(r"a\ b\'c"), "a b'c");
        assert_eq!(plain(r#""\d\\"#), r"\d\");
        assert_eq!(plain("a\\"), "a");
    }

    #[test]
    fn bash_gets_the_piece_that_it_replaces_quoted_as_the_line_needs() {
        assert_eq!(replacement("dst_zo", "dst_zo", "dst_zone"), "dst_zone");
        assert_eq!(replacement("--group-by=n", "n", "--group-by=ns"), "ns");
        assert_eq!(replacement("--group-by='n", "n", "--group-by=ns"), "ns");
        assert_eq!(
            replacement("he", "he", "head office: $west"),
            r"head\ office:\ \$west"
        );
        assert_eq!(
            replacement("'a == \"he", "a == \"he", "a == \"he$\""),
            "a == \"he$\""
        );
        assert_eq!(
            replacement("\"a == \\\"h", "a == \\\"h", "a == \"h$\""),
            r#"a == \"h\$\"""#
        );
    }
}
