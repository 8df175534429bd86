//! Items by number, in pieces that never move: growing needs no room for a copy.

const PIECE: usize = 1 << 10;

/// Items under numbers that are given out again when an item is gone.
#[derive(Debug)]
pub(crate) struct Pool<T> {
    pieces: Vec<Vec<Option<T>>>,
    free: Vec<u32>,
    len: usize,
}

impl<T> Default for Pool<T> {
    fn default() -> Self {
        Self {
            pieces: Vec::new(),
            free: Vec::new(),
            len: 0,
        }
    }
}

impl<T> Pool<T> {
    pub fn len(&self) -> usize {
        self.len
    }

    /// Numbers that have been given out: so many items were there at a time.
    pub fn slots(&self) -> usize {
        self.len + self.free.len()
    }

    pub fn insert(&mut self, item: T) -> u32 {
        self.len += 1;
        if let Some(slot) = self.free.pop()
            && let Some(place) = self.place_mut(slot)
        {
            *place = Some(item);
            return slot;
        }
        if self.pieces.last().is_none_or(|piece| piece.len() == PIECE) {
            self.pieces.push(Vec::with_capacity(PIECE));
        }
        let before = (self.pieces.len() - 1) * PIECE;
        let piece = self.pieces.last_mut().expect("one was pushed if there was none");
        piece.push(Some(item));
        u32::try_from(before + piece.len() - 1).expect("bounds on items are below 2^32")
    }

    pub fn remove(&mut self, slot: u32) -> Option<T> {
        let item = self.place_mut(slot)?.take()?;
        self.len -= 1;
        self.free.push(slot);
        Some(item)
    }

    pub fn get(&self, slot: u32) -> Option<&T> {
        let slot = slot as usize;
        self.pieces.get(slot / PIECE)?.get(slot % PIECE)?.as_ref()
    }

    pub fn get_mut(&mut self, slot: u32) -> Option<&mut T> {
        self.place_mut(slot)?.as_mut()
    }

    fn place_mut(&mut self, slot: u32) -> Option<&mut Option<T>> {
        let slot = slot as usize;
        self.pieces.get_mut(slot / PIECE)?.get_mut(slot % PIECE)
    }
}
