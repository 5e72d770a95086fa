//! Stops: a process that is asked to end while it works, with enough time and with too little.

use std::time::Duration;

use bugle::clock::Tick;

use crate::kit::until;
use crate::stage::Stage;

#[test]
fn f8_a_process_asked_to_stop_finishes_what_it_sent_and_one_cut_short_loses_nothing() {
    let mut stage = Stage::open(8);
    stage.faults(r#"{"latency":"300ms"}"#);
    let mut bugle = stage.run("a");
    for _ in 0..3 {
        stage.publish(100);
        stage.until_told(20, &mut [&mut bugle]);
        assert_eq!(bugle.terminate(), Some(0));
        bugle = stage.run("a");
    }
    stage.settle(&mut [&mut bugle]);
    assert_eq!(stage.sum("resubmitted"), 0, "what was finished is not sent again");

    stage.faults(r#"{"latency":"5s"}"#);
    let jobs = stage.sum("jobs");
    stage.publish(100);
    until("a batch is under way", Duration::from_secs(60), || stage.sum("jobs") > jobs);
    bugle.signal("-TERM");
    let asked = Tick::now();
    until("its grace is over", Duration::from_secs(60), || asked.elapsed() > Duration::from_secs(1));
    bugle.kill();
    stage.faults("{}");
    let bugle = stage.run("a");
    stage.close(bugle);
}
