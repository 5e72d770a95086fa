//! Restores: `kill -9` while the memory of partitions is read back.

use bugle::broker::Topic;

use crate::kit;
use crate::kit::proxy::{Api, Does};
use crate::stage::Stage;

/// Where a process is caught: it asks how much there is of a memory topic, and does not learn it. Of the topics
/// before it everything is read by then, of the others nothing.
const PLACES: [[Topic; 2]; 2] = [[Topic::Seen, Topic::State], [Topic::Told, Topic::Waiting]];

#[test]
fn f6_a_kill_while_memory_is_read_back_and_again_while_its_successor_does_so_loses_and_repeats_nothing() {
    let mut stage = Stage::open(6);
    let proxy = kit::proxy();
    let mut bugle = stage.run_behind(&proxy.servers(), "a");
    for topics in PLACES {
        stage.publish(120);
        stage.until_told(60, &mut [&mut bugle]);
        bugle.kill();
        for topic in topics {
            let trap = proxy.trap(Api::ListOffsets, &stage.topic(topic), Does::HoldAnswer);
            bugle = stage.run_behind(&proxy.servers(), "a");
            trap.until_sprung();
            stage.publish(40);
            bugle.kill();
            drop(trap);
        }
        bugle = stage.run_behind(&proxy.servers(), "a");
    }
    stage.close(bugle);
}
