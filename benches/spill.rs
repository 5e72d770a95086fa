//! Spill: two million entries of what lanes keep open, with little memory and a disk, and all in memory.
//!
//! `cargo bench --bench spill` prints what it measured; nothing is asserted about speed.

#![allow(clippy::print_stdout, reason = "it prints what it measured")]

use bugle::clock::Tick;
use bugle::store::disk::FolderDisk;
use bugle::store::{Keyed, Spill};

/// The allocator of the program.
#[cfg(feature = "mimalloc")]
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const ENTRIES: u64 = 2_000_000;
/// A task that escalates has so many bytes in its entry.
const BYTES: usize = 520;
/// As many as a busy transaction changes.
const AT_ONCE: u64 = 1_000;
const MOST: usize = 64 * 1024 * 1024;

fn main() {
    let folder = std::env::temp_dir().join(format!("bugle-spill-{}", std::process::id()));
    let disk = FolderDisk::empty(&folder).expect("there is a place for temporary files");
    // First: what the other takes of memory is not given back.
    let what = format!("{} MiB and a disk", MOST >> 20);
    measure(&what, &Spill::beyond(MOST, Box::new(disk)), &folder);
    measure("all in memory", &Spill::default(), &folder);
    let _ = std::fs::remove_dir_all(&folder);
}

fn measure(what: &str, spill: &Spill, folder: &std::path::Path) {
    println!("{what}");
    let (mut keyed, before, mut random) = (Keyed::within(spill), resident(), fastrand::Rng::with_seed(7));
    let mut entry = vec![0; BYTES];
    let began = Tick::now();
    for number in 0..ENTRIES {
        random.fill(&mut entry);
        keyed.put(key(number), due(number), &entry);
        if number % AT_ONCE == 0 {
            keyed.settle();
        }
    }
    keyed.settle();
    let took = each(began.elapsed().as_secs_f64(), ENTRIES);
    let grown = resident().saturating_sub(before);
    println!("  put                    {took:.2} µs each");
    println!("  memory                 {} MiB, {} bytes an entry", grown >> 20, grown / ENTRIES);
    let lies = spill.used();
    println!("  entries in memory      {}, on disk {}", lies.here.entries, lies.away.entries);
    println!("  the folder             {} MiB", size_of(folder) >> 20);
    for (what, among) in [("the newest twentieth", ENTRIES / 20), ("any", ENTRIES)] {
        let (began, times) = (Tick::now(), 100_000);
        for time in 0..times {
            let number = ENTRIES - 1 - random.u64(..among);
            let mut entry = keyed.get(key(number)).expect("it was put").to_vec();
            entry[0] = entry[0].wrapping_add(1);
            keyed.put(key(number), due(number), &entry);
            if time % AT_ONCE == 0 {
                keyed.settle();
            }
        }
        keyed.settle();
        println!("  changed, {what:<20} {:.2} µs each", each(began.elapsed().as_secs_f64(), times));
    }
    let (began, mut rung) = (Tick::now(), 0);
    while let Some(key) = keyed.due_by(u32::MAX - 1).filter(|_| rung < 100_000) {
        rung += u64::from(keyed.get(key).is_some());
        keyed.remove(key);
        if rung % AT_ONCE == 0 {
            keyed.settle();
        }
    }
    println!("  rung and ended         {:.2} µs each", each(began.elapsed().as_secs_f64(), rung));
    assert!(keyed.fault().is_none());
}

fn key(number: u64) -> u128 {
    bugle::event::hash128([&number.to_le_bytes()])
}

/// Within the next month, in no order.
fn due(number: u64) -> u32 {
    1_767_603_600 + u32::try_from(key(number) % 2_592_000).unwrap_or(0)
}

fn each(seconds: f64, count: u64) -> f64 {
    seconds * 1e6 / count as f64
}

fn resident() -> u64 {
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap_or_default();
    statm.split(' ').nth(1).and_then(|pages| pages.parse::<u64>().ok()).unwrap_or(0) * 4_096
}

fn size_of(folder: &std::path::Path) -> u64 {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let size = |entry: std::fs::DirEntry| {
        let Ok(about) = entry.metadata() else { return 0 };
        if about.is_dir() { size_of(&entry.path()) } else { about.len() }
    };
    entries.map(size).sum()
}
