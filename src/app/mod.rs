//! Wiring: options to a running app.
