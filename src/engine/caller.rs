//! Caller: carries calls to the source systems, several at once, and what they say back to the lane.

use std::sync::{Arc, mpsc};
use std::time::Duration;

use super::Parts;
use super::count;
use super::sender::{Back, Requests};
use crate::clock::Tick;
use crate::event::write_back::Came;
use crate::flow::write_back::{Call, Said};

/// A call that waited longer than this for its turn is not made: whoever asked for it may have been given up by
/// its group meanwhile, and another may have asked for the same.
const STALE: Duration = Duration::from_secs(8);

// === impl Requests ===

impl Requests {
    /// Calls a source system as soon as its turn comes; what it says comes through `replies`.
    pub(super) fn call(&self, parts: &Parts, call: Call, partition: i32, replies: mpsc::Sender<(i32, Back)>) {
        let (permits, said) = (Arc::clone(&self.permits), Arc::clone(&self.said));
        let (sources, board) = (Arc::clone(&parts.sources), Arc::clone(&parts.board));
        let asked = Tick::now();
        parts.runtime.spawn(async move {
            let Ok(_permit) = permits.acquire_owned().await else { return };
            let came = if asked.elapsed() > STALE {
                Came::TryLater(None, "stale")
            } else {
                let began = Tick::now();
                let came = sources.call(call.ask, &call.answer).await;
                count::called(&board, call.answer.source, &came, began.elapsed());
                came
            };
            let code = match &came {
                Came::TryLater(_, code) | Came::Unknown(code) => *code,
                _ => "",
            };
            if super::sender::is_news(&said, call.answer.source.as_str(), code) {
                say(call.answer.source.as_str(), code);
            }
            if let Came::Refused(code) | Came::Dead(code) = &came {
                let (rule, response) = (&call.answer.rule, &call.answer.response_id);
                tracing::warn!(
                    rule,
                    response,
                    code,
                    "an answer is not in the source system, and will not be"
                );
            }
            // The lane may be gone by now; its successor looks what came of it.
            let _ = replies.send((partition, Back::Called(Said { id: call.id, ask: call.ask, came })));
        });
    }
}

fn say(system: &str, code: &str) {
    match code {
        "" => tracing::info!(system, "the source system answers again"),
        "not-configured" => {
            let hint = "say in `sources` where it is";
            tracing::warn!(system, hint, "answers wait: nobody knows where the source system is");
        }
        _ => {
            let hint = "no answer is lost and none carried out twice";
            tracing::warn!(system, code, hint, "the source system takes nothing now; it is called again");
        }
    }
}
