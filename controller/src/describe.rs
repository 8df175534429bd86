//! Errors of `kube` in words for the log: the API server's own sentence, or
//! the causes down to the last, without debug text.

use std::error::Error;

use kube::runtime::watcher;

/// An error of a request.
pub fn request(error: &kube::Error) -> String {
    match error {
        kube::Error::Api(status) => format!("{} ({})", status.message, status.code),
        kube::Error::Service(source) => format!("cannot reach the API server: {}", chain(source.as_ref())),
        other => chain(other),
    }
}

/// An error of a watch.
pub fn watch(error: &watcher::Error) -> String {
    match error {
        watcher::Error::InitialListFailed(error)
        | watcher::Error::WatchStartFailed(error)
        | watcher::Error::WatchFailed(error) => request(error),
        watcher::Error::WatchError(status) => format!("{} ({})", status.message, status.code),
        other => chain(other),
    }
}

fn chain(error: &(dyn Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        let words = cause.to_string();
        // Many errors repeat their cause.
        if !text.contains(&words) {
            text = format!("{text}: {words}");
        }
        next = cause.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use kube::core::Status;

    #[test]
    fn the_api_servers_own_words_are_kept() {
        let status = Status::failure("nodes is forbidden", "Forbidden").with_code(403);
        let error = watcher::Error::InitialListFailed(kube::Error::Api(Box::new(status)));
        assert_eq!(watch(&error), "nodes is forbidden (403)");
    }

    #[test]
    fn the_last_cause_is_named_and_nothing_twice() {
        let cause = std::io::Error::other("connection refused");
        let error = kube::Error::Service(Box::new(kube::Error::ReadEvents(cause)));
        let text = request(&error);
        assert_eq!(text.matches("connection refused").count(), 1, "{text}");
    }
}
