//! tail
use super::params::TailParams;
use super::problem::Problem;
use std::sync::Arc;
use tokio::sync::Semaphore;
use weir_query::Scope;
use weir_store::Reader;
pub const MEDIA_TYPE: &str = "application/x-ndjson";
pub fn follow(
    _reader: &Reader,
    _params: &TailParams,
    _scope: Scope,
    _turns: Arc<Semaphore>,
) -> Result<futures::stream::Empty<Result<String, std::io::Error>>, Problem> {
    Ok(futures::stream::empty())
}
