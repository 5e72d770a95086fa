//! Links: cut, dead in one direction, slow.

use std::time::Duration;

use crate::kit::cluster::Cluster;
use crate::kit::proxy::Weather;
use crate::stage::Stage;
use crate::{alone, idle};

/// For longer than a session and a transaction last.
const LONG: Duration = Duration::from_secs(15);

/// One instance has this weather for a while, the other none.
fn under(weather: Weather, seed: u64, rounds: usize) {
    let _alone = alone();
    let cluster = Cluster::start();
    let mut stage = Stage::on(&cluster.servers(), seed);
    let mut exposed = stage.run_behind(&cluster.behind_proxies(), "a");
    let mut other = stage.run("b");
    for _ in 0..rounds {
        stage.publish(200);
        stage.until_told(100, &mut [&mut exposed, &mut other]);
        cluster.proxies().for_each(|proxy| proxy.weather(weather));
        if weather.shut {
            cluster.proxies().for_each(crate::kit::proxy::Proxy::cut);
        }
        stage.publish(200);
        idle(LONG);
        stage.publish(200);
        cluster.proxies().for_each(|proxy| proxy.weather(Weather::default()));
        stage.settle(&mut [&mut exposed, &mut other]);
    }
    // Alone, the one that was cut off does everything.
    assert_eq!(other.terminate(), Some(0));
    stage.publish(200);
    stage.close(exposed);
}

#[test]
fn f14_links_cut_for_longer_than_a_transaction_lasts() {
    under(Weather { shut: true, ..Weather::default() }, 14, 3);
}

#[test]
fn f15_links_on_which_requests_vanish_and_links_on_which_answers_do() {
    under(Weather { deaf: true, ..Weather::default() }, 15, 2);
    under(Weather { mute: true, ..Weather::default() }, 16, 2);
}

#[test]
fn f17_links_that_are_slow_and_carry_little_at_once() {
    let pieces = Some((512, Duration::from_millis(2)));
    under(Weather { delay: Duration::from_millis(200), pieces, ..Weather::default() }, 17, 2);
}
