//! The CEL tree to checked conditions: names, types and words are those of the
//! field table, or there is an error that says what would be right.

use std::cell::Cell;

use cel::common::ast::{CallExpr, Expr, IdedExpr, LiteralValue, SourceInfo, operators};
use weir_api::fields::{Column, FieldKind, Side};

use super::error::{FilterError, nearest_field};
use super::expr::{Arithmetic, Compare, Term, Test, Type};
use super::literal::{self, Wrong};
use super::parse::size;
use super::value;

/// What a part of the tree turned out to be.
pub(super) enum Checked {
    Test(Test),
    /// A value; the column that it is, if it is one, says which words it takes.
    Term(Term, Type),
    /// A column of kind EnumList.
    Words(Column),
    /// A column of kind Bool may be read as a value or as a condition.
    Flag(Column),
}

/// Checks a tree, each node once.
pub(super) struct Checker<'a> {
    source: &'a SourceInfo,
    /// What the check has cost so far: a node costs one.
    work: Cell<usize>,
}

/// What a filter may cost at most; that much text has fewer nodes than this.
const MAX_WORK: usize = 64 << 10;

pub(super) type Outcome<T> = Result<T, FilterError>;

impl<'a> Checker<'a> {
    pub(super) fn new(source: &'a SourceInfo) -> Self {
        Self {
            source,
            work: Cell::new(0),
        }
    }

    /// What the check has cost.
    #[cfg(test)]
    pub(super) fn work(&self) -> usize {
        self.work.get()
    }
}

