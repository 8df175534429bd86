//! Which watches are broken, and since when changes may have been missed. Pure; times are given,
//! in nanoseconds since 1970.

use weir_identity::time::nanoseconds;
use weir_process::kubernetes::LONGEST_SILENCE;

use super::kinds::{KIND_COUNT, KindNumber, Need};

/// How each watch is.
#[derive(Debug)]
pub struct Watches {
    kinds: [Watch; KIND_COUNT],
    /// Since when something may have been missed that was not told yet.
    lost: Option<u64>,
    /// A watch that says nothing breaks after so long at the latest.
    silence: u64,
}

/// One watch.
#[derive(Debug, Clone, Copy, Default)]
struct Watch {
    /// When the list began that is being read.
    begun: u64,
    /// The last moment of which everything is known; 0: nothing was listed yet.
    heard: u64,
    /// It broke, and neither goes on nor was listed since.
    is_broken: bool,
}

/// A time in which changes may have been missed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Lost {
    /// Its first moment.
    pub since: u64,
    /// It lasts.
    pub is_open: bool,
}

impl Default for Watches {
    fn default() -> Self {
        Self::new(nanoseconds(LONGEST_SILENCE))
    }
}

impl Watches {
    /// None has brought anything. A watch breaks after `silence` at the latest.
    pub fn new(silence: u64) -> Self {
        Self {
            kinds: [Watch::default(); KIND_COUNT],
            lost: None,
            silence,
        }
    }

    /// A list begins to be read.
    pub fn begin(&mut self, kind: KindNumber, now: u64) {
        self.kinds[kind.index()].begun = now;
    }

    /// The list has ended: all is known as it was when it began. Whether the watch was broken.
    pub fn list(&mut self, kind: KindNumber) -> bool {
        let watch = &mut self.kinds[kind.index()];
        watch.heard = watch.heard.max(watch.begun);
        std::mem::take(&mut watch.is_broken)
    }

    /// Of a kind that is not watched, or not there, or whose watch goes on where it broke, all is known
    /// now. Whether its watch was broken.
    pub fn settle(&mut self, kind: KindNumber, now: u64) -> bool {
        self.begin(kind, now);
        self.list(kind)
    }

    /// The watch has brought something.
    pub fn hear(&mut self, kind: KindNumber, now: u64) {
        let watch = &mut self.kinds[kind.index()];
        if watch.heard > 0 && !watch.is_broken {
            watch.heard = now;
        }
    }

    /// The watch is broken; it may have been since it was heard of last. Whether that is new; of
    /// a kind that was never listed it is not.
    pub fn fail(&mut self, kind: KindNumber, now: u64) -> bool {
        let silence = self.silence;
        let watch = &mut self.kinds[kind.index()];
        if watch.heard == 0 || watch.is_broken {
            return false;
        }
        watch.is_broken = true;
        watch.heard = watch.heard.max(now.saturating_sub(silence));
        let since = watch.heard;
        if kind.kind().need == Need::Verdicts {
            self.lost = Some(self.lost.map_or(since, |lost| lost.min(since)));
        }
        true
    }

    /// The kinds that verdicts need and whose watch is broken.
    pub fn broken(&self) -> impl Iterator<Item = KindNumber> {
        KindNumber::all()
            .filter(|kind| kind.kind().need == Need::Verdicts && self.kinds[kind.index()].is_broken)
    }

    /// The time in which something may have been missed, if there is any; one that is over is
    /// told once.
    pub fn take_lost(&mut self) -> Option<Lost> {
        let since = self.lost?;
        let is_open = self.broken().next().is_some();
        if !is_open {
            self.lost = None;
        }
        Some(Lost { since, is_open })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kind(name: &str) -> KindNumber {
        KindNumber::all().find(|kind| kind.kind().name == name).unwrap()
    }

    fn listed() -> Watches {
        let mut watches = Watches::new(100);
        for kind in KindNumber::all() {
            assert!(!watches.settle(kind, 1_000));
        }
        watches
    }

    #[test]
    fn a_watch_is_broken_since_it_was_heard_of_last_until_a_list_has_ended() {
        let (mut watches, pod) = (listed(), kind("Pod"));
        watches.hear(pod, 1_010);
        assert!(watches.fail(pod, 1_050) && !watches.fail(pod, 1_060), "told once");
        let open = Some(Lost {
            since: 1_010,
            is_open: true,
        });
        assert_eq!(watches.take_lost(), open);
        watches.begin(pod, 1_070);
        watches.hear(pod, 1_075);
        assert_eq!(watches.take_lost(), open, "the list has not ended");
        assert!(watches.list(pod) && !watches.list(pod));
        assert_eq!(
            watches.take_lost(),
            Some(Lost {
                since: 1_010,
                is_open: false
            })
        );
        assert_eq!(watches.take_lost(), None);
        // What changed while the list was read is not in it.
        watches.fail(pod, 1_080);
        assert_eq!(
            watches.take_lost(),
            Some(Lost {
                since: 1_070,
                is_open: true
            })
        );
    }

    #[test]
    fn of_several_the_first_counts_until_the_last_is_back_and_a_break_between_two_looks_too() {
        let (mut watches, pod, policy) = (listed(), kind("Pod"), kind("NetworkPolicy"));
        watches.hear(policy, 1_040);
        watches.fail(policy, 1_050);
        watches.hear(pod, 1_045);
        watches.fail(pod, 1_060);
        watches.settle(policy, 1_070);
        assert_eq!(watches.broken().collect::<Vec<_>>(), [pod]);
        assert_eq!(
            watches.take_lost(),
            Some(Lost {
                since: 1_040,
                is_open: true
            })
        );
        watches.settle(pod, 1_080);
        assert_eq!(
            watches.take_lost(),
            Some(Lost {
                since: 1_040,
                is_open: false
            })
        );
        watches.fail(policy, 1_090);
        watches.settle(policy, 1_091);
        assert_eq!(
            watches.take_lost(),
            Some(Lost {
                since: 1_070,
                is_open: false
            })
        );
    }

    #[test]
    fn a_quiet_watch_is_not_doubted_for_longer_than_it_can_have_been_dead() {
        let mut watches = listed();
        watches.fail(kind("Namespace"), 9_000);
        assert_eq!(
            watches.take_lost(),
            Some(Lost {
                since: 8_900,
                is_open: true
            })
        );
    }

    #[test]
    fn kinds_that_verdicts_do_not_need_or_that_were_never_there_leave_no_gap() {
        let mut watches = listed();
        assert!(watches.fail(kind("Deployment"), 1_050));
        assert_eq!((watches.take_lost(), watches.broken().count()), (None, 0));
        let mut watches = Watches::new(100);
        assert!(!watches.fail(kind("Pod"), 1_050));
        assert_eq!(watches.take_lost(), None);
    }
}
