//! People: who holds which role, where, in which unit.
