//! `tapeflow dlq`: the dead letters of a job, in the tables that its sinks write rejects into.

mod change;
mod letter;
mod route;
mod show;
mod store;

use std::path::PathBuf;

use clap::{Args, Subcommand};
use dataflows::fault::Fault;
use dataflows::job::plan::{Plan, SinkPlan};
use dataflows::kind::Kind;
use serde_json::Value;

use self::store::{Filter, Store};
use crate::cli::Session;
use crate::cli::drive::root_of;
use crate::cli::failure::{Failure, print};
use crate::cli::load::JobArgument;
use crate::cli::report::Output;

/// List, show, replay or drop what a job could not accept.
#[derive(Debug, Args)]
pub(crate) struct Dlq {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// List the dead letters, newest last
    List {
        #[command(flatten)]
        of: Of,
        #[command(flatten)]
        which: Which,
        /// At most so many, the newest
        #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=10_000))]
        limit: u32,
    },
    /// Show one with all that is known of it
    Show {
        #[command(flatten)]
        of: Of,
        /// Its id, or how that begins
        id: String,
    },
    /// Send them to the job's source once more, and remove them when the broker has them
    Replay {
        #[command(flatten)]
        of: Of,
        #[command(flatten)]
        which: Which,
        #[command(flatten)]
        how: How,
        /// The source to send ticks of operators to, where several lead to the operator
        #[arg(long, value_name = "SOURCE")]
        to: Option<String>,
    },
    /// Remove them for good
    Drop {
        #[command(flatten)]
        of: Of,
        #[command(flatten)]
        which: Which,
        #[command(flatten)]
        how: How,
    },
}

/// Of which job, and how the answer looks.
#[derive(Debug, Args)]
struct Of {
    #[command(flatten)]
    job: JobArgument,
    /// The sink whose table it is, where the job has several that take rejects
    #[arg(long)]
    sink: Option<String>,
    /// Where relative paths of the job start [default: the current folder]
    #[arg(long)]
    root: Option<PathBuf>,
    /// How the answer looks
    #[arg(long, value_enum, default_value_t)]
    output: Output,
}

/// Which letters: all conditions hold together.
#[derive(Debug, Args)]
struct Which {
    /// Only this one, or how its id begins; may be given several times
    #[arg(long, value_name = "ID")]
    id: Vec<String>,
    /// Only those of this component; may be given several times
    #[arg(long)]
    component: Vec<String>,
    /// Only those with this reason, such as `malformed`; may be given several times
    #[arg(long)]
    reason: Vec<String>,
}

/// How what changes something is asked for.
#[derive(Debug, Args)]
struct How {
    /// All that the job has
    #[arg(long, conflicts_with_all = ["id", "component", "reason"])]
    all: bool,
    /// Say what would be done; do nothing
    #[arg(long)]
    dry_run: bool,
    /// Do it without a further question
    #[arg(long)]
    yes: bool,
}

impl Dlq {
    pub(crate) fn call(self, session: &Session) -> Result<(), Failure> {
        match self.action {
            Action::List { of, which, limit } => {
                let mut office = Office::open(&of)?;
                let filter = office.filter(&which)?;
                show::list(&mut office, &filter, limit, session)
            }
            Action::Show { of, id } => {
                let mut office = Office::open(&of)?;
                let filter =
                    office.filter(&Which { id: vec![id], component: vec![], reason: vec![] })?;
                show::show(&mut office, &filter)
            }
            Action::Replay { of, which, how, to } => {
                which.is_chosen(&how)?;
                let mut office = Office::open(&of)?;
                let filter = office.filter(&which)?;
                change::replay(&mut office, &filter, &how, to.as_deref(), session)
            }
            Action::Drop { of, which, how } => {
                which.is_chosen(&how)?;
                let mut office = Office::open(&of)?;
                let filter = office.filter(&which)?;
                change::drop_letters(&mut office, &filter, &how, session)
            }
        }
    }
}

