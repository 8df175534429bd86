//! A filter as text: written the one way that all filters are written, and as it reads
//! when a flow is looked at from its other end. Words are taken one by one and put
//! together anew; nothing is understood here that [`super::compile`] does not understand
//! likewise.

use weir_api::fields::{Column, Mirror};

use super::{Filter, compile, find_column};
use crate::aggregation::is_kept;

/// A piece of a filter's text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Token<'a> {
    kind: Kind,
    text: &'a str,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// A name of a field or function, or a word of the language.
    Name,
    /// A number, or text in quotes.
    Literal,
    Sign,
}

/// Signs of two characters.
const PAIRS: [&str; 6] = ["&&", "||", "==", "!=", "<=", ">="];

impl Filter {
    /// The filter with one space where one belongs, and with the names of the field
    /// table.
    pub fn canonical(&self) -> String {
        let written = rewritten(&self.text, |column| column);
        // What would not mean the same is left as it is.
        let is_same = |filter: Filter| format!("{:?}", filter.test) == format!("{:?}", self.test);
        match compile(&written).is_ok_and(is_same) {
            true => written,
            false => self.text.clone(),
        }
    }

    /// The filter that lets a flow through when this one does, looked at from its other
    /// end; none where words would have to be exchanged, too.
    pub fn mirrored_text(&self) -> Option<String> {
        let by_name = self
            .fields()
            .into_iter()
            .all(|column| column.field().mirror != Mirror::Value);
        let written = rewritten(&self.text, Column::mirrored);
        let is_it = |filter: Filter| format!("{:?}", filter.test) == format!("{:?}", self.mirrored());
        (by_name && compile(&written).is_ok_and(is_it)).then_some(written)
    }

    /// The fields that it looks at, each once.
    pub fn fields(&self) -> Vec<Column> {
        let mut seen = Vec::new();
        super::expr::columns(&self.test, &mut |column| {
            if !seen.contains(&column) {
                seen.push(column);
            }
        });
        seen
    }
}

impl Filter {
    /// Those of them that sums do not have, so that every record is read.
    pub fn fields_not_in_sums(&self) -> Vec<Column> {
        let mut fields = self.fields();
        fields.retain(|column| !is_kept(*column));
        fields
    }
}

/// How many characters the word has that begins at a column, counted from 1; at least one.
pub fn length_at(text: &str, column: usize) -> usize {
    let start = text
        .char_indices()
        .nth(column.saturating_sub(1))
        .map(|(at, _)| at);
    let rest = start.and_then(|start| text.get(start..)).unwrap_or_default();
    tokens(rest).first().map_or(1, |token| token.text.chars().count())
}

fn rewritten(text: &str, rename: impl Fn(Column) -> Column) -> String {
    let mut written = String::with_capacity(text.len());
    let mut before: Option<Token<'_>> = None;
    let mut before_that: Option<Token<'_>> = None;
    let tokens = tokens(text);
    for (at, token) in tokens.iter().enumerate() {
        if before.is_some_and(|before| parts(before_that, before, *token)) {
            written.push(' ');
        }
        // `map.key`: a key is no field.
        let is_key = before.is_some_and(|before| before.text == ".");
        let is_call = tokens.get(at + 1).is_some_and(|next| next.text == "(");
        let column = find_column(token.text).filter(|_| token.kind == Kind::Name && !is_key && !is_call);
        written.push_str(column.map_or(token.text, |column| rename(column).name()));
        (before_that, before) = (before, Some(*token));
    }
    written
}

/// Whether a space stands between two pieces.
fn parts(before_that: Option<Token<'_>>, before: Token<'_>, token: Token<'_>) -> bool {
    let is_operand = |token: Token<'_>| token.kind != Kind::Sign || [")", "]"].contains(&token.text);
    let is_unary = before.text == "!" || (before.text == "-" && !before_that.is_some_and(is_operand));
    let adjoins = match token.text {
        ")" | "]" | "," | "." => true,
        "(" => before.kind == Kind::Name && before.text != "in",
        "[" => is_operand(before) && before.text != "in",
        _ => false,
    };
    !adjoins && !is_unary && !["(", "[", "."].contains(&before.text)
}

