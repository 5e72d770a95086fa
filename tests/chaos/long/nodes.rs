//! Nodes: those that lead, those that coordinate, and all of them.

use std::time::Duration;

use crate::kit::cluster::Cluster;
use crate::stage::Stage;
use crate::{alone, idle};

#[test]
fn f11_leaders_that_are_ended_or_stopped_cost_time_and_nothing_else() {
    let _alone = alone();
    let mut cluster = Cluster::start();
    let mut stage = Stage::on(&cluster.servers(), 11);
    let (mut first, mut second) = (stage.run("a"), stage.run("b"));
    let topic = stage.topic(bugle::broker::Topic::People);
    for round in 0..6 {
        stage.publish(100);
        stage.until_told(50, &mut [&mut first, &mut second]);
        let leader = cluster.leader(&topic);
        if round < 3 {
            cluster.kill(leader);
        } else {
            cluster.end(leader);
        }
        stage.publish(100);
        stage.until_told(50, &mut [&mut first, &mut second]);
        cluster.start_node(leader);
        cluster.until_it_answers();
    }
    stage.settle(&mut [&mut first, &mut second]);
    assert_eq!(second.terminate(), Some(0));
    stage.close(first);
}

#[test]
fn f12_all_brokers_away_for_seventy_seconds_end_nobody_also_not_who_starts_meanwhile() {
    let _alone = alone();
    let mut cluster = Cluster::start();
    let mut stage = Stage::on(&cluster.servers(), 12);
    let mut bugle = stage.run("a");
    stage.publish(100);
    stage.until_told(50, &mut [&mut bugle]);
    (0..cluster.count()).for_each(|node| cluster.kill(node));
    let mut started = stage.run("b");
    let before = (bugle.cpu_seconds(), started.cpu_seconds());
    idle(Duration::from_secs(70));
    let took = (bugle.cpu_seconds() - before.0, started.cpu_seconds() - before.1);
    assert!(took.0 < 14.0 && took.1 < 14.0, "{took:?} CPU seconds of 70");
    crate::kit::say(&format!("CPU seconds in 70 s without brokers: {:.1} and {:.1}", took.0, took.1));
    bugle.lives();
    started.lives();
    (0..cluster.count()).for_each(|node| cluster.start_node(node));
    cluster.until_it_answers();
    stage.publish(200);
    stage.settle(&mut [&mut bugle, &mut started]);
    assert_eq!(started.terminate(), Some(0));
    stage.close(bugle);
}

#[test]
fn f13_coordinators_of_groups_and_transactions_that_are_ended_are_found_again() {
    let _alone = alone();
    let mut cluster = Cluster::start();
    let mut stage = Stage::on(&cluster.servers(), 13);
    let (mut first, mut second) = (stage.run("a"), stage.run("b"));
    for round in 0..6 {
        stage.publish(100);
        stage.until_told(50, &mut [&mut first, &mut second]);
        let coordinates = ["__transaction_state", "__consumer_offsets"][round % 2];
        let node = cluster.leader(coordinates);
        cluster.kill(node);
        stage.publish(100);
        stage.until_told(50, &mut [&mut first, &mut second]);
        cluster.start_node(node);
        cluster.until_it_answers();
    }
    assert_eq!(second.terminate(), Some(0));
    stage.close(first);
}
