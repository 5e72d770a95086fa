//! Rooms: the pure flow.
