//! The filter language: CEL over the names of the field table.
//!
//! `parse` makes a tree of the text, `check` makes typed conditions of the tree,
//! [`crate::lower`] makes of these what the engine evaluates.

mod check;
mod completion;
mod entry;
mod error;
pub(crate) mod expr;
mod function;
pub(crate) mod literal;
mod parse;
mod text;
mod value;

pub(crate) use check::find_column;
pub use completion::{CompleteWith, Completion, complete};
pub use error::FilterError;
pub use error::nearest;
pub(crate) use error::nearest_field;
pub use parse::MAX_LENGTH;
pub use text::length_at;

use weir_api::fields::Column;
use weir_api::interface::PRIMARY;

use crate::limits::Scope;
use check::Checker;
use expr::{Term, Test};

/// A filter that has been checked.
#[derive(Debug, Clone)]
pub struct Filter {
    text: String,
    pub(crate) test: Test,
}

/// Checks a filter; the empty one lets everything through.
///
/// # Errors
/// The first thing that is wrong with it.
pub fn compile(filter: &str) -> Result<Filter, FilterError> {
    let test = if filter.is_empty() {
        Test::Const(true)
    } else {
        parse::parse(filter, |tree, source| Checker::new(source).test(tree))?
    };
    Ok(Filter {
        text: filter.to_owned(),
        test,
    })
}

impl Filter {
    /// As it was written.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// It lets everything through.
    pub fn is_everything(&self) -> bool {
        matches!(self.test, Test::Const(true))
    }

    /// The fields that it looks at and that nothing fills: they are empty in every record.
    pub fn unfilled(&self) -> Vec<&'static str> {
        let mut names = Vec::new();
        expr::columns(&self.test, &mut |column| {
            if !column.field().filled && !names.contains(&column.name()) {
                names.push(column.name());
            }
        });
        names
    }

    /// The same, of the flows in `scope` alone. An end that somebody could take for
    /// theirs by writing it down themselves (a Service's `externalIPs`, a pod's addresses
    /// in secondary networks, see `network`) shows nobody anything.
    #[must_use]
    pub fn within(self, scope: &Scope) -> Self {
        let Scope::Namespaces(namespaces) = scope else {
            return self;
        };
        let names: Vec<Term> = namespaces.iter().cloned().map(Term::Text).collect();
        let side = |name| Test::OneOf(Term::Column(Column::of(name)), names.clone());
        // An empty namespace is no namespace: nobody may see it by name.
        let named = |name| {
            let empty = Term::Text(String::new());
            Test::Compare(expr::Compare::Ne, Term::Column(Column::of(name)), empty)
        };
        let proven = ["", PRIMARY].map(|network| Term::Text(network.to_owned()));
        let is_proven = |network| Test::OneOf(Term::Column(Column::of(network)), proven.to_vec());
        let end = |ns, network| Test::All(vec![named(ns), side(ns), is_proven(network)]);
        let either = Test::Any(vec![end("ns", "network"), end("dst_ns", "dst_network")]);
        Self {
            test: Test::All(vec![either, self.test]),
            ..self
        }
    }

    /// The same, and flows that it lets through when they are looked at from their other end.
    fn both_directions(self) -> Self {
        let mirrored = self.mirrored();
        Self {
            test: Test::Any(vec![self.test, mirrored]),
            ..self
        }
    }

    /// What a request for records lets through: the filter, from either end of a flow if
    /// so; primary observations or all; of the flows in `scope` alone.
    ///
    /// # Errors
    /// The first thing that is wrong with the filter.
    pub(crate) fn of_records(
        filter: &str,
        both_directions: bool,
        all_observations: bool,
        scope: &Scope,
    ) -> Result<Self, FilterError> {
        let filter = compile(filter)?;
        let filter = match both_directions {
            true => filter.both_directions(),
            false => filter,
        };
        let filter = filter.within(scope);
        Ok(match all_observations {
            true => filter,
            false => filter.primary(),
        })
    }

    /// The same, of primary observations alone.
    pub(crate) fn primary(self) -> Self {
        let primary = Test::Flag(Column::of("primary"));
        Self {
            test: Test::All(vec![primary, self.test]),
            ..self
        }
    }

    /// What lets a flow through when it is looked at from its other end.
    pub(crate) fn mirrored(&self) -> Test {
        expr::mirrored(&self.test)
    }
}

#[cfg(test)]
mod tests;
