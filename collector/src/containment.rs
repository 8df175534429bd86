//! One datagram never ends a thread. A panic that it brings to light is a fault of
//! ours: it costs what that datagram brought, is counted, and the first few are kept
//! with their bytes for a report. Owns the catching and the telling; what is undone
//! after it is the caller's business, who knows what was half done.

use std::any::Any;
use std::cell::{Cell, RefCell};
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
    /// A panic on this thread would be contained now.
    static CONTAINED: Cell<bool> = const { Cell::new(false) };
    /// Where the last one happened.
    static PLACE: RefCell<String> = const { RefCell::new(String::new()) };
}

/// Reports of this process.
static REPORTS: AtomicUsize = AtomicUsize::new(0);

/// Does the work that a datagram asks for. `None`: it panicked.
#[inline]
pub fn contained<T>(session: Session, datagram: &[u8], work: impl FnOnce() -> T) -> Option<T> {
    CONTAINED.set(true);
    let outcome = panic::catch_unwind(AssertUnwindSafe(work));
    CONTAINED.set(false);
    match outcome {
        Ok(value) => Some(value),
        Err(panic) => {
            report(session, datagram, &PLACE.take(), &*panic);
            None
        }
    }
}

#[cold]
fn report(session: Session, datagram: &[u8], place: &str, panic: &(dyn Any + Send)) {
    if REPORTS.fetch_add(1, Ordering::Relaxed) >= MAX_REPORTS {
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

/// Panics that are contained are told by [`contained`], not printed as well: a
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
    let is_contained = CONTAINED.get();
    if is_contained {
        PLACE.set(info.location().map(ToString::to_string).unwrap_or_default());
    }
    is_contained
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
        let session = Session::datagram(([192, 0, 2, 1], 4739).into());
        for _ in 0..2 * MAX_REPORTS {
            let outcome = contained(session, &[1, 2], || -> u8 { panic!("a fault") });
            assert_eq!(outcome, None);
        }
        assert_eq!(contained(session, &[3], || 3), Some(3));
        assert!(!CONTAINED.get());
    }

    #[test]
    fn a_report_shows_the_bytes_and_the_cause() {
        assert_eq!(hex(&[0, 0x0a, 0xff]), "000aff");
        assert_eq!(message(&"why"), "why");
        assert_eq!(message(&"why".to_owned()), "why");
        assert_eq!(message(&7), "no message");
    }
}
