//! Plan: what `topology/*.yaml` may say.
