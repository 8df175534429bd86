//! The functions of the filter language and what they take.

use std::net::IpAddr;
use std::time::Duration;

use cel::common::ast::{CallExpr, Expr, IdedExpr};
use jiff::Timestamp;
use regex::{Regex, RegexBuilder};
use weir_api::fields::FieldKind;

use super::check::{Checked, Checker, Outcome, find_column};
use super::error::{FilterError, nearest, nearest_field};
use super::expr::{Case, Compare, Term, Test, TextTest, Type};
use super::literal;
use crate::span;

/// Bytes that a compiled pattern may take.
const PATTERN_SIZE: usize = 256 << 10;
/// What a pattern costs, in nodes: a filter has room for 63 of them.
const PATTERN_WORK: usize = 1 << 10;

const NAMES: [&str; 15] = [
    "startsWith",
    "endsWith",
    "contains",
    "matches",
    "inCIDR",
    "ip",
    "known",
    "duration",
    "timestamp",
    "size",
    "string",
    "int",
    "double",
    "lowerAscii",
    "upperAscii",
];

impl Checker<'_> {
    pub(super) fn function(&self, node: &IdedExpr, call: &CallExpr) -> Outcome<Checked> {
        // `addr.inCIDR("…")` is `inCIDR(addr, "…")`, as in other dialects of CEL.
        let mut args: Vec<&IdedExpr> = call.target.iter().map(Box::as_ref).collect();
        args.extend(&call.args);
        let text = |op| self.text(node, op, &args).map(Checked::Test);
        match (call.func_name.as_str(), args.as_slice()) {
            ("startsWith", [_, _]) => text(TextTest::StartsWith),
            ("endsWith", [_, _]) => text(TextTest::EndsWith),
            ("contains", [_, _]) => text(TextTest::Contains),
            ("matches", [of, pattern]) => self.matches(of, pattern).map(Checked::Test),
            ("inCIDR", [address, networks]) => self.within(address, networks).map(Checked::Test),
            ("ip", [text]) => self.ip(text),
            ("known", [field]) => self.known(field).map(Checked::Test),
            ("duration", [text]) => self.duration(text),
            ("timestamp", [text]) => self.timestamp(text),
            ("size", [text]) => self.size(text),
            ("string", [value]) => self.to_text(value),
            ("int", [value]) => self.to_number(value),
            ("double", [value]) => self.to_double(value),
            ("lowerAscii", [text]) => self.cased(Case::Lower, text),
            ("upperAscii", [text]) => self.cased(Case::Upper, text),
            (name, args) if NAMES.contains(&name) => {
                let message = format!("{name} does not take {} values", args.len());
                Err(self.wrong(node, message))
            }
            (name, _) => Err(FilterError {
                nearest: nearest(name, NAMES.into_iter()),
                ..self.wrong(node, format!("no function is named {name:?}"))
            }),
        }
    }

    fn text(&self, node: &IdedExpr, op: TextTest, args: &[&IdedExpr]) -> Outcome<Test> {
        let [of, what] = args else {
            return Err(self.wrong(node, "two texts are needed"));
        };
        let of = self.text_term(of)?;
        let what = self.text_term(what);
        let what = what.map_err(|error| self.unquoted_beside(error, args[1], Type::Text))?;
        Ok(Test::Text(op, of, what))
    }

    pub(super) fn text_term(&self, node: &IdedExpr) -> Outcome<Term> {
        match self.term(node)? {
            (term, Type::Text) => Ok(term),
            (_, Type::Address) => Err(self.wrong(node, "this is an address, not text: use inCIDR")),
            (_, kind) => {
                let message = format!("this is {}, not text: write string(…)", kind.name());
                Err(self.wrong(node, message))
            }
        }
    }

    fn matches(&self, of: &IdedExpr, pattern: &IdedExpr) -> Outcome<Test> {
        let of = self.text_term(of)?;
        let Term::Text(text) = self.text_term(pattern)? else {
            return Err(self.wrong(pattern, "the pattern stands in quotes"));
        };
        self.charge(pattern, PATTERN_WORK)?;
        let compiled = compile(&text).map_err(|error| self.wrong(pattern, error))?;
        Ok(Test::Matches(of, compiled))
    }

    fn within(&self, address: &IdedExpr, networks: &IdedExpr) -> Outcome<Test> {
        let (value, kind) = self.term(address)?;
        if kind != Type::Address {
            return Err(self.wrong(address, format!("this is {}, no address", kind.name())));
        }
        let nodes = match &networks.expr {
            Expr::List(list) => list.elements.iter().collect(),
            _ => vec![networks],
        };
        let network = |node: &&IdedExpr| {
            let text = self.quoted(node)?;
            literal::network(&text).map_err(|wrong| self.word_wrong(node, wrong))
        };
        let networks = nodes.iter().map(network).collect::<Outcome<_>>()?;
        Ok(Test::Within(value, networks))
    }

    /// An address in quotes; what stands beside an address is read as one without this.
    fn ip(&self, node: &IdedExpr) -> Outcome<Checked> {
        let text = self.quoted(node)?;
        let address: IpAddr = text
            .parse()
            .map_err(|_| self.wrong(node, format!("{text:?} is no address")))?;
        Ok(Checked::Term(
            Term::Address(literal::octets(address)),
            Type::Address,
        ))
    }

    fn known(&self, node: &IdedExpr) -> Outcome<Test> {
        let Expr::Ident(name) = &node.expr else {
            return Err(self.wrong(node, "known takes the name of a field"));
        };
        let column = find_column(name).ok_or_else(|| FilterError {
            nearest: nearest_field(name),
            ..self.wrong(node, format!("no field is named {name:?}"))
        })?;
        match (column.kind(), Type::of(column.kind())) {
            (FieldKind::Map, _) | (_, Some(Type::Text)) => Ok(Test::Compare(
                Compare::Ne,
                Term::Column(column),
                Term::Text(String::new()),
            )),
            _ => Ok(Test::Known(column)),
        }
    }

    fn duration(&self, node: &IdedExpr) -> Outcome<Checked> {
        let text = self.quoted(node)?;
        let (sign, plain) = text
            .strip_prefix('-')
            .map_or((1, text.as_str()), |plain| (-1, plain));
        let micros = |span: Duration| i64::try_from(span.as_micros()).ok();
        let span = span::parse_duration(plain).and_then(micros);
        let span = span.ok_or_else(|| {
            self.wrong(
                node,
                format!("{text:?} is no length of time such as 250ms, 90s or 1h30m"),
            )
        })?;
        Ok(Checked::Term(Term::Span(sign * span), Type::Span))
    }

    fn timestamp(&self, node: &IdedExpr) -> Outcome<Checked> {
        let text = self.quoted(node)?;
        let time: Timestamp = text.parse().map_err(|_| {
            let message = format!("{text:?} is no time such as 2026-01-31T12:00:00Z");
            self.wrong(node, message)
        })?;
        Ok(Checked::Term(Term::Time(time.as_microsecond()), Type::Time))
    }

    fn size(&self, node: &IdedExpr) -> Outcome<Checked> {
        let text = self.quoted(node)?;
        let size = span::parse_size(&text).and_then(|size| i64::try_from(size).ok());
        let size = size.ok_or_else(|| {
            let message = format!("{text:?} is no count of bytes such as 1500B, 64kB or 10MiB");
            self.wrong(node, message)
        })?;
        Ok(Checked::Term(Term::Number(size), Type::Number))
    }

    fn quoted(&self, node: &IdedExpr) -> Outcome<String> {
        match self.term(node)? {
            (Term::Text(text), _) => Ok(text),
            _ => Err(self.wrong(node, "text in quotes is needed here")),
        }
    }
}

/// The pattern, its size bounded; it runs in time linear in the text (RE2's promise too).
fn compile(text: &str) -> Result<Regex, String> {
    let built = RegexBuilder::new(text)
        .size_limit(PATTERN_SIZE)
        .nest_limit(32)
        .build();
    built.map_err(|error| match error {
        regex::Error::CompiledTooBig(_) => "the pattern is too large".to_owned(),
        error => {
            let text = error.to_string();
            let last = text.lines().last().unwrap_or_default();
            format!("the pattern is wrong: {}", last.trim_start_matches("error: "))
        }
    })
}
