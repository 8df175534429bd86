//! Properties first, then cases by name.

mod builder;
mod calls;
mod checkpoints;
mod epochs;
mod joins;
mod life;
mod properties;
mod rows;
mod scenario;
mod sides;
mod totals;
mod tracking;
