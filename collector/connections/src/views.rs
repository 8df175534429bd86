//! What each node saw of a connection. Of several lines of one direction the most exact
//! one is what the node saw. Which one that is, and what the node saw in all, depends on
//! what came and not on its order.

use std::sync::Arc;

use crate::counts::{Counts, PerEnd};
use crate::key::same_text;
use crate::lines::{self, Line, LinePlace, Seen};
use crate::observation::{Micros, Observation};
use crate::tcp::{FIN, RST};

/// Nodes and lines that are kept of a connection.
pub(crate) const MOST_VIEWS: usize = 8;
pub(crate) const MOST_LINES: usize = 32;

/// One node.
#[derive(Debug, Clone)]
pub(crate) struct View {
    pub node: Arc<str>,
    /// What has been put out of it, for what each end sent.
    pub reported: PerEnd<Counts>,
}

/// Nodes and their lines: mostly few, which stand in place.
#[derive(Debug, Clone, Default)]
pub(crate) struct Views {
    views: [Option<View>; 2],
    lines: [Option<Line>; 4],
    more: Option<Box<More>>,
}

/// Those beyond, in the order in which they came.
#[derive(Debug, Clone, Default)]
struct More {
    views: Vec<View>,
    lines: Vec<Line>,
}

/// A line's part of an observation.
#[derive(Debug, Clone, Copy)]
pub(crate) struct LinePart {
    pub counts: Counts,
    pub sender_high: bool,
    pub flags: u8,
    /// The connection's.
    pub origin: Micros,
}

/// A connection has as many nodes or lines as are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct TooMany;

impl Views {
    pub fn views(&self) -> impl Iterator<Item = &View> {
        let more = self.more.iter().flat_map(|more| &more.views);
        self.views.iter().flatten().chain(more)
    }

    fn views_mut(&mut self) -> impl Iterator<Item = &mut View> {
        let more = self.more.iter_mut().flat_map(|more| &mut more.views);
        self.views.iter_mut().flatten().chain(more)
    }

    pub fn lines(&self) -> impl Iterator<Item = &Line> + Clone {
        let more = self.more.iter().flat_map(|more| &more.lines);
        self.lines.iter().flatten().chain(more)
    }

    /// Bytes that it has beyond its own place.
    pub fn heap(&self) -> usize {
        self.more.as_ref().map_or(0, |more| {
            size_of::<More>()
                + more.views.capacity() * size_of::<View>()
                + more.lines.capacity() * size_of::<Line>()
        })
    }

    /// The number of a node's view.
    pub fn of(&self, node: &Arc<str>) -> Option<usize> {
        self.views().position(|view| same_text(&view.node, node))
    }

    /// The number of a node's view, which is made if there is none.
    pub fn view(&mut self, node: &Arc<str>) -> Result<(u8, bool), TooMany> {
        let known = self.of(node);
        let at = known.unwrap_or_else(|| self.views().count());
        if at >= MOST_VIEWS {
            return Err(TooMany);
        }
        if known.is_none() {
            self.push_view(View {
                node: Arc::clone(node),
                reported: PerEnd::default(),
            });
        }
        Ok((u8::try_from(at).unwrap_or(u8::MAX), known.is_none()))
    }

    pub fn push_view(&mut self, view: View) {
        match self.views.iter_mut().find(|place| place.is_none()) {
            Some(place) => *place = Some(view),
            None => self.more.get_or_insert_default().views.push(view),
        }
    }

    /// Adds what an observation saw of one direction. Says whether the node is new, or
    /// `Err`: there are too many to keep it.
    pub fn add(&mut self, observation: &Observation, part: LinePart) -> Result<bool, TooMany> {
        let (view, new) = self.view(&observation.node)?;
        self.add_line(Line {
            counts: part.counts,
            start_ms: lines::since(part.origin, observation.start),
            end_ms: lines::since(part.origin, observation.end),
            domain: observation.domain,
            place: LinePlace::new(view, part.sender_high, observation.primary),
            flags: part.flags,
            merit: lines::merit(observation),
        })?;
        Ok(new)
    }

    /// Adds to the same line, or as another one.
    pub fn add_line(&mut self, new: Line) -> Result<(), TooMany> {
        let more = self.more.iter_mut().flat_map(|more| &mut more.lines);
        let mut lines = self.lines.iter_mut().flatten().chain(more);
        if let Some(line) = lines.find(|line| line.is_same(&new)) {
            line.add(&new);
            return Ok(());
        }
        if let Some(place) = self.lines.iter_mut().find(|place| place.is_none()) {
            *place = Some(new);
            return Ok(());
        }
        if self.lines().count() >= MOST_LINES {
            return Err(TooMany);
        }
        self.more.get_or_insert_default().lines.push(new);
        Ok(())
    }

