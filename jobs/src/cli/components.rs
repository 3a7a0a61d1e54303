//! `tapeflow components`: what a job may be made of.

use clap::Args;
use dataflows::job::reference;
use dataflows::job::suggest::nearest;

use crate::catalog::CATALOG;
use crate::cli::failure::{Failure, print};
use crate::shipped::SHIPPED;

/// List the components, or explain one.
#[derive(Debug, Args)]
pub(crate) struct Components {
    /// Explain this one: its ports and every setting
    name: Option<String>,
    /// List the jobs that ship instead
    #[arg(long)]
    jobs: bool,
}

impl Components {
    pub(crate) fn call(self) -> Result<(), Failure> {
        if self.jobs {
            let line = |job: &crate::shipped::Shipped| {
                format!("{:<18} {} ({})\n", job.name, job.about, job.file)
            };
            return print(&SHIPPED.iter().map(line).collect::<String>());
        }
        let Some(name) = self.name else { return print(&list()) };
        match reference::text(&CATALOG, &name) {
            Some(text) => print(&text),
            None => {
                let names = CATALOG.all().into_iter().map(|(_, definition)| definition.name());
                let hint = nearest(&name, names);
                let hint = hint.map_or_else(String::new, |n| format!(", did you mean `{n}`?"));
                Err(Failure::Usage(format!(
                    "no component is called `{name}`{hint}; `tapeflow components` lists them all"
                )))
            }
        }
    }
}

fn list() -> String {
    let mut text = String::new();
    let mut room = "";
    for (of, definition) in CATALOG.all() {
        if of != room {
            let gap = if room.is_empty() { "" } else { "\n" };
            text.push_str(&format!("{gap}{of}\n"));
            room = of;
        }
        text.push_str(&format!("  {:<12} {}\n", definition.name(), definition.summary()));
    }
    text
}
