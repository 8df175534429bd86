//! One datagram never ends a thread. A panic that it brings to light is a fault of
//! ours: it costs what that datagram brought, is counted, and the first few are kept
//! with their bytes for a report. Owns the catching and the telling; what is undone
//! after it is the caller's business, who knows what was half done.

use std::any::Any;
use std::cell::RefCell;
use std::fmt::Write as _;
use std::panic::{self, AssertUnwindSafe, PanicHookInfo};
use std::sync::Once;
use std::sync::atomic::{AtomicUsize, Ordering};

use wire::Session;

/// Panics that are reported with their datagram; later ones are counted alone, since
/// who found one can send it again and again.
const MAX_REPORTS: usize = 8;

/// Bytes of a datagram that a report shows. All that was seen so far fits.
const MAX_BYTES_SHOWN: usize = 2_048;

thread_local! {
    /// Where the panic happened that is being contained on this thread, while one is.
    static CONTAINED: RefCell<Option<String>> = const { RefCell::new(None) };
}

/// Contains panics, and reports the first of them.
#[derive(Debug, Default)]
pub struct Containment {
    reports: AtomicUsize,
}

impl Containment {
    /// Does the work that a datagram asks for. `None`: it panicked.
    pub fn run<T>(&self, session: Session, datagram: &[u8], work: impl FnOnce() -> T) -> Option<T> {
        CONTAINED.set(Some(String::new()));
        let outcome = panic::catch_unwind(AssertUnwindSafe(work));
        let place = CONTAINED.take().unwrap_or_default();
        match outcome {
            Ok(value) => Some(value),
            Err(panic) => {
                self.report(session, datagram, &place, &*panic);
                None
            }
        }
    }

    fn report(&self, session: Session, datagram: &[u8], place: &str, panic: &(dyn Any + Send)) {
        if self.reports.fetch_add(1, Ordering::Relaxed) >= MAX_REPORTS {
            return;
        }
        let shown = &datagram[..datagram.len().min(MAX_BYTES_SHOWN)];
        tracing::error!(
            peer = %session.peer,
            place,
            cause = message(panic),
            length = datagram.len(),
            bytes = hex(shown),
            "a datagram met a fault of the collector's and was dropped; please report it with this line"
        );
    }
}

/// Panics that are contained are told by [`Containment::run`], not printed as well: a
/// flood of them would fill the log. To be called once a process at least.
pub fn quieten_contained_panics() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let others = panic::take_hook();
        panic::set_hook(Box::new(move |info| {
            if !note_place(info) {
                others(info);
            }
        }));
    });
}

/// Keeps where a contained panic happened; `false`: it is none.
fn note_place(info: &PanicHookInfo<'_>) -> bool {
    CONTAINED.with_borrow_mut(|contained| {
        let Some(place) = contained else { return false };
        *place = info.location().map(ToString::to_string).unwrap_or_default();
        true
    })
}

fn message(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<&str>().copied();
    text.or_else(|| panic.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("no message")
}

fn hex(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(2 * bytes.len());
    for byte in bytes {
        // A String takes what is written.
        let _ = write!(text, "{byte:02x}");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_is_contained_and_what_comes_after_it_is_done() {
        quieten_contained_panics();
        let containment = Containment::default();
        let session = Session::datagram(([192, 0, 2, 1], 4739).into());
        for _ in 0..2 * MAX_REPORTS {
            let outcome = containment.run(session, &[1, 2], || -> u8 { panic!("a fault") });
            assert_eq!(outcome, None);
        }
        assert_eq!(containment.run(session, &[3], || 3), Some(3));
        assert!(CONTAINED.with_borrow(Option::is_none));
    }

    #[test]
    fn a_report_shows_the_bytes_and_the_cause() {
        assert_eq!(hex(&[0, 0x0a, 0xff]), "000aff");
        assert_eq!(message(&"why"), "why");
        assert_eq!(message(&"why".to_owned()), "why");
        assert_eq!(message(&7), "no message");
    }
}
