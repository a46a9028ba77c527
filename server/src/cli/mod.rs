//! The command line: a noun, then a verb. Each noun has a file; each verb asks the server through
//! the client and shows the answer. Nothing here decides anything.

mod agent;
mod completions;
mod connect;
mod definition;
mod directive;
mod directive_type;
mod emit_file;
pub mod exit;
mod explain;
mod fields;
mod function;
pub(crate) mod given;
mod input;
mod key;
mod module;
mod node;
pub mod output;
mod pages;
mod run;
mod run_bulk;
mod run_operate;
mod run_shown;
mod schedule;
mod schema;
pub mod screen;
mod signal;
mod step;
mod table;
mod tenant;
pub mod timeline;
mod watch;
mod when;
mod whoami;
mod why;
mod worker;
mod workflow;
mod workflow_test;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

const AFTER_HELP: &str = "\
Exit codes:
  0  done
  1  the thing itself failed: a watched run, a definition with errors
  2  the command line is wrong
  3  the server cannot be reached
  4  the server refused

Examples:
  fleetprompt demo                                  see it work, with nothing installed
  fleetprompt dev                                   serve this folder while you write workflows
  fleetprompt signal emit forum.thread.created --subject thread:42 --payload '{\"title\": \"Hi\"}'
  fleetprompt run list --status failed
  fleetprompt run timeline run_01h455vb4pex5vsknk084sn02q

The server is the one that `fleetprompt dev` serves in this folder, unless --url or FLEETPROMPT_URL
names another.";

/// Clap has no groups of commands, so the page stands here; a test holds it against the commands.
const HELP_TEMPLATE: &str = "\
{about}

Usage: fleetprompt <COMMAND>

Serve:
  demo            Watch a forum being triaged, from signal to post, on a server of its own
  dev             Serve ./.fleetprompt; apply what is in its folders when it changes
  serve           Serve a data folder or a database in production
  doctor          Look whether a server would run well here, and what to do if not
  backup          Copy everything into a file, also while servers are at work
  restore         Put a backup into a new data folder or an empty database
  migrate         Copy everything from a data folder into a PostgreSQL database, or back
  verify          Check what is stored: fold the log and compare

What happens:
  signal          Facts: emit, list, follow, replay
  run             Executions of workflows: watch, explain, pause, retry, cancel
  step            Steps of runs: skip, complete, answer, report
  input           What waits for somebody's answer: list, answer
  directive       Intents, the only road to a side effect: list, request, report, cancel

What should happen:
  workflow        Definitions of what follows from signals: validate, draw, compare, apply, pause
  agent           Definitions of agents: validate, apply, list
  schedule        Times at which signals come: apply, preview, pause, trigger, backfill
  directive-type  Which directives there are, and who carries them out
  function        Functions that steps may call: the engine's own, and your own: apply, list, show
  module          Modules of WebAssembly that functions are called in: add, list, remove
  worker          Programs that perform functions and directives: list

Where it runs:
  node            Processes that share a database: list, drain, undrain

Who may:
  tenant          Organizations, each with a scope of its own
  key             API keys
  whoami          Say which tenant and key this command line speaks for

Help:
  explain         Explain a code, like FP0103 or payload_invalid
  schema          Print the JSON Schema of a definition, for editors
  completions     Print a completion script for a shell

Options:
{options}{after-help}
";

/// Signal-driven workflows for many tenants: facts come in, intents go out, all of it on record
#[derive(Debug, Parser)]
#[command(name = "fleetprompt", version, after_help = AFTER_HELP, disable_help_subcommand = true, max_term_width = 100)]
#[command(help_template = HELP_TEMPLATE)]
pub struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Watch a forum being triaged, from signal to post, on a server of its own
    Demo(crate::demo::Args),
    /// Serve ./.fleetprompt; apply what is in its folders when it changes
    Dev(crate::dev::Args),
    /// Serve a data folder or a database in production
    Serve(crate::serve::Args),
    /// Look whether a server would run well here, and what to do if not
    Doctor(crate::doctor::Args),
    /// Copy everything into a file, also while servers are at work
    Backup(crate::backup::Args),
    /// Put a backup into a new data folder or an empty database
    Restore(crate::restore::Args),
    /// Copy everything from a data folder into a PostgreSQL database, or back
    Migrate(crate::migrate::Args),
    /// Check what is stored: fold the log and compare
    Verify(crate::verify::Args),

    /// Facts: emit, list, follow, replay
    Signal(signal::Signal),
    /// Executions of workflows: watch, explain, pause, retry, cancel
    Run(run::Run),
    /// Steps of runs: skip, complete, answer, report
    Step(step::Step),
    /// What waits for somebody's answer: list, answer
    Input(input::Input),
    /// Definitions of what follows from signals: validate, draw, compare, apply, pause
    Workflow(workflow::Workflow),
    /// Definitions of agents: validate, apply, list
    Agent(agent::Agent),
    /// Times at which signals come: apply, preview, pause, trigger, backfill
    Schedule(schedule::Schedule),
    /// Intents, the only road to a side effect: list, request, report, cancel
    Directive(directive::Directive),
    /// Which directives there are, and who carries them out
    DirectiveType(directive_type::DirectiveType),
    /// Functions that steps may call: the engine's own, and your own: apply, list, show
    Function(function::Function),
    /// Modules of WebAssembly that functions are called in: add, list, remove
    Module(module::Module),
    /// Programs that perform functions and directives: list
    Worker(worker::Worker),

    /// Processes that share a database: list, drain, undrain
    Node(node::Node),

    /// Organizations, each with a scope of its own
    Tenant(tenant::Tenant),
    /// API keys
    Key(key::Key),
    /// Say which tenant and key this command line speaks for
    Whoami(whoami::Whoami),
    /// Explain a code, like FP0103 or payload_invalid
    Explain(explain::Explain),
    /// Print the JSON Schema of a definition, for editors
    Schema(schema::Schema),
    /// Print a completion script for a shell
    Completions(completions::Completions),
}

pub async fn run(cli: Cli) -> ExitCode {
    let done = match cli.command {
        Command::Demo(args) => crate::demo::run(args).await,
        Command::Dev(args) => crate::dev::run(args).await,
        Command::Serve(args) => crate::serve::run(args).await,
        Command::Doctor(args) => crate::doctor::run(args).await,
        Command::Backup(args) => crate::backup::run(args).await,
        Command::Restore(args) => crate::restore::run(args).await,
        Command::Migrate(args) => crate::migrate::run(args).await,
        Command::Verify(args) => crate::verify::run(args).await,
        Command::Signal(noun) => noun.run().await,
        Command::Run(noun) => noun.run().await,
        Command::Step(noun) => noun.run().await,
        Command::Input(noun) => noun.run().await,
        Command::Workflow(noun) => noun.run().await,
        Command::Agent(noun) => noun.run().await,
        Command::Schedule(noun) => noun.run().await,
        Command::Directive(noun) => noun.run().await,
        Command::DirectiveType(noun) => noun.run().await,
        Command::Function(noun) => noun.run().await,
        Command::Module(noun) => noun.run().await,
        Command::Worker(noun) => noun.run().await,
        Command::Node(noun) => noun.run().await,
        Command::Tenant(noun) => noun.run().await,
        Command::Key(noun) => noun.run().await,
        Command::Whoami(verb) => verb.run().await,
        Command::Explain(verb) => verb.run(),
        Command::Schema(verb) => verb.run(),
        Command::Completions(verb) => verb.run(),
    };
    done.unwrap_or_else(|error| exit::told(&error))
}

#[cfg(test)]
mod tests;
