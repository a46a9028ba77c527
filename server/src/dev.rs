//! `fleetprompt dev`: a server for the folder one works in. Definitions are applied when they
//! change, and what is wrong with them is shown where it stands.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use anstream::{eprintln, println};
use anyhow::Context;
use fleetprompt_core::diagnostic::{Diagnostic, render};
use fleetprompt_core::document::Format;
use fleetprompt_core::tenant::Role;
use fleetprompt_core::workflow::{self, Catalog};
use fleetprompt_core::{Json, Party, Scope, agent, schedule};
use fleetprompt_engine::{Engine, Error, NewKey, modules};
use notify::{RecursiveMode, Watcher};
use serde_json::Value;
use tokio::sync::mpsc;

use crate::cli::given;
use crate::node::{Node, asked_to_end};
use crate::place::OpenFolder;
use crate::settings::{LogFormat, Settings, log_to_stderr};

#[derive(Debug, clap::Args)]
pub struct Args {
    /// Where to listen for HTTP
    #[arg(long, env = "FLEETPROMPT_LISTEN", value_name = "ADDRESS:PORT", default_value = "127.0.0.1:7070")]
    pub listen: std::net::SocketAddr,
    /// The folder with workflows/, agents/, functions/, directives/ and schedules/
    #[arg(long, value_name = "DIR", default_value = ".")]
    pub dir: PathBuf,
    /// What to log
    #[arg(long, env = "FLEETPROMPT_LOG", value_name = "FILTER", default_value = "warn")]
    pub log: String,
}

pub async fn run(args: Args) -> anyhow::Result<ExitCode> {
    log_to_stderr(&args.log, LogFormat::Text)?;
    let own = args.dir.join(".fleetprompt");
    let settings =
        Settings { listen: args.listen, data: own.clone(), allow_private_endpoints: true, ..Settings::default() };
    let (node, engine) = Node::alone(OpenFolder::open(&settings.data)?, &settings).await?;
    let (scope, key) = scope_and_key(&node, &engine, &own).await?;
    println!("FleetPrompt for development, with what is in {}", args.dir.display());
    println!("  url  {}\n  key  {key}\n  docs {}/docs\n", node.url(), node.url());

    let mut bench = Workbench { engine: &engine, scope, dir: args.dir.clone(), seen: BTreeMap::new() };
    bench.apply_changes().await;
    let (changed, mut changes) = mpsc::channel(16);
    let _watcher = watch(&args.dir, changed)?;
    let end = asked_to_end();
    tokio::pin!(end);
    loop {
        tokio::select! {
            () = &mut end => break,
            Some(()) = changes.recv() => {
                // Editors write a file in several moves; look when they are done.
                tokio::time::sleep(Duration::from_millis(150)).await;
                while changes.try_recv().is_ok() {}
                bench.apply_changes().await;
            }
        }
    }
    node.stop().await?;
    Ok(ExitCode::SUCCESS)
}

/// The tenant `dev` and its key, made at the first start and kept in `.fleetprompt/dev.json`, where
/// the command line looks for them.
async fn scope_and_key(node: &Node, engine: &Engine, own: &Path) -> anyhow::Result<(Scope, String)> {
    let path = own.join("dev.json");
    let kept = std::fs::read_to_string(&path).ok().and_then(|text| serde_json::from_str::<Value>(&text).ok());
    let kept = kept.and_then(|kept| Some(kept["key"].as_str()?.to_owned()));
    let actor = Party::new("operator", "dev");
    let directory = engine.directory();
    let tenant = directory.tenant_by_slug("dev").map(|known| known.tenant.id);
    let (tenant, key) = match (tenant, kept) {
        (Some(tenant), Some(key)) => (tenant, key),
        (Some(tenant), None) => {
            let created = engine.key_create(actor.clone(), tenant, NewKey::of_role("dev", Role::Owner)).await?;
            (tenant, created.secret)
        }
        (None, _) => {
            let created = engine.tenant_create(actor.clone(), "dev".parse()?, "Development".into(), Role::Owner);
            let (tenant, created) = created.await?;
            (tenant.id, created.secret)
        }
    };
    let text = serde_json::to_string_pretty(&serde_json::json!({"url": node.url(), "key": key}))?;
    write_private(&path, &text)?;
    Ok((Scope { tenant, actor }, key))
}

