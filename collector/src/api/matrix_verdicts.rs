//! What policies say about the rows of a matrix, beside its sums.

use weir_decisions::World;
use weir_decisions::matrix::{MatrixVerdict, MatrixVerdicts, RowEnds};
use weir_query::{MatrixEnds, MatrixRequest, Note, NoteKind};

use super::answer::MatrixAnswer;
use super::evidence::Evidence;

const OF_WORKLOADS: &str = "what policies say is of the whole workloads of the pods, and how many flows of each pod \
     are denied or unknown is not known; ask for less with a filter or a shorter time, or by workload";

/// Gives each row what the policies of a world say about the edges that it is of, as columns
/// more. What one should know about the edges is noted.
pub fn add(answer: &mut MatrixAnswer, request: &MatrixRequest, evidence: Evidence, world: &World) {
    // Pods were too many: nothing is known of one that is not true of its whole workload.
    let is_coarse = (request.by, evidence.by) == (MatrixEnds::Pod, MatrixEnds::Workload);
    let by = if is_coarse { evidence.by } else { request.by };
    let shown = |row: &RowEnds| shown(row, by, request.ports);
    let verdicts = MatrixVerdicts::new(world, &evidence.traffic, shown);
    let is_told = |name: &str| !is_coarse || !MatrixVerdict::SUMS.contains(&name);
    let names = MatrixVerdict::COLUMNS.into_iter().filter(|name| is_told(name));
    answer.columns.extend(names.map(str::to_owned));
    for row in &mut answer.rows {
        let said = verdicts.of(&shown(&RowEnds::of(&row.0)));
        let fields = said.fields().into_iter();
        row.0.extend(fields.filter(|(name, _)| is_told(name)));
    }
    let coarse = is_coarse.then(|| Note::new(NoteKind::Truncated, OF_WORKLOADS.to_owned()));
    for note in evidence.notes.into_iter().chain(coarse) {
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
mod tests;
