//! Text to the CEL syntax tree, within bounds that keep hostile text cheap.

use cel::common::ast::{Expr, IdedExpr, SourceInfo};
use cel::parser::{ParseErrors, Parser};

use super::error::{FilterError, nearest_field};

/// The longest filter, in bytes.
pub const MAX_LENGTH: usize = 32 << 10;
/// How many signs that may nest one expression in another a filter may hold.
const MAX_SIGNS: usize = 2048;
/// How deep parentheses may nest.
const MAX_DEPTH: u16 = 32;
/// How deep the tree may be that the engine gets; `&&` and `||` are balanced.
const MAX_TREE: usize = 64;
/// What the parser and what walks its tree take at most for that many signs; it
/// is only reserved, not touched.
const STACK: usize = 256 << 20;

/// What `then` makes of the tree and of where in the text its nodes are.
///
/// The parser and what walks its tree recurse once for every operator in a
/// chain, parenthesis and sign before a value.
pub(super) fn parse<T: Send>(
    text: &str,
    then: impl FnOnce(&IdedExpr, &SourceInfo) -> Result<T, FilterError> + Send,
) -> Result<T, FilterError> {
    within_bounds(text)?;
    std::thread::scope(|scope| {
        let thread = std::thread::Builder::new().stack_size(STACK);
        let running = thread.spawn_scoped(scope, || parse_here(text, then));
        let failed = || wrong(1, "the filter could not be parsed");
        let running = running.map_err(|_| failed())?;
        running.join().unwrap_or_else(|_| Err(failed()))
    })
}

fn parse_here<T>(
    text: &str,
    then: impl FnOnce(&IdedExpr, &SourceInfo) -> Result<T, FilterError>,
) -> Result<T, FilterError> {
    let parsed = Parser::new()
        .max_recursion_depth(MAX_DEPTH)
        .error_recovery_limit(4)
        .parse_with_source_info(text);
    let (tree, source) = parsed.map_err(|errors| first(text, &errors))?;
    if depth(&tree) > MAX_TREE {
        let message = format!("operators stand in a chain or in each other more than {MAX_TREE} deep");
        return Err(wrong(1, &message));
    }
    then(&tree, &source)
}

fn depth(node: &IdedExpr) -> usize {
    1 + parts(node).into_iter().map(depth).max().unwrap_or_default()
}

/// How many nodes the tree has.
pub(super) fn size(node: &IdedExpr) -> usize {
    1 + parts(node).into_iter().map(size).sum::<usize>()
}

/// The expressions that stand in this one.
fn parts(node: &IdedExpr) -> Vec<&IdedExpr> {
    match &node.expr {
        Expr::Call(call) => call.target.iter().map(Box::as_ref).chain(&call.args).collect(),
        Expr::List(list) => list.elements.iter().collect(),
        Expr::Select(select) => vec![&select.operand],
        _ => Vec::new(),
    }
}

fn within_bounds(text: &str) -> Result<(), FilterError> {
    if text.len() > MAX_LENGTH {
        return Err(wrong(1, &format!("the filter is longer than {MAX_LENGTH} bytes")));
    }
    let (mut quote, mut signs, mut depth) = (None, 0, 0_usize);
    let mut characters = text.char_indices();
    while let Some((at, character)) = characters.next() {
        match (quote, character) {
            (Some(_), '\\') => drop(characters.next()),
            (Some(open), close) if open == close => quote = None,
            (Some(_), _) => {}
            (None, '"' | '\'') => quote = Some(character),
            (None, '(' | '[' | '{') => (depth, signs) = (depth + 1, signs + 1),
            (None, ')' | ']' | '}') => depth = depth.saturating_sub(1),
            (None, '+' | '-' | '*' | '/' | '%' | '.' | '!' | '?' | '<' | '>' | '=') => signs += 1,
            _ => {}
        }
        let column = || text[..at].chars().count() + 1;
        if depth > usize::from(MAX_DEPTH) {
            return Err(wrong(
                column(),
                &format!("parentheses nest more than {MAX_DEPTH} deep"),
            ));
        }
        if signs > MAX_SIGNS {
            return Err(wrong(
                column(),
                &format!("there are more than {MAX_SIGNS} operators"),
            ));
        }
    }
    Ok(())
}

fn wrong(column: usize, message: &str) -> FilterError {
    FilterError {
        column,
        message: message.to_owned(),
        nearest: None,
    }
}

fn first(text: &str, errors: &ParseErrors) -> FilterError {
    let Some(error) = errors.errors.first() else {
        return wrong(1, "there is no expression");
    };
    let (line, column) = error.pos;
    let before = usize::try_from(line - 1).unwrap_or_default();
    let lines = text.split_inclusive('\n').take(before);
    let start: usize = lines.map(|line| line.chars().count()).sum();
    // Words that the language keeps for itself, `namespace` among them, are no fields.
    let reserved = error.msg.strip_prefix("reserved identifier: ");
    let no_field = |word| format!("no field is named {word:?}");
    FilterError {
        column: start + usize::try_from(column).unwrap_or(1).max(1),
        message: reserved.map_or_else(|| in_words(&error.msg, text), no_field),
        nearest: reserved.and_then(nearest_field),
    }
}

/// The parser names every token that it would have taken; people need fewer.
fn in_words(message: &str, text: &str) -> String {
    let short = message.strip_prefix("Syntax error: ").unwrap_or(message);
    let short = short.split(" expecting ").next().unwrap_or(short);
    if text.trim().is_empty() {
        return "there is no expression".to_owned();
    }
    if short.contains("'<EOF>'") {
        return "the filter ends too early".to_owned();
    }
    if short.contains("Recursion limit") {
        return format!("parentheses and conditions nest more than {MAX_DEPTH} deep");
    }
    if let Some(token) = quoted(short, "mismatched input ").or_else(|| quoted(short, "extraneous input ")) {
        return format!("{token} cannot stand here");
    }
    if let Some(token) = quoted(short, "token recognition error at: ") {
        let hint = if token.starts_with("'=") {
            ": equality is =="
        } else {
            ""
        };
        return format!("{token} means nothing here{hint}");
    }
    short.to_owned()
}

fn quoted<'a>(message: &'a str, after: &str) -> Option<&'a str> {
    message.strip_prefix(after)
}
