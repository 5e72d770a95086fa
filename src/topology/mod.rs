//! Plan: what `topology/*.yaml` may say.
#![allow(dead_code, reason = "being written")]

pub mod condition;
pub mod fault;
pub mod kinds;
pub mod message;
pub mod plan;
mod reading;
mod rules_file;
mod timing;
mod tree;
