//! Bytes to words and back, by the schemas in `schemas/`.
