//! Python: an interpreter with a publisher's libraries, for what must not be of our own making.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;

use super::services::{fetched, kit, run};

/// Where the scripts and `requirements.txt` lie.
fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/python")
}

/// The interpreter of an environment that has what `tests/python/requirements.txt` names.
fn interpreter() -> PathBuf {
    let needs = folder().join("requirements.txt");
    let text = fs::read_to_string(&needs).expect("the repository is whole");
    let pinned = text.lines().find(|line| !line.starts_with('#')).expect("it names a package");
    let version = pinned.rsplit("==").next().expect("it is pinned");
    let root = kit().join(format!("python-{version}"));
    fs::create_dir_all(kit()).expect("target/ can be written");
    let lock = File::create(root.with_extension("lock")).expect("target/ can be written");
    lock.lock().expect("the file system has locks");
    let python = root.join("env/bin/python");
    fetched(&root, || {
        run(Command::new("python3").args(["-m", "venv"]).arg(root.join("env")));
        run(Command::new(&python)
            .args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "-r"])
            .arg(&needs));
    });
    python
}

/// Runs one of the scripts to its end: what it printed. Fails with what it said.
pub(crate) fn script(name: &str, args: &[&str]) -> String {
    run(Command::new(interpreter()).arg(folder().join(name)).args(args))
}
