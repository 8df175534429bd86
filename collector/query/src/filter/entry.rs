//! What stands in a field that holds several things: words, or the keys of a map.

use cel::common::ast::{Expr, IdedExpr, SelectExpr};
use weir_api::fields::{Column, FieldKind};

use super::check::{Checked, Checker, Outcome, find_column};
use super::error::{FilterError, nearest_field};
use super::expr::{Term, Test, Type};
use super::literal;

impl Checker<'_> {
    pub(super) fn has_word(&self, item: &IdedExpr, list: &IdedExpr) -> Outcome<Test> {
        if let Some(column) = map_column(list) {
            return Ok(Test::HasKey(column, self.key(item)?));
        }
        let Checked::Words(column) = self.check(list)? else {
            return Err(self.wrong(list, "`in` needs a list: ns in [\"a\", \"b\"]"));
        };
        match self.term(item)? {
            (Term::Text(word), _) => {
                literal::check_word(column, &word).map_err(|wrong| self.word_wrong(item, wrong))?;
                Ok(Test::HasWord(column, word))
            }
            _ => Err(self.wrong(
                item,
                format!("{} is searched for a word in quotes", column.name()),
            )),
        }
    }

    /// A map and the key that is asked for.
    pub(super) fn entry(&self, map: &IdedExpr, key: &IdedExpr) -> Outcome<(Column, String)> {
        let column =
            map_column(map).ok_or_else(|| self.wrong(map, "only a map such as pod_labels has keys"))?;
        Ok((column, self.key(key)?))
    }

    fn key(&self, node: &IdedExpr) -> Outcome<String> {
        match self.term(node)? {
            (Term::Text(key), _) => Ok(key),
            _ => Err(self.wrong(node, "a key stands in quotes")),
        }
    }

    /// `map.key`, and `has(map.key)`; no other value has parts.
    pub(super) fn selected(&self, node: &IdedExpr, select: &SelectExpr) -> Outcome<Checked> {
        let SelectExpr { operand, field, test } = select;
        match (map_column(operand), test) {
            (Some(column), true) => return Ok(Checked::Test(Test::HasKey(column, field.clone()))),
            (Some(column), false) => {
                return Ok(Checked::Term(Term::Entry(column, field.clone()), Type::Text));
            }
            (None, true) => return Err(self.wrong(node, "has is of a map's key: write known(field)")),
            (None, false) => {}
        }
        let name = match &operand.expr {
            Expr::Ident(of) => format!("{of}_{field}"),
            _ => field.clone(),
        };
        let nearest = find_column(&name)
            .map(|column| column.name().to_owned())
            .or_else(|| nearest_field(&name));
        Err(FilterError {
            nearest,
            ..self.wrong(node, "fields are written without dots")
        })
    }
}

/// The column of kind Map that the expression names.
fn map_column(node: &IdedExpr) -> Option<Column> {
    let Expr::Ident(name) = &node.expr else {
        return None;
    };
    find_column(name).filter(|column| column.kind() == FieldKind::Map)
}
