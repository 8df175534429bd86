//! What a question does about a segment that it cannot read: finds out which it was,
//! tells the store, so that no later question comes upon it, and is answered once more.

use std::fs::File;
use std::sync::Arc;

use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use parquet::errors::ParquetError;
use weir_store::{Reader, Segment, SegmentError, Unreadable};

use crate::QueryError;
use crate::budget::off_thread;
use crate::segment_reader::OpenedSegments;

/// Attempts an answer, each time of a new view, until no segment that it opened is broken.
/// What is broken is in no view any more; what another process merged away meanwhile, the
/// new view has elsewhere. The caller's budget ends it.
pub(crate) async fn answer_whole<T, Attempt>(
    reader: &Reader,
    attempt: impl Fn(Arc<OpenedSegments>) -> Attempt,
) -> Result<T, QueryError>
where
    Attempt: Future<Output = Result<T, QueryError>>,
{
    loop {
        let opened: Arc<OpenedSegments> = Arc::default();
        let failed = match attempt(Arc::clone(&opened)).await {
            Err(QueryError::Engine(failed)) => failed,
            attempted => return attempted,
        };
        let Some(broken) = first_unreadable(opened.latest_first()).await? else {
            return Err(QueryError::Engine(failed));
        };
        let reader = reader.clone();
        // It may list a directory anew.
        off_thread(move || Ok(reader.put_aside(&broken))).await?;
    }
}

/// The first of these segments that cannot be read to its end. For after a failure: it
/// was one of these. Those whose file is gone are found without reading others. Where the
/// system refuses to read at the moment, nothing is known of any of them.
pub(crate) async fn first_unreadable(suspects: Vec<Arc<Segment>>) -> Result<Option<Unreadable>, QueryError> {
    for segment in &suspects {
        if let Err(error) = File::open(&segment.path) {
            let error = SegmentError::Read(error);
            let gone = Unreadable::new(segment.path.clone(), &error);
            return Ok((!error.is_passing()).then_some(gone));
        }
    }
    for segment in suspects {
        if let Some(error) = failure(Arc::clone(&segment)).await? {
            return Ok(Some(Unreadable::new(segment.path.clone(), &error)));
        }
    }
    Ok(None)
}

/// Why a segment cannot be read to its end, if it cannot. A batch after the other, as
/// long as somebody waits for it.
async fn failure(segment: Arc<Segment>) -> Result<Option<SegmentError>, QueryError> {
    let wanted = Arc::new(());
    let waits = Arc::downgrade(&wanted);
    let read = move || -> Result<(), ParquetError> {
        let file = ParquetRecordBatchReaderBuilder::try_new(File::open(&segment.path)?)?;
        for batch in file.build()? {
            batch?;
            if waits.upgrade().is_none() {
                break;
            }
        }
        Ok(())
    };
    let is_broken = |error: &SegmentError| !error.is_passing();
    let failure = off_thread(move || Ok(read().err().map(SegmentError::Parquet).filter(is_broken))).await;
    drop(wanted);
    failure
}