impl Which {
    /// Nothing is taken for all.
    fn is_chosen(&self, how: &How) -> Result<(), Failure> {
        let is_any = !(self.id.is_empty() && self.component.is_empty() && self.reason.is_empty());
        if is_any || how.all {
            return Ok(());
        }
        let text = "which ones? Say --id, --component or --reason, or --all".to_owned();
        Err(Failure::Usage(text))
    }
}

/// A job and its table of dead letters.
struct Office {
    plan: Plan,
    root: PathBuf,
    store: Store,
    output: Output,
}

impl Office {
    fn open(of: &Of) -> Result<Self, Failure> {
        let plan = of.job.load()?;
        let root = root_of(of.root.as_deref())?;
        let sink = choose(&plan, of.sink.as_deref())?;
        let text = |name: &str| sink.config.get(name).and_then(Value::as_str);
        let default = sink.id.replace('-', "_");
        let url = text("url").unwrap_or_default();
        let table = text("table").unwrap_or(&default);
        let opened = Store::open(url, table, &root, &plan.name);
        let store = opened.map_err(|fault| Failure::of(&fault, &plan.secrets))?;
        Ok(Self { plan, root, store, output: of.output })
    }

    /// What is asked for, each id in full.
    fn filter(&mut self, which: &Which) -> Result<Filter, Failure> {
        let mut ids = Vec::new();
        for begin in &which.id {
            let is_hex = begin.len() >= 4 && begin.bytes().all(|byte| byte.is_ascii_hexdigit());
            if !is_hex {
                let text = format!("--id {begin}: expected at least four digits of an id");
                return Err(Failure::Usage(text));
            }
            let begin = begin.to_ascii_lowercase();
            let found = self.store.beginning_with(&begin);
            match found.map_err(|fault| self.failed(&fault))?.as_slice() {
                [one] => ids.push(one.clone()),
                [] => {
                    let text = format!("job {} has no dead letter {begin}", self.plan.name);
                    return Err(Failure::Fault(text));
                }
                _ => {
                    let text = format!("{begin} begins several ids; say more of it");
                    return Err(Failure::Usage(text));
                }
            }
        }
        let (components, reasons) = (which.component.clone(), which.reason.clone());
        Ok(Filter { ids, components, reasons })
    }

    fn failed(&self, fault: &Fault) -> Failure {
        Failure::of(fault, &self.plan.secrets)
    }

    /// Prints an answer as JSON.
    fn json(&self, value: &Value) -> Result<(), Failure> {
        let text = serde_json::to_string_pretty(value)
            .map_err(|error| Failure::Fault(format!("the answer: {error}")))?;
        print(&self.plan.secrets.redact(&format!("{text}\n")))
    }
}

/// Finds the sink.
fn choose<'a>(plan: &'a Plan, wanted: Option<&str>) -> Result<&'a SinkPlan, Failure> {
    let is_table =
        |sink: &&SinkPlan| sink.definition.name() == "table" && sink.kind == Kind::Rejects;
    let found: Vec<&SinkPlan> = plan.sinks.iter().filter(is_table).collect();
    let names = || found.iter().map(|sink| sink.id.as_str()).collect::<Vec<_>>().join(", ");
    match (wanted, found.as_slice()) {
        (Some(wanted), _) => {
            let sink = found.iter().copied().find(|sink| sink.id == wanted);
            sink.ok_or_else(|| {
                let text = format!("--sink {wanted}: no table of rejects; there are: {}", names());
                Failure::Usage(text)
            })
        }
        (None, [one]) => Ok(one),
        (None, []) => Err(Failure::Usage(format!(
            "job {} keeps no dead letters: give it a sink of `type: table` whose input are the \
             `dead` outputs of its components",
            plan.name
        ))),
        (None, _) => {
            let text = format!("several tables take rejects: {}; say --sink", names());
            Err(Failure::Usage(text))
        }
    }
}
