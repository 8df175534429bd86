//! What policies say about the rows of a matrix, beside its sums.

use weir_decisions::World;
use weir_decisions::matrix::{MatrixVerdict, MatrixVerdicts, RowEnds};
use weir_query::{MatrixEnds, MatrixRequest};

use super::answer::MatrixAnswer;
use super::evidence::Evidence;

/// Gives each row what the policies of a world say about the edges that it is of, as columns
/// more. What one should know about the edges is noted.
pub fn add(answer: &mut MatrixAnswer, request: &MatrixRequest, evidence: Evidence, world: &World) {
    let by = match (request.by, evidence.by) {
        // These were too many.
        (MatrixEnds::Pod, MatrixEnds::Workload) => MatrixEnds::Workload,
        (by, _) => by,
    };
    let shown = |row: &RowEnds| shown(row, by, request.ports);
    let verdicts = MatrixVerdicts::new(world, &evidence.traffic, shown);
    let names = MatrixVerdict::COLUMNS.map(str::to_owned);
    answer.columns.extend(names);
    for row in &mut answer.rows {
        let said = verdicts.of(&shown(&RowEnds::of(&row.0)));
        row.0.extend(said.fields());
    }
    for note in evidence.notes {
        if !answer.notes.contains(&note) {
            answer.notes.push(note);
        }
    }
}

/// The row of a matrix by this that a row by pod is in.
fn shown(row: &RowEnds, by: MatrixEnds, has_ports: bool) -> RowEnds {
    let end = |words: &[String; MatrixEnds::FIELDS.len()]| {
        let words = words.each_ref().map(String::as_str);
        by.shown(words).map(str::to_owned)
    };
    RowEnds {
        client: end(&row.client),
        server: end(&row.server),
        called: match has_ports {
            true => row.called.clone(),
            false => Default::default(),
        },
        is_directed: row.is_directed,
    }
}

#[cfg(test)]
mod tests {
    use weir_decisions::matrix::END_FIELDS;

    use super::*;

    #[test]
    fn ends_are_called_by_the_same_fields_where_they_are_asked_for_and_where_they_are_judged() {
        assert_eq!(END_FIELDS, MatrixEnds::FIELDS);
    }

    #[test]
    fn a_row_by_pod_is_in_the_row_of_its_namespaces() {
        let words = |words: [&str; 5]| words.map(str::to_owned);
        let pod = RowEnds {
            client: words(["shop", "Deployment", "web", "web-1", ""]),
            server: words(["", "private", "private", "", "office"]),
            called: ["tcp", "443"].map(str::to_owned),
            is_directed: true,
        };
        let expected = RowEnds {
            client: words(["shop", "", "", "", ""]),
            server: words(["", "private", "", "", "office"]),
            called: Default::default(),
            is_directed: true,
        };
        assert_eq!(shown(&pod, MatrixEnds::Ns, false), expected);
        assert_eq!(shown(&expected, MatrixEnds::Ns, false), expected);
        assert_eq!(shown(&pod, MatrixEnds::Workload, true).called, pod.called);
    }
}
