//! Errors of `kube` in words: the API server's own sentence, or the causes down to the
//! last, without debug text.

use kube::runtime::watcher;

use crate::error::chain;

/// An error of a request.
pub fn describe(error: &kube::Error) -> String {
    match error {
        kube::Error::Api(status) => format!("{} ({})", status.message, status.code),
        kube::Error::Service(source) => format!("cannot reach the API server: {}", chain(source.as_ref())),
        other => chain(other),
    }
}

/// An error of a watch.
pub fn describe_watch(error: &watcher::Error) -> String {
    match error {
        watcher::Error::InitialListFailed(error)
        | watcher::Error::WatchStartFailed(error)
        | watcher::Error::WatchFailed(error) => describe(error),
        watcher::Error::WatchError(status) => format!("{} ({})", status.message, status.code),
        other => chain(other),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use kube::core::Status;

    #[test]
    fn the_api_servers_own_words_are_kept() {
        let status = Status::failure("nodes is forbidden", "Forbidden").with_code(403);
        let error = watcher::Error::InitialListFailed(kube::Error::Api(Box::new(status)));
        assert_eq!(describe_watch(&error), "nodes is forbidden (403)");
    }

    #[test]
    fn the_last_cause_is_named_and_nothing_twice() {
        let cause = std::io::Error::other("connection refused");
        let error = kube::Error::Service(Box::new(kube::Error::ReadEvents(cause)));
        let text = describe(&error);
        assert_eq!(text.matches("connection refused").count(), 1, "{text}");
    }
}