fn tokens(text: &str) -> Vec<Token<'_>> {
    let (mut rest, mut tokens) = (text.trim_start(), Vec::new());
    while let Some(first) = rest.chars().next() {
        let (kind, length) = match first {
            'r' | 'R' if rest[1..].starts_with(['"', '\'']) => (Kind::Literal, 1 + quoted(&rest[1..], true)),
            '"' | '\'' => (Kind::Literal, quoted(rest, false)),
            _ if first.is_ascii_alphabetic() || first == '_' => (Kind::Name, word(rest, "_")),
            _ if first.is_ascii_digit() => (Kind::Literal, word(rest, "_.")),
            _ => match rest.get(..2).filter(|pair| PAIRS.contains(pair)) {
                Some(_) => (Kind::Sign, 2),
                None => (Kind::Sign, first.len_utf8()),
            },
        };
        let (token, after) = rest.split_at(length);
        tokens.push(Token { kind, text: token });
        rest = after.trim_start();
    }
    tokens
}

fn word(text: &str, also: &str) -> usize {
    text.find(|c: char| !c.is_ascii_alphanumeric() && !also.contains(c))
        .unwrap_or(text.len())
}

/// The length of a text with its quotes; to the end, if none ends it.
fn quoted(text: &str, is_raw: bool) -> usize {
    let quote = text.get(..1).unwrap_or_default();
    let triple = quote.repeat(3);
    let end = if text.starts_with(&triple) {
        triple.as_str()
    } else {
        quote
    };
    let mut at = end.len();
    while let Some(rest) = text.get(at..).filter(|rest| !rest.is_empty()) {
        if rest.starts_with(end) {
            return at + end.len();
        }
        let mut chars = rest.chars();
        let skipped = match chars.next() {
            Some('\\') if !is_raw => 1 + chars.next().map_or(0, char::len_utf8),
            first => first.map_or(1, char::len_utf8),
        };
        at += skipped;
    }
    text.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn canonical(text: &str) -> String {
        compile(text).unwrap().canonical()
    }

    #[test]
    fn a_filter_is_written_one_way_whatever_way_it_was_written() {
        for (text, written) in [
            (
                r#"src_ns=="a"&&  !( dst_zone  !="b" )"#,
                r#"ns == "a" && !(dst_zone != "b")"#,
            ),
            (r#"ns in["a","b"]"#, r#"ns in ["a", "b"]"#),
            (r#"inCIDR( addr ,"10.0.0.0/8" )"#, r#"inCIDR(addr, "10.0.0.0/8")"#),
            ("bytes>-1", "bytes > -1"),
            ("bytes - 1 > 2", "bytes - 1 > 2"),
            (r#"pod_name.startsWith('a b')"#, r#"pod_name.startsWith('a b')"#),
            (r#"ns == "src_ns && \"x""#, r#"ns == "src_ns && \"x""#),
            ("", ""),
        ] {
            assert_eq!(canonical(text), written);
            assert_eq!(canonical(written), written, "and stays so");
        }
    }

    #[test]
    fn the_other_end_is_told_where_names_alone_are_exchanged() {
        let mirrored = |text: &str| compile(text).unwrap().mirrored_text();
        assert_eq!(
            mirrored(r#"ns == "dst_ns" && dst_port == 443"#).as_deref(),
            Some(r#"dst_ns == "dst_ns" && port == 443"#)
        );
        assert_eq!(mirrored(r#"server == "dst""#), None);
    }

    #[test]
    fn a_word_is_as_long_as_it_is_written() {
        for (text, column, length) in [
            ("nss == 1", 1, 3),
            (r#"ns == "a b""#, 7, 5),
            ("a && b", 3, 2),
            ("\u{fc} == 1", 1, 1),
            ("ns", 3, 1),
            ("ns", 100, 1),
            (r#"ns == "open"#, 7, 5),
        ] {
            assert_eq!(length_at(text, column), length, "{text}");
        }
    }

    #[test]
    fn any_text_can_be_taken_apart() {
        for text in [
            "\"",
            "'''",
            "r'",
            "\\",
            "\"\\",
            "a.",
            "\u{1f600}\"\u{1f600}",
            "r",
            "1.e5",
            "b'\\'",
        ] {
            assert!(tokens(text).iter().all(|token| !token.text.is_empty()), "{text}");
            for column in 0..5 {
                assert!(length_at(text, column) >= 1);
            }
        }
    }
}
