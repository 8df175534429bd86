//! Who the sides of records were a moment ago, as policies see them: a table of fixed places.
//! What it says is true for records of the same time and for what was published then.

use std::net::IpAddr;
use std::sync::Arc;

use weir_flow::{IdentifiedBy, Identity};
use weir_identity::Span;

use super::ends::{Asked, End};
use super::versions::Version;

/// Ends by who they are and their address.
#[derive(Debug)]
pub struct EndCache {
    /// A power of two of them; none: nothing is kept.
    places: Vec<Option<Entry>>,
}

#[derive(Debug)]
struct Entry {
    stamp: u64,
    /// It is held so that its address stays its own.
    who: Arc<Identity>,
    address: IpAddr,
    /// Protocol and port, where it depends on them who it is; and whether that is certain.
    place: u32,
    steady: Span,
    end: End,
}

impl EndCache {
    /// With so many places, or the next power of two.
    pub fn with_room(room: usize) -> Self {
        let places = if room == 0 { 0 } else { room.next_power_of_two() };
        Self {
            places: std::iter::repeat_with(|| None).take(places).collect(),
        }
    }

    /// Who stands there.
    #[inline]
    pub fn get(&mut self, version: &Version, who: &Arc<Identity>, asked: Asked<'_>) -> End {
        let port = match asked.is_by_port() {
            true => u32::from(asked.protocol) << 16 | u32::from(asked.port),
            false => 0,
        };
        let place = port | u32::from(asked.found == IdentifiedBy::Ambiguous) << 31;
        // Records across a change ask two versions in turn.
        let place_of_version = (asked.address, u64::from(place) << 32 ^ version.stamp);
        let at = place_of(who, place_of_version, self.places.len());
        let Some(entry) = self.places.get_mut(at) else {
            return version.end(asked).0;
        };
        if let Some(entry) = entry
            && entry.stamp == version.stamp
            && Arc::ptr_eq(&entry.who, who)
            && entry.address == asked.address
            && entry.place == place
            && asked.flow.is_within(entry.steady)
        {
            return entry.end.clone();
        }
        let (end, steady) = version.end(asked);
        if let Some(steady) = steady {
            *entry = Some(Entry {
                stamp: version.stamp,
                who: Arc::clone(who),
                address: asked.address,
                place,
                steady,
                end: end.clone(),
            });
        }
        end
    }
}

fn place_of(who: &Arc<Identity>, (address, rest): (IpAddr, u64), places: usize) -> usize {
    let address = match address {
        IpAddr::V4(address) => u64::from(address.to_bits()),
        IpAddr::V6(address) => {
            let bits = address.to_bits();
            (bits >> 64) as u64 ^ bits as u64
        }
    };
    let who = Arc::as_ptr(who).addr() as u64;
    let mixed = (address ^ rest.rotate_left(7) ^ who.rotate_left(17)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    (mixed >> 32) as usize & places.wrapping_sub(1)
}
