//! Schedule: what harm is done when. The same seed does the same, at the same moments of its own time.

use std::time::Duration;

/// One process is ended in each of these.
const BEAT: Duration = Duration::from_secs(10);
/// How long the push service misbehaves.
const UPSET_FOR: Duration = Duration::from_secs(5);
/// How the push service misbehaves.
const UPSETS: [&str; 4] = [
    r#"{"dead_seconds":5}"#,
    r#"{"cut_before_answer":0.3,"cut_inside_answer":0.2}"#,
    r#"{"unavailable":0.5,"server_error":0.2}"#,
    r#"{"latency":"exp:300ms"}"#,
];

/// Something done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Deed {
    /// `kill -9`.
    Kill(usize),
    /// Its time stops.
    Stall(usize),
    /// Its time goes on.
    GoOn(usize),
    /// It is asked to end.
    End(usize),
    /// It is started, unless it runs.
    Start(usize),
    /// The push service misbehaves so.
    Upset(&'static str),
    /// It does so no more.
    Calm,
}

/// What is still to be done, soonest first.
pub(super) struct Schedule {
    chance: fastrand::Rng,
    instances: usize,
    session: Duration,
    next_beat: Duration,
    planned: Vec<(Duration, Deed)>,
}

// === impl Schedule ===

impl Schedule {
    pub(super) fn new(seed: u64, instances: usize, session: Duration) -> Self {
        let chance = fastrand::Rng::with_seed(seed);
        Self { chance, instances, session, next_beat: BEAT / 2, planned: Vec::new() }
    }

    /// What is due after so long.
    pub(super) fn due(&mut self, elapsed: Duration) -> Vec<Deed> {
        while self.next_beat <= elapsed {
            self.plan(self.next_beat);
            self.next_beat += BEAT;
        }
        self.planned.sort_by_key(|(at, _)| *at);
        let due = self.planned.partition_point(|(at, _)| *at <= elapsed);
        self.planned.drain(..due).map(|(_, deed)| deed).collect()
    }

    fn plan(&mut self, beat: Duration) {
        let mut moment = |from: u64, to: u64| Duration::from_millis(self.chance.u64(from..to));
        let (killed, back, other) = (beat + moment(0, 3_000), moment(100, 3_000), beat + moment(0, 3_000));
        let victim = self.chance.usize(..self.instances);
        let another = (victim + 1 + self.chance.usize(..self.instances.max(2) - 1)) % self.instances;
        self.planned.push((killed, Deed::Kill(victim)));
        self.planned.push((killed + back, Deed::Start(victim)));
        match self.chance.u8(..6) {
            0 | 1 => {
                self.planned.push((other, Deed::Stall(another)));
                self.planned.push((other + self.session * 2, Deed::GoOn(another)));
            }
            2 => {
                self.planned.push((other, Deed::End(another)));
                self.planned.push((other + back, Deed::Start(another)));
            }
            3 | 4 => {
                self.planned.push((other, Deed::Upset(UPSETS[self.chance.usize(..UPSETS.len())])));
                self.planned.push((other + UPSET_FOR, Deed::Calm));
            }
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn somebody_is_ended_in_every_ten_seconds_and_started_again_and_a_seed_does_the_same() {
        let play = || {
            let mut schedule = Schedule::new(3, 3, Duration::from_secs(6));
            (0..600).flat_map(|second| schedule.due(Duration::from_secs(second))).collect::<Vec<_>>()
        };
        let deeds = play();
        assert_eq!(deeds, play());
        let count = |is: fn(&Deed) -> bool| deeds.iter().filter(|deed| is(deed)).count();
        assert!((59..=60).contains(&count(|deed| matches!(deed, Deed::Kill(_)))));
        for kind in [
            count(|deed| matches!(deed, Deed::Stall(_))),
            count(|deed| matches!(deed, Deed::End(_))),
            count(|deed| matches!(deed, Deed::Upset(_))),
        ] {
            assert!(kind > 3, "{deeds:?}");
        }
        assert!(
            deeds.iter().all(|deed| !matches!(deed, Deed::Kill(number) | Deed::Stall(number) if *number > 2))
        );
    }
}
