//! Instruments: logs and metrics.