fn write_private(path: &Path, text: &str) -> anyhow::Result<()> {
    use std::io::Write;
    use std::os::unix::fs::OpenOptionsExt;
    let file = std::fs::OpenOptions::new().create(true).truncate(true).write(true).mode(0o600).open(path);
    let mut file = file.with_context(|| format!("{} cannot be written", path.display()))?;
    Ok(file.write_all(text.as_bytes())?)
}

fn watch(dir: &Path, changed: mpsc::Sender<()>) -> anyhow::Result<impl Watcher + use<>> {
    let mut watcher = notify::recommended_watcher(move |event: notify::Result<notify::Event>| {
        let of_ours = |path: &PathBuf| !path.components().any(|part| part.as_os_str() == ".fleetprompt");
        if event.is_ok_and(|event| !event.kind.is_access() && event.paths.iter().any(of_ours)) {
            // A full channel means that somebody is about to look anyway.
            let _ = changed.try_send(());
        }
    })?;
    watcher.watch(dir, RecursiveMode::Recursive).with_context(|| format!("{} cannot be watched", dir.display()))?;
    Ok(watcher)
}

/// The files of the folder, and what they said when they were last applied.
struct Workbench<'a> {
    engine: &'a Engine,
    scope: Scope,
    dir: PathBuf,
    seen: BTreeMap<PathBuf, String>,
}

