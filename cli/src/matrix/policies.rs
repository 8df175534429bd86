//! The matrix with what policies say about its rows: a collector that knows the policies says
//! it, else it is worked out here, of the objects of a cluster or of files.

use anyhow::Result;
use weir_collector::api::answer::MatrixAnswer;
use weir_collector::api::evidence::gather_parts;
use weir_collector::api::matrix_verdicts;
use weir_query::MatrixRequest;

use crate::policy::{ObjectArgs, Patient, REPLAY, read_world, unless_unknown};
use crate::source::{Source, SourceArgs};
use crate::terminal::patiently;

/// The matrix, its rows judged.
///
/// # Errors
/// Objects or traffic cannot be had, or the question is wrong.
pub async fn judged(
    objects: &ObjectArgs,
    args: &SourceArgs,
    source: &Source,
    request: &MatrixRequest,
) -> Result<MatrixAnswer> {
    if let Some(server) = objects.collector(args, false)? {
        let asked = source.judged_matrix(request, objects.profile_pair());
        if let Some(answer) = unless_unknown(&server, patiently(asked).await)? {
            return Ok(answer);
        }
    }
    // Who may not read the cluster learns so before a long question.
    let world = read_world(objects, args, &REPLAY).await?;
    let asked = Patient(source);
    let mut answer = patiently(source.matrix(request)).await?;
    let evidence = gather_parts(&asked, request).await?;
    matrix_verdicts::add(&mut answer, request, evidence, &world);
    Ok(answer)
}
