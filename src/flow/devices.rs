//! Devices: that a person has none any more is kept beside the directory, and followed with it.
//!
//! A record of `opentext.members` under `tenant|no_device|user id|` says so; a tombstone takes it back. Whoever has
//! one is named by an audience as before, and not told.

use bytes::Bytes;

use crate::codec::{outputs, person};
use crate::directory::key::members_key;
use crate::directory::people::NO_DEVICE;
use crate::event::{Members, Outgoing, Receipt, Topic};

/// A person's last device is gone.
#[must_use]
pub fn gone(id: u32, tenant: &str, user_id: &str) -> Outgoing {
    let mark = Members { user_ids: vec![user_id.to_owned()], ..named(tenant, user_id) };
    let value = Some(person::encode_members(id, &mark).into());
    record(&mark, value)
}

/// A person has a device again.
#[must_use]
pub fn back(tenant: &str, user_id: &str) -> Outgoing {
    record(&named(tenant, user_id), None)
}

/// A mark on what was told, as a record of `bugle.receipts`: those of one job lie together.
#[must_use]
pub fn mark(id: u32, job_id: &str, receipt: &Receipt) -> Outgoing {
    let key = Some(Bytes::copy_from_slice(job_id.as_bytes()));
    let value = Some(outputs::encode_receipt(id, receipt).into());
    Outgoing { topic: Topic::Receipts, partition: None, key, value, headers: Vec::new() }
}

fn named(tenant: &str, user_id: &str) -> Members {
    Members {
        tenant: tenant.to_owned(),
        scope_type: NO_DEVICE.to_owned(),
        scope_id: user_id.to_owned(),
        ..Members::default()
    }
}

fn record(mark: &Members, value: Option<Bytes>) -> Outgoing {
    let key = Some(members_key(mark).into());
    Outgoing { topic: Topic::Members, partition: None, key, value, headers: Vec::new() }
}