impl Checker<'_> {
    /// Counts what is about to be done; an error when it is too much.
    pub(super) fn charge(&self, node: &IdedExpr, work: usize) -> Outcome<()> {
        self.work.set(self.work.get().saturating_add(work));
        if self.work.get() > MAX_WORK {
            return Err(self.wrong(
                node,
                "the filter is too large from here on: split it, or shorten its lists",
            ));
        }
        Ok(())
    }

    /// The expression as a condition.
    pub(super) fn test(&self, node: &IdedExpr) -> Outcome<Test> {
        let checked = self.check(node)?;
        self.as_test(node, checked)
    }

    /// What the expression turned out to be, as a condition.
    pub(super) fn as_test(&self, node: &IdedExpr, checked: Checked) -> Outcome<Test> {
        match checked {
            Checked::Test(test) => Ok(test),
            Checked::Flag(column) => Ok(Test::Flag(column)),
            Checked::Words(column) => {
                let message = format!("{0} is no condition: write \"SYN\" in {0}", column.name());
                Err(self.wrong(node, message))
            }
            Checked::Term(term, kind) => {
                let message = format!("{} is {}, no condition: compare it", named(&term), kind.name());
                Err(self.wrong(node, message))
            }
        }
    }

    /// The expression as a value.
    pub(super) fn term(&self, node: &IdedExpr) -> Outcome<(Term, Type)> {
        let checked = self.check(node)?;
        self.as_term(node, checked)
    }

    /// What the expression turned out to be, as a value.
    pub(super) fn as_term(&self, node: &IdedExpr, checked: Checked) -> Outcome<(Term, Type)> {
        match checked {
            Checked::Term(term, kind) => Ok((term, kind)),
            Checked::Words(column) => {
                let message = format!("{0} holds several words: write \"SYN\" in {0}", column.name());
                Err(self.wrong(node, message))
            }
            Checked::Test(_) | Checked::Flag(_) => Err(self.wrong(node, "this is a condition, no value")),
        }
    }

    pub(super) fn check(&self, node: &IdedExpr) -> Outcome<Checked> {
        self.charge(node, 1)?;
        match &node.expr {
            Expr::Ident(name) => self.column(node, name),
            Expr::Literal(value) => self.literal(node, value),
            Expr::Call(call) => self.call(node, call),
            Expr::Select(select) => self.selected(node, select),
            Expr::List(_) => Err(self.wrong(node, "a list can only stand after `in`")),
            Expr::Comprehension(_) => Err(self.wrong(node, "all, exists, map and filter are not supported")),
            Expr::Map(_) | Expr::Struct(_) => Err(self.wrong(node, "maps and messages are not supported")),
            Expr::Unspecified => Err(self.wrong(node, "there is no expression")),
        }
    }

    fn column(&self, node: &IdedExpr, name: &str) -> Outcome<Checked> {
        let column = find_column(name).ok_or_else(|| FilterError {
            nearest: nearest_field(name),
            ..self.wrong(node, format!("no field is named {name:?}"))
        })?;
        match (column.kind(), Type::of(column.kind())) {
            (_, Some(kind)) => Ok(Checked::Term(Term::Column(column), kind)),
            (FieldKind::Bool, _) => Ok(Checked::Flag(column)),
            (FieldKind::EnumList, _) => Ok(Checked::Words(column)),
            _ => {
                let message = format!("{name} holds several texts: ask for one of them, {name}[\"app\"]");
                Err(self.wrong(node, message))
            }
        }
    }

    fn literal(&self, node: &IdedExpr, value: &LiteralValue) -> Outcome<Checked> {
        let number = |number| Ok(Checked::Term(Term::Number(number), Type::Number));
        match value {
            LiteralValue::Boolean(yes) => Ok(Checked::Test(Test::Const(*yes.inner()))),
            LiteralValue::Int(int) => number(*int.inner()),
            LiteralValue::UInt(uint) => match i64::try_from(*uint.inner()) {
                Ok(int) => number(int),
                Err(_) => Err(self.wrong(node, "this number needs more than 63 bits")),
            },
            LiteralValue::Double(double) => Ok(Checked::Term(Term::Double(*double.inner()), Type::Double)),
            LiteralValue::String(text) => Ok(Checked::Term(Term::Text(text.inner().to_owned()), Type::Text)),
            LiteralValue::Bytes(_) | LiteralValue::Null => {
                Err(self.wrong(node, "no field is ever null or bytes: what is unknown is \"\""))
            }
        }
    }

    fn call(&self, node: &IdedExpr, call: &CallExpr) -> Outcome<Checked> {
        let test = |test: Outcome<Test>| test.map(Checked::Test);
        match (call.func_name.as_str(), call.args.as_slice()) {
            (operators::LOGICAL_AND, args) => test(self.tests(args).map(Test::All)),
            (operators::LOGICAL_OR, args) => test(self.tests(args).map(Test::Any)),
            (operators::LOGICAL_NOT, [arg]) => test(self.test(arg).map(|test| Test::Not(Box::new(test)))),
            (operators::IN, [item, list]) => test(self.contained(item, list)),
            (operators::CONDITIONAL, [test, yes, no]) => self.conditional(node, test, yes, no),
            (operators::INDEX, [map, key]) => {
                let (column, key) = self.entry(map, key)?;
                Ok(Checked::Term(Term::Entry(column, key), Type::Text))
            }
            (operators::NEGATE, [arg]) => self.arithmetic(node, Arithmetic::Subtract, None, arg),
            (name, [a, b]) if comparison(name).is_some() => {
                let Some(op) = comparison(name) else {
                    unreachable!("the guard saw it")
                };
                test(self.compare(node, op, a, b))
            }
            (name, [a, b]) => match value::arithmetic(name) {
                Some(op) => self.arithmetic(node, op, Some(a), b),
                None => self.function(node, call),
            },
            _ => self.function(node, call),
        }
    }

    fn tests(&self, nodes: &[IdedExpr]) -> Outcome<Vec<Test>> {
        nodes.iter().map(|node| self.test(node)).collect()
    }

    fn conditional(
        &self,
        node: &IdedExpr,
        test: &IdedExpr,
        yes: &IdedExpr,
        no: &IdedExpr,
    ) -> Outcome<Checked> {
        let test = Box::new(self.test(test)?);
        match (self.check(yes)?, self.check(no)?) {
            (Checked::Term(a, kind), Checked::Term(b, other)) => {
                let (a, b, kind) = self.alike(node, (a, kind), (b, other))?;
                Ok(Checked::Term(Term::If(test, Box::new(a), Box::new(b)), kind))
            }
            (then, otherwise) => {
                let (yes, no) = (self.as_test(yes, then)?, self.as_test(no, otherwise)?);
                Ok(Checked::Test(Test::If(test, Box::new(yes), Box::new(no))))
            }
        }
    }

    fn compare(&self, node: &IdedExpr, op: Compare, a: &IdedExpr, b: &IdedExpr) -> Outcome<Test> {
        let left = self.check(a)?;
        let right = self.check(b).map_err(|error| self.unquoted(error, b, &left))?;
        if matches!(left, Checked::Test(_) | Checked::Flag(_))
            || matches!(right, Checked::Test(_) | Checked::Flag(_))
        {
            return self.compare_tests(node, op, (a, left), (b, right));
        }
        let (left, right) = (self.as_term(a, left)?, self.as_term(b, right)?);
        if let Some(test) = absence(op, &left, &right).or_else(|| value::mixed(op, &left, &right)) {
            return Ok(test);
        }
        let (left, right, kind) = self.alike(node, left, right)?;
        self.words_of(a, &left, &right)?;
        self.words_of(b, &right, &left)?;
        let ordered = !matches!(op, Compare::Eq | Compare::Ne);
        if ordered && matches!(kind, Type::Address | Type::Mac) {
            let message = format!("{} has no order: compare with ==, != or inCIDR", kind.name());
            return Err(self.wrong(node, message));
        }
        Ok(Test::Compare(op, left, right))
    }

    fn compare_tests(
        &self,
        node: &IdedExpr,
        op: Compare,
        (a, left): (&IdedExpr, Checked),
        (b, right): (&IdedExpr, Checked),
    ) -> Outcome<Test> {
        if let (Checked::Flag(column), Checked::Term(..)) | (Checked::Term(..), Checked::Flag(column)) =
            (&left, &right)
        {
            let message = format!("{} is true or false, without quotes", column.name());
            return Err(self.wrong(node, message));
        }
        let same = Test::Same(
            Box::new(self.as_test(a, left)?),
            Box::new(self.as_test(b, right)?),
        );
        match op {
            Compare::Eq => Ok(same),
            Compare::Ne => Ok(Test::Not(Box::new(same))),
            _ => Err(self.wrong(node, "conditions compare with == and != alone")),
        }
    }

    /// Two values as values of one type; text is read as what it stands beside.
    pub(super) fn alike(
        &self,
        node: &IdedExpr,
        (a, kind): (Term, Type),
        (b, other): (Term, Type),
    ) -> Outcome<(Term, Term, Type)> {
        let read = |text: &str, wanted, who: &Term| {
            literal::coerce(text, wanted, &named(who)).map_err(|wrong| self.word_wrong(node, wrong))
        };
        match (&a, &b) {
            _ if kind == other => Ok((a, b, kind)),
            (_, Term::Double(double)) if kind == Type::Number => Ok((a, self.whole(node, *double)?, kind)),
            (Term::Double(double), _) if other == Type::Number => Ok((self.whole(node, *double)?, b, other)),
            (_, Term::Number(number)) if kind == Type::Double => Ok((a, Term::Double(*number as f64), kind)),
            (Term::Number(number), _) if other == Type::Double => {
                Ok((Term::Double(*number as f64), b, other))
            }
            (_, Term::Text(text)) => Ok((a.clone(), read(text, kind, &a)?, kind)),
            (Term::Text(text), _) => Ok((read(text, other, &b)?, b.clone(), other)),
            _ => {
                let (a, b) = (named(&a), named(&b));
                let message = format!("{a} is {}, {b} is {}", kind.name(), other.name());
                Err(self.wrong(node, message))
            }
        }
    }

    /// A column that takes certain words is compared with one of them.
    pub(super) fn words_of(&self, node: &IdedExpr, column: &Term, word: &Term) -> Outcome<()> {
        match (column, word) {
            (Term::Column(column), Term::Text(word)) if column.kind() == FieldKind::Enum => {
                literal::check_word(*column, word).map_err(|wrong| self.word_wrong(node, wrong))
            }
            _ => Ok(()),
        }
    }

    fn contained(&self, item: &IdedExpr, list: &IdedExpr) -> Outcome<Test> {
        let Expr::List(elements) = &list.expr else {
            return self.has_word(item, list);
        };
        let (value, kind) = self.term(item)?;
        let mut found = Vec::with_capacity(elements.elements.len());
        for node in &elements.elements {
            let checked = self.check(node);
            let checked = checked.map_err(|error| self.unquoted_beside(error, node, kind))?;
            let element = self.as_term(node, checked)?;
            let (_, element, _) = self.alike(node, (value.clone(), kind), element)?;
            self.words_of(node, &value, &element)?;
            found.push(element);
        }
        if found.iter().all(Term::is_literal) {
            return Ok(Test::OneOf(value, found));
        }
        // The value stands beside each element.
        self.charge(item, found.len().saturating_mul(size(item)))?;
        let each = |element| Test::Compare(Compare::Eq, value.clone(), element);
        Ok(Test::Any(found.into_iter().map(each).collect()))
    }

    /// What is wrong with a word beside text may be that it lacks its quotes.
    fn unquoted(&self, error: FilterError, node: &IdedExpr, beside: &Checked) -> FilterError {
        match beside {
            Checked::Term(_, kind) => self.unquoted_beside(error, node, *kind),
            _ => error,
        }
    }

    pub(super) fn unquoted_beside(&self, error: FilterError, node: &IdedExpr, kind: Type) -> FilterError {
        let is_text = matches!(kind, Type::Text | Type::Address | Type::Mac);
        if !is_text || !error.message.starts_with("no field is named") {
            return error;
        }
        let quoted = match &node.expr {
            Expr::Ident(word) => format!(", {word:?}"),
            _ => String::new(),
        };
        FilterError {
            message: format!("{}: text stands in quotes{quoted}", error.message),
            ..error
        }
    }

    pub(super) fn wrong(&self, node: &IdedExpr, message: impl Into<String>) -> FilterError {
        let (start, _) = self.source.offset_for(node.id).unwrap_or_default();
        FilterError {
            column: start as usize + 1,
            message: message.into(),
            nearest: None,
        }
    }

    pub(super) fn word_wrong(&self, node: &IdedExpr, (message, nearest): Wrong) -> FilterError {
        FilterError {
            nearest,
            ..self.wrong(node, message)
        }
    }
}

