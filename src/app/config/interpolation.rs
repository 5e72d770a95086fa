//! Interpolation: `${env:NAME}` and `${file:/path}` inside a setting of the file.
//!
//! For secrets, so that none stands in the file. `$$` is one dollar sign. What comes in is never
//! interpolated again, and never shown.

use std::collections::BTreeMap;
use std::fs;

use super::fault::Problem;

/// The most bytes of a file named by `${file:…}`.
const MOST_BYTES: u64 = 1024 * 1024;

/// A text with everything filled in.
#[derive(Debug, Default)]
pub(super) struct Filled {
    /// The text.
    pub(super) text: String,
    /// Whether anything was filled in.
    pub(super) changed: bool,
    /// What somebody should know.
    pub(super) warnings: Vec<Problem>,
}

/// Fills `text` in; `origin` is where it was written.
pub(super) fn fill(
    text: &str,
    origin: &str,
    environment: &BTreeMap<String, String>,
) -> Result<Filled, Problem> {
    let mut filled = Filled::default();
    let mut rest = text;
    while let Some(at) = rest.find('$') {
        filled.text.push_str(&rest[..at]);
        rest = &rest[at + 1..];
        if let Some(after) = rest.strip_prefix('$') {
            filled.text.push('$');
            rest = after;
        } else if let Some(after) = rest.strip_prefix('{') {
            let (name, after) = after.split_once('}').ok_or_else(|| {
                Problem::new(origin, "`${` has no `}` after it").hint("write `$$` for a dollar sign")
            })?;
            let value = look_up(name, origin, environment, &mut filled.warnings)?;
            filled.text.push_str(&value);
            filled.changed = true;
            rest = after;
        } else {
            filled.text.push('$');
        }
    }
    filled.text.push_str(rest);
    Ok(filled)
}

fn look_up(
    name: &str,
    origin: &str,
    environment: &BTreeMap<String, String>,
    warnings: &mut Vec<Problem>,
) -> Result<String, Problem> {
    if let Some(variable) = name.strip_prefix("env:") {
        return environment.get(variable).cloned().ok_or_else(|| {
            Problem::new(origin, format!("the environment has no variable `{variable}`"))
                .hint(format!("set it: export {variable}=…"))
        });
    }
    let Some(path) = name.strip_prefix("file:") else {
        return Err(Problem::new(origin, format!("`${{{name}}}` is nothing that can be filled in"))
            .hint("write `${env:NAME}` or `${file:/path}`, and `$$` for a dollar sign"));
    };
    read(path, origin, warnings)
}

fn read(path: &str, origin: &str, warnings: &mut Vec<Problem>) -> Result<String, Problem> {
    let fault = |fact: String| Problem::new(origin, format!("`{path}` {fact}"));
    let facts = fs::metadata(path).map_err(|error| {
        fault(format!("cannot be read: {error}")).hint("check the path, and that Bugle's user may read it")
    })?;
    if facts.len() > MOST_BYTES {
        return Err(fault(format!("is larger than {MOST_BYTES} bytes")).hint("name the file with the secret"));
    }
    if open_to_all(&facts) {
        warnings.push(fault("can be read by everybody".into()).hint(format!("run: chmod o-rwx {path}")));
    }
    let text = fs::read_to_string(path).map_err(|error| fault(format!("cannot be read: {error}")))?;
    Ok(text.trim_end_matches(['\n', '\r']).to_owned())
}

#[cfg(unix)]
fn open_to_all(facts: &fs::Metadata) -> bool {
    use std::os::unix::fs::PermissionsExt;
    facts.permissions().mode() & 0o007 != 0
}

#[cfg(not(unix))]
fn open_to_all(_: &fs::Metadata) -> bool {
    false
}
