//! `fleetprompt demo`: the whole path on one screen. A forum of our own is the outside world; each
//! thread opened in it becomes a signal, a directive, a run, an agent's step, and one post.

mod forum;
mod story;

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, bail, ensure};
use fleetprompt_client::{Client, wire};
use fleetprompt_core::document::Format;
use fleetprompt_core::tenant::Role;
use fleetprompt_core::{Json, Party, Slug};
use fleetprompt_engine::Engine;
use serde::Deserialize;
use serde_json::{Value, json};

pub use forum::{Forum, ForumSettings, serve as serve_forum};

use crate::node::{Node, asked_to_end};
use crate::place::OpenFolder;
use crate::settings::Settings;
use story::Story;

const WORKFLOW: &str = include_str!("../../../examples/forum-triage/workflow.json");
const AGENT: &str = include_str!("../../../examples/forum-triage/agents/forum_summary_agent.json");
const DIRECTIVE_TYPE: &str = include_str!("../../../examples/forum-triage/directives/forum.post.create.json");
const THREADS: &str = include_str!("../../../examples/forum-triage/threads.json");

/// How long all threads together may take to get their post.
const PATIENCE: Duration = Duration::from_secs(180);

#[derive(Debug, clap::Args)]
pub struct Args {
    /// Keep everything in this folder; a temporary one is removed at the end
    #[arg(long, value_name = "DIR")]
    pub data: Option<PathBuf>,
    /// End by itself: with status 0 if every thread got exactly one post
    #[arg(long)]
    pub exit: bool,
    /// Only run the forum, at this address, with what it knows in --data
    #[arg(long, value_name = "ADDRESS:PORT", hide = true)]
    pub forum_only: Option<std::net::SocketAddr>,
    /// Sign and check deliveries with this secret (with --forum-only)
    #[arg(long, hide = true, requires = "forum_only")]
    pub forum_secret: Option<String>,
}

#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Thread {
    id: String,
    title: String,
    author: String,
    category: String,
    body: String,
    created_at: String,
}

pub async fn run(args: Args) -> anyhow::Result<ExitCode> {
    if let Some(listen) = args.forum_only {
        forum::serve(listen, args.data.map(|data| data.join("forum.jsonl")), args.forum_secret).await?;
        return Ok(ExitCode::SUCCESS);
    }
    let temporary = args.data.is_none().then(tempfile::tempdir).transpose()?;
    let data = args.data.as_deref().or(temporary.as_ref().map(|folder| folder.path())).context("a folder was made")?;
    let threads: Vec<Thread> = serde_json::from_str(THREADS).context("the demo's threads")?;

    let world = World::start(data).await?;
    let mut story = Story::begin(&world, temporary.is_none().then_some(data), &threads);
    let told = tell(&world, &mut story, &threads).await;
    if told.is_ok() && !args.exit {
        story.look_around(&world);
        asked_to_end().await;
    }
    world.stop().await?;
    told
}

