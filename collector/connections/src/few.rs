//! A list that mostly has few items: those stand in place, the others apart.

/// Items in the order in which they came.
#[derive(Debug, Clone)]
pub(crate) struct Few<T, const N: usize> {
    inline: [Option<T>; N],
    #[allow(clippy::box_collection, reason = "a third of the room where there are none")]
    more: Option<Box<Vec<T>>>,
}

impl<T, const N: usize> Default for Few<T, N> {
    fn default() -> Self {
        Self {
            inline: std::array::from_fn(|_| None),
            more: None,
        }
    }
}

impl<T, const N: usize> Few<T, N> {
    pub fn iter(&self) -> impl Iterator<Item = &T> {
        self.inline
            .iter()
            .flatten()
            .chain(self.more.iter().flat_map(|more| more.iter()))
    }

    pub fn iter_mut(&mut self) -> impl Iterator<Item = &mut T> {
        let more = self.more.iter_mut().flat_map(|more| more.iter_mut());
        self.inline.iter_mut().flatten().chain(more)
    }

    pub fn push(&mut self, item: T) {
        match self.inline.iter_mut().find(|place| place.is_none()) {
            Some(place) => *place = Some(item),
            None => self.more.get_or_insert_default().push(item),
        }
    }

    pub fn len(&self) -> usize {
        self.iter().count()
    }

    pub fn get(&self, at: usize) -> Option<&T> {
        self.iter().nth(at)
    }
}
