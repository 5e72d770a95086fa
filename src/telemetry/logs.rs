//! Logs: for a person on a terminal, or one JSON object per line for whoever collects them.
//!
//! What comes from outside may hold anything: control characters are written as escapes, so that no
//! event can move a reader's cursor or forge a second line. Logs name events and rules by id, never a
//! person or a text that was sent (`tests/tidy.rs` reads the call sites).

use std::fmt;
use std::io::{self, IsTerminal};

use serde::Deserialize;
use tracing::Dispatch;
use tracing::field::Field;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::fmt::format::{Writer, debug_fn};

/// How a log line looks.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Format {
    /// Human on a terminal, JSON otherwise.
    #[default]
    Auto,
    /// Time, level, what happened and its fields.
    Human,
    /// One JSON object per line.
    Json,
}

/// Why logs cannot be written.
#[derive(Debug, thiserror::Error)]
pub enum LogFault {
    /// The filter does not parse.
    #[error("the log filter `{filter}` cannot be read: {reason}")]
    Filter {
        /// As it was written.
        filter: String,
        /// What is wrong with it.
        reason: String,
    },
    /// Logs are in place already.
    #[error("the logs of this process are in place already")]
    Installed,
}

// === impl LogFault ===

impl LogFault {
    /// What to do about it.
    #[must_use]
    pub const fn hint(&self) -> &'static str {
        match self {
            Self::Filter { .. } => "write a level such as `info`, or `info,bugle::engine=debug`",
            Self::Installed => "install logs once, in main",
        }
    }
}

/// Sends the logs of the whole process to standard error.
///
/// # Errors
/// [`LogFault::Filter`] when `filter` does not parse, [`LogFault::Installed`] the second time.
pub fn install(format: Format, filter: &str) -> Result<(), LogFault> {
    let terminal = io::stderr().is_terminal();
    let human = match format {
        Format::Auto => terminal,
        Format::Human => true,
        Format::Json => false,
    };
    let dispatch =
        if human { human_lines(filter, terminal, io::stderr)? } else { json_lines(filter, io::stderr)? };
    tracing::dispatcher::set_global_default(dispatch).map_err(|_| LogFault::Installed)
}

fn human_lines<W>(filter: &str, colours: bool, writer: W) -> Result<Dispatch, LogFault>
where
    W: for<'a> MakeWriter<'a> + Send + Sync + 'static,
{
    let subscriber = tracing_subscriber::fmt()
        .with_env_filter(parse(filter)?)
        .with_ansi(colours)
        .with_writer(writer)
        .fmt_fields(debug_fn(write_field))
        .finish();
    Ok(Dispatch::new(subscriber))
}

fn json_lines<W>(filter: &str, writer: W) -> Result<Dispatch, LogFault>
where
    W: for<'a> MakeWriter<'a> + Send + Sync + 'static,
{
    let subscriber = tracing_subscriber::fmt()
        .with_env_filter(parse(filter)?)
        .with_writer(writer)
        .json()
        .flatten_event(true)
        .with_current_span(true)
        .with_span_list(false)
        .finish();
    Ok(Dispatch::new(subscriber))
}

fn parse(filter: &str) -> Result<EnvFilter, LogFault> {
    EnvFilter::try_new(filter)
        .map_err(|fault| LogFault::Filter { filter: filter.to_owned(), reason: fault.to_string() })
}

fn write_field(writer: &mut Writer<'_>, field: &Field, value: &dyn fmt::Debug) -> fmt::Result {
    let text = format!("{value:?}");
    match field.name() {
        "message" => escape(writer, &text),
        name => {
            write!(writer, " {name}=")?;
            escape(writer, &text)
        }
    }
}

/// Writes `text` with every control character as an escape.
fn escape(writer: &mut Writer<'_>, text: &str) -> fmt::Result {
    for letter in text.chars() {
        if letter.is_control() || is_direction(letter) {
            write!(writer, "{}", letter.escape_unicode())?;
        } else {
            writer.write_char(letter)?;
        }
    }
    Ok(())
}

/// Characters that reorder what a terminal shows.
const fn is_direction(letter: char) -> bool {
    matches!(letter, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::sync::{Arc, Mutex};

    use super::*;

    #[derive(Clone, Default)]
    struct Paper(Arc<Mutex<Vec<u8>>>);

    impl Write for Paper {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    impl Paper {
        fn text(&self) -> String {
            String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
        }
    }

    #[test]
    fn an_event_cannot_forge_a_line_or_move_the_cursor() {
        let paper = Paper::default();
        let writer = paper.clone();
        let dispatch = human_lines("info", false, move || writer.clone()).unwrap();
        tracing::dispatcher::with_default(&dispatch, || {
            tracing::info!(event_id = %"1\n2026 ERROR forged\u{1b}[2J\u{202e}", "read {}", "a\rb");
        });
        let text = paper.text();
        assert_eq!(text.lines().count(), 1, "{text}");
        assert!(text.contains(r"read a\u{d}b event_id=1\u{a}2026 ERROR forged\u{1b}[2J\u{202e}"), "{text}");
    }

    #[test]
    fn a_json_line_has_level_target_message_and_fields() {
        let paper = Paper::default();
        let writer = paper.clone();
        let dispatch = json_lines("info", move || writer.clone()).unwrap();
        tracing::dispatcher::with_default(&dispatch, || {
            tracing::warn!(rule = "ec-1-review", "the rule\nnames nobody");
            tracing::debug!("not asked for");
        });
        let text = paper.text();
        assert_eq!(text.lines().count(), 1, "{text}");
        let line: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert_eq!(line["level"], "WARN");
        assert_eq!(line["rule"], "ec-1-review");
        assert_eq!(line["message"], "the rule\nnames nobody");
        assert!(line["timestamp"].is_string());
    }

    #[test]
    fn a_filter_that_cannot_be_read_is_refused_with_a_hint() {
        let fault = parse("bugle=loud").unwrap_err();
        assert!(fault.to_string().starts_with("the log filter `bugle=loud` cannot be read"), "{fault}");
        assert!(fault.hint().contains("info"));
    }
}
