//! How many files a process may have open: shells and service managers start it with few,
//! and let it have more.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Raises the bound to what the system lets this process have, and tells it; none: it has no
/// bound. Each segment that is read and each connection is an open file.
///
/// # Errors
/// The system refuses.
pub fn raise_limit() -> std::io::Result<Option<u64>> {
    let now = getrlimit(Resource::Nofile);
    if now.current != now.maximum {
        let raised = Rlimit {
            current: now.maximum,
            ..now
        };
        setrlimit(Resource::Nofile, raised)?;
    }
    Ok(now.maximum)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn as_many_files_may_be_open_as_the_system_lets() {
        let before = getrlimit(Resource::Nofile);
        let few = Rlimit {
            current: Some(256),
            ..before
        };
        setrlimit(Resource::Nofile, few).unwrap();
        assert_eq!(raise_limit().unwrap(), before.maximum);
        assert_eq!(getrlimit(Resource::Nofile).current, before.maximum);
    }
}
