//! Completions: `bugle completions SHELL` prints a script for the shell to source.

use clap::CommandFactory;

use super::{Done, Line};

/// Arguments of `bugle completions`.
///
///   bugle completions bash > /etc/bash_completion.d/bugle
#[derive(Debug, clap::Args)]
#[command(verbatim_doc_comment)]
pub struct Args {
    /// The shell.
    pub shell: clap_complete::Shell,
}

/// Prints the script.
///
/// # Errors
/// Never.
pub fn run(args: &Args) -> Done {
    clap_complete::generate(args.shell, &mut Line::command(), "bugle", &mut super::Paper);
    Ok(0)
}