/// The column of this name; `src_` may stand before a name of the source side.
pub(crate) fn find_column(name: &str) -> Option<Column> {
    Column::find(name).or_else(|| {
        let plain = Column::find(name.strip_prefix("src_")?)?;
        (plain.side() == Side::Src).then_some(plain)
    })
}

/// An address that is compared with `""` is asked whether it is known.
fn absence(op: Compare, (a, kind): &(Term, Type), (b, _): &(Term, Type)) -> Option<Test> {
    let (Term::Column(column), Term::Text(text), Type::Address | Type::Mac) = (a, b, kind) else {
        return None;
    };
    let known = Test::Known(*column);
    match op {
        Compare::Eq if text.is_empty() => Some(Test::Not(Box::new(known))),
        Compare::Ne if text.is_empty() => Some(known),
        _ => None,
    }
}

/// What to call a value in an error.
pub(super) fn named(term: &Term) -> String {
    match term {
        Term::Column(column) => column.name().to_owned(),
        Term::Text(text) => format!("{text:?}"),
        Term::Number(number) => number.to_string(),
        _ => "this".to_owned(),
    }
}

fn comparison(name: &str) -> Option<Compare> {
    Some(match name {
        operators::EQUALS => Compare::Eq,
        operators::NOT_EQUALS => Compare::Ne,
        operators::LESS => Compare::Lt,
        operators::LESS_EQUALS => Compare::Le,
        operators::GREATER => Compare::Gt,
        operators::GREATER_EQUALS => Compare::Ge,
        _ => return None,
    })
}
