//! Looking on while a scenario runs: what a person could see and ask at any moment of a live one.

use busyhour_base::Timestamp;
use busyhour_controller_core::{State, effect::Dial};

/// Looks on.
pub trait Observe {
    /// An event has happened.
    fn after_event(&mut self, now: Timestamp, state: &State);

    /// An order to dial has left for its agent.
    fn on_dial(&mut self, now: Timestamp, dial: &Dial);
}

/// Who does not look.
pub(super) struct Nobody;

impl Observe for Nobody {
    fn after_event(&mut self, _: Timestamp, _: &State) {}

    fn on_dial(&mut self, _: Timestamp, _: &Dial) {}
}
