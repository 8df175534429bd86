//! One copy of each name: of 50,000 pods many share a namespace, a node, an owner.

use std::collections::HashSet;
use std::sync::Arc;

/// The names that are in use.
#[derive(Debug, Default)]
pub struct Names {
    known: HashSet<Arc<str>>,
    /// How many there may be before those that nobody uses are looked for.
    enough: usize,
}

impl Names {
    /// Puts the shared copy of a name in its place.
    pub fn share(&mut self, name: &mut Arc<str>) {
        if let Some(known) = self.known.get(name) {
            *name = Arc::clone(known);
            return;
        }
        if self.known.len() >= self.enough {
            self.known.retain(|name| Arc::strong_count(name) > 1);
            self.enough = (2 * self.known.len()).max(1_024);
        }
        self.known.insert(Arc::clone(name));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_names_become_one_and_unused_ones_go() {
        let mut names = Names::default();
        let (mut one, mut other): (Arc<str>, Arc<str>) = ("shop".into(), "shop".into());
        names.share(&mut one);
        names.share(&mut other);
        assert!(Arc::ptr_eq(&one, &other));
        for n in 0..10_000 {
            names.share(&mut n.to_string().into());
        }
        assert!(names.known.len() <= 1_024);
        assert!(names.known.contains("shop"));
    }
}