impl Workbench<'_> {
    /// Agents, functions and directive types first: workflows name them.
    async fn apply_changes(&mut self) {
        for folder in ["agents", "functions", "directives", "workflows", "schedules"] {
            for path in definitions(&self.dir.join(folder)) {
                let text = match std::fs::read_to_string(&path) {
                    Ok(text) => text,
                    Err(error) => {
                        eprintln!("{}: {error}", path.display());
                        continue;
                    }
                };
                let said = said(&path, &text);
                // A workflow that failed may be right now, because of what it names.
                if self.seen.get(&path) == Some(&said) {
                    continue;
                }
                let applied = match folder {
                    "agents" => self.agent(&path, &text).await,
                    "functions" => self.function(&path, &text).await,
                    "directives" => self.directive_type(&path, &text).await,
                    "schedules" => self.schedule(&path, &text).await,
                    _ => self.workflow(&path, &text).await,
                };
                match applied {
                    Ok(line) => {
                        println!("applied   {:<40} {line}", path.display());
                        self.seen.insert(path, said);
                    }
                    Err(complaint) => eprintln!("{complaint}"),
                }
            }
        }
    }

    async fn agent(&self, path: &Path, text: &str) -> Result<String, String> {
        agent::read(text, Format::of(path, text)).map_err(|diagnostics| shown(&diagnostics, text, path))?;
        let applied = self.engine.agent_apply(&self.scope, text.to_owned(), Format::of(path, text)).await;
        let applied = applied.map_err(|error| format!("{}: {error}", path.display()))?;
        Ok(format!("agent {}", applied.entry.slug))
    }

    async fn directive_type(&self, path: &Path, text: &str) -> Result<String, String> {
        let document = Json::parse(text).map_err(|error| format!("{}: {error}", path.display()))?;
        let applied = self.engine.directive_type_apply(&self.scope, document).await;
        let applied = applied.map_err(|error| format!("{}: {error}", path.display()))?;
        let secret = applied.secret.map(|secret| format!("  signed with {secret}")).unwrap_or_default();
        Ok(format!("directive {}{secret}", applied.entry.name))
    }

    async fn function(&self, path: &Path, text: &str) -> Result<String, String> {
        let document = Json::parse(text).map_err(|error| format!("{}: {error}", path.display()))?;
        let mut document = document.value().clone();
        if let Some(file) = given::module_beside(path, &document) {
            let bytes = std::fs::read(&file).map_err(|error| format!("{}: {error}", file.display()))?;
            let added = self.engine.module_add(&self.scope, bytes).await;
            let added = added.map_err(|error| format!("{}: {error}", file.display()))?;
            document["function"]["handler"]["module"] = added.entry.digest.to_string().into();
        }
        let applied = self.engine.function_apply(&self.scope, document.into()).await;
        let applied = applied.map_err(|error| format!("{}: {error}", path.display()))?;
        Ok(format!("function {}", applied.entry.name))
    }

    async fn schedule(&self, path: &Path, text: &str) -> Result<String, String> {
        let format = Format::of(path, text);
        let (_, warnings) = schedule::read(text, format).map_err(|diagnostics| shown(&diagnostics, text, path))?;
        if !warnings.is_empty() {
            eprintln!("{}", shown(&warnings, text, path));
        }
        let applied = self.engine.schedule_apply(&self.scope, text.to_owned(), format).await;
        let applied = applied.map_err(|error| format!("{}: {error}", path.display()))?;
        Ok(format!("schedule {}", applied.entry.slug))
    }

    async fn workflow(&self, path: &Path, text: &str) -> Result<String, String> {
        let format = Format::of(path, text);
        let (workflow, warnings) =
            workflow::read(text, format, &self.catalog()).map_err(|diagnostics| shown(&diagnostics, text, path))?;
        if !warnings.is_empty() {
            eprintln!("{}", shown(&warnings, text, path));
        }
        let engine = self.engine;
        let applied = match engine.workflow_apply(&self.scope, text.to_owned(), format, true).await {
            Err(Error::Refused(refusal)) if refusal.code == "version_exists" => {
                let document = with_build(workflow.document.value(), &workflow.version, &workflow.digest);
                engine.workflow_apply(&self.scope, document, Format::Json, true).await
            }
            applied => applied,
        };
        let applied = applied.map_err(|error| format!("{}: {error}", path.display()))?;
        Ok(format!("workflow {} {}", applied.entry.slug, applied.version.version))
    }

    fn catalog(&self) -> Catalog {
        let directory = self.engine.directory();
        directory.tenant(self.scope.tenant).map(|tenant| tenant.catalog()).unwrap_or_default()
    }
}

/// What a file says, and the module that it names, if it does: that may change without it.
fn said(path: &Path, text: &str) -> String {
    let file = Json::parse(text).ok().and_then(|document| given::module_beside(path, document.value()));
    let module = file.and_then(|file| std::fs::read(file).ok()).map(|bytes| modules::digest(&bytes).to_string());
    format!("{text}{}", module.unwrap_or_default())
}

/// A version never changes; while one works on it, each content is a build of its own.
fn with_build(document: &Value, version: &str, digest: &str) -> String {
    let base = version.split('+').next().unwrap_or(version);
    let mut document = document.clone();
    document["workflow"]["version"] = format!("{base}+dev.{}", &digest[..8.min(digest.len())]).into();
    document.to_string()
}

fn definitions(folder: &Path) -> Vec<PathBuf> {
    let Ok(entries) = std::fs::read_dir(folder) else { return Vec::new() };
    let known = |path: &PathBuf| path.extension().is_some_and(|end| end == "json" || end == "yaml" || end == "yml");
    // Test files may stand beside what they test.
    let is_test = |path: &PathBuf| path.file_stem().is_some_and(|stem| stem.to_string_lossy().ends_with(".test"));
    let mut paths: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).filter(known).collect();
    paths.retain(|path| !is_test(path));
    paths.sort();
    paths
}

fn shown(diagnostics: &[Diagnostic], text: &str, path: &Path) -> String {
    use std::io::IsTerminal;
    render(diagnostics, text, &path.display().to_string(), std::io::stderr().is_terminal())
}
