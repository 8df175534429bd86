//! Several commands of `ovn-nbctl` in one run, which is one transaction; no I/O.

/// Commands of one run.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(crate) struct Commands(Vec<String>);

impl Commands {
    /// Adds a command, of these words.
    pub(crate) fn add(&mut self, words: &[&str]) {
        if !self.0.is_empty() {
            self.0.push("--".to_owned());
        }
        self.0.extend(words.iter().map(|word| (*word).to_owned()));
    }

    /// Adds a command whose words stand between blanks.
    pub(crate) fn line(&mut self, line: &str) {
        self.add(&line.split_whitespace().collect::<Vec<_>>());
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// All words, for the command line.
    pub(crate) fn words(&self) -> Vec<&str> {
        self.0.iter().map(String::as_str).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_of_one_run_stand_apart_and_words_with_blanks_stay_whole() {
        let mut commands = Commands::default();
        assert!(commands.is_empty());
        commands.line("ls-add  join");
        commands.add(&["acl-add", "all", "ip4.src == 10.0.0.1 && tcp"]);
        assert_eq!(
            commands.words(),
            [
                "ls-add",
                "join",
                "--",
                "acl-add",
                "all",
                "ip4.src == 10.0.0.1 && tcp"
            ]
        );
    }
}
