//! Storm: a member joins or leaves every five seconds, for five minutes.

use std::time::Duration;

use bugle::clock::Tick;

use crate::kit;
use crate::kit::process::Process;
use crate::stage::Stage;

const LASTING: Duration = Duration::from_secs(300);
const EVERY: Duration = Duration::from_secs(5);

#[test]
fn f9_a_member_that_joins_leaves_or_dies_every_five_seconds_for_five_minutes() {
    let _alone = crate::alone();
    let mut stage = Stage::open(9);
    let mut stays = stage.run("a");
    let mut others: Vec<Process> = Vec::new();
    let (begun, mut turned, mut rounds) = (Tick::now(), Tick::now(), 0);
    while begun.elapsed() < LASTING {
        stage.publish(20);
        crate::idle(Duration::from_millis(200));
        stays.lives();
        if turned.elapsed() < EVERY {
            continue;
        }
        turned = Tick::now();
        rounds += 1;
        match (rounds % 4, others.pop()) {
            (0, Some(other)) => other.kill(),
            (2, Some(other)) => assert_eq!(other.terminate(), Some(0)),
            (_, other) => {
                others.extend(other);
                others.push(if rounds % 2 == 0 { stage.run("b") } else { stage.run_nameless() });
            }
        }
    }
    kit::say(&format!("{rounds} times somebody came or went"));
    for other in others {
        assert_eq!(other.terminate(), Some(0));
    }
    stage.close(stays);
}
