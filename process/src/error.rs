//! An error and its causes in one line, without debug text.

use std::error::Error;
use std::iter::successors;

/// What went wrong and why, down to the last cause. Many errors repeat their cause, or say
/// nothing but it: each is told once.
pub fn chain(error: &(dyn Error + 'static)) -> String {
    let causes = successors(Some(error), |error| (**error).source()).map(ToString::to_string);
    causes.fold(String::new(), |text, cause| match () {
        () if text.is_empty() || cause.contains(&text) => cause,
        () if text.contains(&cause) => text,
        () => format!("{text}: {cause}"),
    })
}

#[cfg(test)]
mod tests {
    use std::fmt;

    use super::*;

    /// An error with these words, and those below it as causes.
    #[derive(Debug)]
    struct Words(&'static str, Option<Box<Words>>);

    impl fmt::Display for Words {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str(self.0)
        }
    }

    impl Error for Words {
        fn source(&self) -> Option<&(dyn Error + 'static)> {
            self.1.as_deref().map(|cause| cause as _)
        }
    }

    fn told(words: &[&'static str]) -> String {
        let below = words
            .iter()
            .rev()
            .fold(None, |cause, words| Some(Box::new(Words(words, cause))));
        chain(&*below.unwrap())
    }

    #[test]
    fn a_cause_is_told_once() {
        assert_eq!(told(&["b", "a"]), "b: a");
        assert_eq!(
            told(&["--kubeconfig x", "cannot read x: no such file", "no such file"]),
            "--kubeconfig x: cannot read x: no such file"
        );
    }

    #[test]
    fn what_only_repeats_its_cause_is_left_out() {
        assert_eq!(
            told(&["refused", "connection refused (os error 111)"]),
            "connection refused (os error 111)"
        );
    }
}