    /// What primary observations saw each end send.
    pub fn primary(&self) -> PerEnd<Counts> {
        let mut sums: PerEnd<Counts> = PerEnd::default();
        for line in self.lines().filter(|line| line.place.primary()) {
            let sum = sums.at_mut(line.place.sender_high());
            *sum = sum.plus(line.counts);
        }
        sums
    }

    /// The first and the last packet that a node saw, ms since the origin.
    pub fn span(&self, view: usize) -> Option<(i32, i32)> {
        let of = self.lines().filter(|line| line.place.view() == view);
        of.map(|line| (line.start_ms, line.end_ms))
            .reduce(|one, other| (one.0.min(other.0), one.1.max(other.1)))
    }

    /// When, by what a node itself saw, an end had nothing more to send: its last packet
    /// if it finished, the last of both if either reset. `None`: neither did.
    pub fn own_end(&self, view: usize, sender_high: bool) -> Option<i32> {
        let of_node = || self.lines().filter(|line| line.place.view() == view);
        let of_sender = || of_node().filter(|line| line.place.sender_high() == sender_high);
        if of_node().any(|line| line.flags & RST != 0) {
            return of_node().map(|line| line.end_ms).max();
        }
        let finished = of_sender().any(|line| line.flags & FIN != 0);
        finished.then(|| of_sender().map(|line| line.end_ms).max())?
    }

    /// What a view saw of what one end sent: by the best method, and by lesser ones what
    /// was before any better one began. `None`: nothing.
    pub fn seen(&self, view: usize, sender_high: bool) -> Option<Seen> {
        let of = move |line: &&Line| line.place.view() == view && line.place.sender_high() == sender_high;
        let lines = self.lines().filter(of);
        let of_method =
            |method: u8| Seen::of_method(lines.clone().filter(move |line| line.method() == method));
        let mut method = lines.clone().map(Line::method).min()?;
        let mut seen = of_method(method)?;
        while let Some(next) = lines
            .clone()
            .map(Line::method)
            .filter(|next| *next > method)
            .min()
        {
            method = next;
            if let Some(lesser) = of_method(method) {
                seen.begin_with(&lesser);
            }
        }
        Some(seen)
    }

    /// What is put out of a view and an end: what it saw, and never less than was put out.
    pub fn total(&self, view: usize, sender_high: bool) -> Counts {
        let seen = self
            .seen(view, sender_high)
            .map_or(Counts::default(), |seen| seen.counts);
        seen.greatest(*self.reported(view).at(sender_high))
    }

    pub fn reported(&self, view: usize) -> PerEnd<Counts> {
        self.views()
            .nth(view)
            .map_or(PerEnd::default(), |view| view.reported)
    }

    fn total_of_both(&self, view: usize) -> PerEnd<Counts> {
        PerEnd {
            low: self.total(view, false),
            high: self.total(view, true),
        }
    }

    /// Something is there that has not been put out.
    pub fn has_news(&self) -> bool {
        let mut views = self.views().enumerate();
        views.any(|(at, view)| self.total_of_both(at) != view.reported)
    }

    /// All that there is has been put out.
    pub fn mark_reported(&mut self) {
        for at in 0..self.views().count() {
            let totals = self.total_of_both(at);
            if let Some(view) = self.views_mut().nth(at) {
                view.reported = totals;
            }
        }
    }
}

/// What of a connection's lines found no room in another.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Refused {
    pub lines: u64,
    /// What primary observations counted there.
    pub primary: PerEnd<Counts>,
}

impl Views {
    /// Adds those of a connection that turned out to be a part of this one: `flip` says
    /// that its ends are in the other order, `shift_ms` how much later its origin is.
    pub fn absorb(&mut self, other: &Self, flip: bool, shift_ms: i32) -> Refused {
        let mut refused = Refused::default();
        for (at, view) in other.views().enumerate() {
            let into = self.view(&view.node);
            for line in other.lines().filter(|line| line.place.view() == at) {
                let (sender_high, primary) = (line.place.sender_high() != flip, line.place.primary());
                let added = into.and_then(|(into, _)| {
                    self.add_line(Line {
                        place: LinePlace::new(into, sender_high, primary),
                        start_ms: line.start_ms.saturating_add(shift_ms),
                        end_ms: line.end_ms.saturating_add(shift_ms),
                        ..*line
                    })
                });
                if added.is_err() {
                    refused.lines += 1;
                    let sum = refused.primary.at_mut(sender_high);
                    *sum = sum.plus(if primary { line.counts } else { Counts::default() });
                }
            }
        }
        refused
    }
}
