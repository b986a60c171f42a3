//! `explain`: the page of a diagnosis code. Needs no AWS.

use std::fmt::Write as _;

use clap::Args;

use super::{console::Console, errors::CliError, exit::Exit, render};
use crate::diagnose::{Diagnosis, PAGES, page};

/// Explain a code that a diagnosis names.
#[derive(Debug, Args)]
pub struct ExplainArgs {
    /// The code, e.g. SINK_SHORT; without it: all of them, one line each.
    #[arg(value_name = "CODE")]
    code: Option<String>,
}

/// Runs the verb.
pub fn run(console: &Console, args: &ExplainArgs) -> Result<Exit, CliError> {
    let Some(wanted) = &args.code else {
        if console.json() {
            return console.document(&PAGES).map(|()| Exit::Ok);
        }
        let mut text = String::new();
        for page in &PAGES {
            let _ = writeln!(text, "{:<20} {}", page.code, page.title);
        }
        return console.print(&text).map(|()| Exit::Ok);
    };
    let known = Diagnosis::ALL.into_iter().find(|code| code.code().eq_ignore_ascii_case(wanted));
    let Some(page) = known.and_then(page) else {
        return Err(CliError::new(Exit::Usage, format!("there is no diagnosis `{wanted}`"))
            .hint("`alleycat-operator explain` lists the codes"));
    };
    if console.json() {
        console.document(page)?;
    } else {
        console.print(&render::diagnosis::page(page, console.color))?;
    }
    Ok(Exit::Ok)
}
