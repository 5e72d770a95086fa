//! Fetch: asks the registry for schemas while the lanes go on.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::Parts;

/// Between two tries to fetch a schema.
const TRY_AGAIN: Duration = Duration::from_secs(1);

/// The schema ids being asked for in this process.
#[derive(Clone, Default)]
pub(super) struct Fetches {
    under_way: Arc<Mutex<BTreeSet<u32>>>,
}

// === impl Fetches ===

impl Fetches {
    /// Asks for a schema unless somebody already does. Whoever wants it tries its record again: by then
    /// the codec knows the schema, or knows that there is none.
    pub(super) fn ask(&self, parts: &Parts, id: u32) {
        if !lock(&self.under_way).insert(id) {
            return;
        }
        let (codec, under_way) = (Arc::clone(&parts.codec), Arc::clone(&self.under_way));
        parts.runtime.spawn(async move {
            match tokio::task::spawn_blocking(move || codec.fetch(id)).await {
                Ok(Ok(_)) => {}
                Ok(Err(error)) => {
                    tracing::warn!(id, %error, "a schema cannot be fetched; its partitions wait");
                    pause().await;
                }
                Err(panicked) => {
                    tracing::error!(id, %panicked, "fetching a schema failed; it is tried again");
                }
            }
            lock(&under_way).remove(&id);
        });
    }
}

fn lock(ids: &Mutex<BTreeSet<u32>>) -> MutexGuard<'_, BTreeSet<u32>> {
    ids.lock().unwrap_or_else(PoisonError::into_inner)
}

#[allow(
    clippy::disallowed_methods,
    reason = "the engine's sleep: between two tries of something that failed"
)]
async fn pause() {
    tokio::time::sleep(TRY_AGAIN).await;
}
