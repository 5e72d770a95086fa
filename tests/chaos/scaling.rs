//! Scaling: instances come and go while events flow.

use crate::kit::process::Process;
use crate::stage::Stage;

#[test]
fn f9_from_one_instance_to_three_and_back_under_load_with_members_that_leave_die_and_return() {
    let mut stage = Stage::open(99);
    let mut first = stage.run("a");
    stage.publish(100);
    stage.until_told(50, &mut [&mut first]);
    for round in 0..2 {
        let mut others: Vec<Process> = vec![stage.run("b"), stage.run_nameless()];
        for _ in 0..4 {
            stage.publish(100);
            stage.until_told(100, &mut [&mut first]);
        }
        others.iter_mut().for_each(Process::lives);
        let nameless = others.pop().unwrap();
        let named = others.pop().unwrap();
        stage.publish(100);
        if round == 0 {
            assert_eq!(nameless.terminate(), Some(0));
            named.kill();
        } else {
            nameless.kill();
            assert_eq!(named.terminate(), Some(0));
        }
        stage.publish(100);
    }
    stage.close(first);
}
