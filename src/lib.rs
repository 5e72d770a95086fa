//! Bugle carries what happens in OpenText systems to the people who must act.
//!
//! ```text
//! opentext.*.events ─▶ SOURCE LANE ─▶ bugle.subjects ─▶ SUBJECT LANE ─▶ bugle.people ─▶ PERSON LANE
//!                      decode, route   by subject        dedupe,         by person       still in the
//!                                                        audience,                       audience? cut
//!                                                        fan out                         the batches
//!                                                                                             │
//!  phones ◀─ push service ◀─ DELIVERY LANE ◀─ bugle.pushes ◀───────────────────────────────────┘
//!                            send, retry, split, receipts
//!
//!  SUBJECT LANE ─▶ bugle.writebacks ─▶ WRITE-BACK LANE ─▶ source systems
//!  answers that count                  carry out, read back
//! ```
//! The modules below stand in reading order.

pub mod event;

pub mod codec;
pub mod directory;
pub mod topology;

pub mod store;

pub mod flow;

pub mod scenario;

pub mod explain;

pub mod broker;
pub mod push;
pub mod source_systems;

pub mod answers;
pub mod engine;

pub mod clock;
pub mod sample;
pub mod serve;
pub mod stand_in;
pub mod telemetry;

pub mod app;
pub mod cli;
