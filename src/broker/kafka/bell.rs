//! Bell: wakes who waits for a consumer when something comes into its queue.
//!
//! The crate's own waiting looks at the clock without a pause for the last millisecond of each wait. Half a
//! millisecond of CPU ten times a second and client is most of what an idle process would take.

use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::Duration;

use rdkafka::consumer::{BaseConsumer, ConsumerContext};

/// Rings when an empty queue is empty no more.
#[derive(Debug, Default)]
pub(super) struct Bell {
    rung: Mutex<bool>,
    heard: Condvar,
}

// === impl Bell ===

impl Bell {
    pub(super) fn on<C: ConsumerContext + 'static>(consumer: &mut BaseConsumer<C>) -> Arc<Self> {
        let bell = Arc::new(Self::default());
        let ringing = Arc::clone(&bell);
        consumer.set_nonempty_callback(move || ringing.ring());
        bell
    }

    fn ring(&self) {
        *self.rung.lock().unwrap_or_else(PoisonError::into_inner) = true;
        self.heard.notify_all();
    }

    /// Waits until it has rung since it was last waited for.
    pub(super) fn wait(&self, at_most: Duration) {
        let rung = self.rung.lock().unwrap_or_else(PoisonError::into_inner);
        let waited = self.heard.wait_timeout_while(rung, at_most, |rung| !*rung);
        *waited.unwrap_or_else(PoisonError::into_inner).0 = false;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Tick;

    #[test]
    fn what_rang_before_is_heard_once_and_at_once() {
        let (bell, long) = (Bell::default(), Duration::from_secs(600));
        bell.ring();
        let began = Tick::now();
        bell.wait(long);
        assert!(began.elapsed() < long);
        let short = Duration::from_millis(5);
        let began = Tick::now();
        bell.wait(short);
        assert!(began.elapsed() >= short);
    }

    #[test]
    fn who_waits_is_woken() {
        let (bell, long) = (Arc::new(Bell::default()), Duration::from_secs(600));
        let (ringing, began) = (Arc::clone(&bell), Tick::now());
        let other = std::thread::spawn(move || ringing.ring());
        bell.wait(long);
        assert!(began.elapsed() < long);
        other.join().unwrap();
    }
}