/// Opens every thread, follows what becomes of it, and says how it went.
async fn tell(world: &World, story: &mut Story, threads: &[Thread]) -> anyhow::Result<ExitCode> {
    let opened = async {
        for thread in threads {
            world.open(thread).await?;
            // A little apart, so that one can follow.
            tokio::time::sleep(Duration::from_millis(120)).await;
        }
        anyhow::Ok(())
    };
    let followed = async { tokio::time::timeout(PATIENCE, story.follow(world, threads.len())).await };
    let (opened, followed) = tokio::join!(opened, followed);
    opened?;
    followed.context("not every run ended in time")??;
    story.timeline(world).await?;
    let once = story.verdict(&world.forum.posts(), threads);
    Ok(if once { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// The server, the forum, and the key that the forum speaks with.
pub(crate) struct World {
    node: Node,
    engine: Engine,
    forum: Forum,
    client: Client,
    key: String,
    tenant: fleetprompt_core::TenantId,
}

impl World {
    async fn start(data: &Path) -> anyhow::Result<Self> {
        let settings = Settings {
            listen: ([127, 0, 0, 1], 0).into(),
            data: data.to_owned(),
            allow_private_endpoints: true,
            ..Settings::default()
        };
        let (node, engine) = Node::alone(OpenFolder::open(data)?, &settings).await?;
        let (tenant, key) = tenant_and_key(&engine).await?;
        let client = Client::new(&node.url(), Some(&key))?;
        let secret = forum_secret(data)?;
        let ledger = Some(data.join("forum.jsonl"));
        let forum = Forum::open(ForumSettings { ledger, secret: Some(secret.clone()), ..Default::default() }).await?;
        let world = Self { node, engine, forum, client, key, tenant };
        world.register(&secret).await?;
        Ok(world)
    }

    /// The agent, the directive that writes posts, and the workflow exactly as it is printed.
    async fn register(&self, secret: &str) -> anyhow::Result<()> {
        let mut directive_type: Value = serde_json::from_str(DIRECTIVE_TYPE)?;
        let handler = &mut directive_type["directive_type"]["handler"];
        handler["url"] = json!(format!("{}/directives/forum.post.create", self.forum.url()));
        handler["secret"] = json!(secret);
        self.client.directive_type_apply(&directive_type.to_string()).await?;
        self.client.agent_apply(AGENT, Format::Json).await?;
        self.client.workflow_apply(WORKFLOW, Format::Json, true).await?;
        Ok(())
    }

    /// What a member does: a thread stands in the forum, and the forum says so.
    async fn open(&self, thread: &Thread) -> anyhow::Result<()> {
        let http = fleetprompt_engine::models::http_client()?;
        let body = json!({
            "id": thread.id, "title": thread.title, "author": thread.author, "category": thread.category,
            "body": thread.body, "created_at": thread.created_at,
        });
        let answer = http.post(format!("{}/threads", self.forum.url())).json(&body).send().await?;
        ensure!(answer.status().is_success(), "the forum answered {}", answer.status());
        let signal = wire::EmitSignal {
            name: "forum.thread.created".parse()?,
            subject: Some(Party::new("thread", &thread.id)),
            actor: Some(Party::new("member", &thread.author)),
            source: Some("demo-forum".into()),
            source_event_id: Some(format!("thread-{}", thread.id)),
            dedupe_key: None,
            correlation_id: None,
            causation_id: None,
            occurred_at: Some(thread.created_at.parse()?),
            payload: Some(Json::from(body)),
        };
        let emitted = self.client.signal_emit(&signal).await?;
        if emitted.dispositions.iter().all(|disposition| disposition.run_id.is_none()) {
            bail!("the signal of thread {} started no run: {:?}", thread.id, emitted.dispositions);
        }
        Ok(())
    }

    async fn stop(self) -> anyhow::Result<()> {
        self.node.stop().await?;
        self.forum.stop().await
    }
}

/// A second visit to the same folder finds its tenant there and only makes a new key.
async fn tenant_and_key(engine: &Engine) -> anyhow::Result<(fleetprompt_core::TenantId, String)> {
    let slug: Slug = "demo".parse()?;
    let actor = Party::new("operator", "demo");
    let known = engine.directory().tenant_by_slug(slug.as_str()).map(|known| known.tenant.id);
    match known {
        Some(tenant) => {
            let created =
                engine.key_create(actor, tenant, fleetprompt_engine::NewKey::of_role("demo", Role::Admin)).await?;
            Ok((tenant, created.secret))
        }
        None => {
            let (tenant, created) = engine.tenant_create(actor, slug, "Demo forum".into(), Role::Owner).await?;
            Ok((tenant.id, created.secret))
        }
    }
}

/// Kept beside the database, so that deliveries left open by a crash are still believed.
fn forum_secret(data: &Path) -> anyhow::Result<String> {
    let path = data.join("forum.secret");
    if let Ok(secret) = std::fs::read_to_string(&path) {
        return Ok(secret);
    }
    let mut bytes = [0; 32];
    getrandom::fill(&mut bytes).map_err(|error| anyhow::anyhow!("the system gives no random bytes: {error}"))?;
    use base64::Engine as _;
    let secret = format!("whsec_{}", base64::engine::general_purpose::STANDARD.encode(bytes));
    std::fs::write(&path, &secret).with_context(|| format!("{} cannot be written", path.display()))?;
    Ok(secret)
}
