//! What the forum knows: threads, posts, and which idempotency key became which post.
//!
//! Every change is an entry that goes to the ledger first and into memory second, and opening a
//! ledger is the same entries over again. A post and the key that asked for it are one entry, so
//! there is no moment in which one of them is known without the other.

use std::collections::HashMap;
use std::path::Path;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::ledger::Ledger;

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Thread {
    pub id: String,
    pub title: String,
    pub author: String,
    pub category: String,
    pub body: String,
    pub created_at: Timestamp,
}

/// A thread as somebody submits it. The id and the time may be left to the forum.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NewThread {
    pub id: Option<String>,
    pub title: String,
    pub author: String,
    pub category: String,
    pub body: String,
    pub created_at: Option<Timestamp>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Post {
    pub id: String,
    pub thread_id: String,
    pub author: String,
    pub content: String,
    pub created_at: Timestamp,
}

/// The payload of `forum.post.create`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NewPost {
    pub thread_id: String,
    pub content: String,
}

/// One arrival of a directive, perhaps not the first of its key.
pub struct Delivery<'a> {
    pub idempotency_key: String,
    pub directive_id: String,
    pub run_id: Option<String>,
    pub attempt: u32,
    pub payload: NewPost,
    pub forum_url: &'a str,
}

/// What one idempotency key did here, once, and how often it was asked for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Effect {
    pub idempotency_key: String,
    pub directive_id: String,
    pub run_id: Option<String>,
    pub post_id: String,
    pub thread_id: String,
    pub url: String,
    /// Deliveries answered with this effect since the forum started; 0 when it only read of it.
    #[serde(default)]
    pub deliveries: u64,
    /// The attempt that each of the first deliveries said it was.
    #[serde(default)]
    pub attempts: Vec<u32>,
}

#[derive(Debug, thiserror::Error)]
pub enum Refused {
    #[error("there is no thread `{0}`")]
    UnknownThread(String),
    #[error("there already is another thread `{0}`")]
    ThreadExists(String),
    #[error("the idempotency key `{key}` was used before, for another post (`{post_id}`)")]
    KeyReused { key: String, post_id: String },
    #[error("`{field}` needs 1 to {chars_max} characters")]
    Text { field: &'static str, chars_max: usize },
    #[error("the ledger cannot be written: {0}")]
    Ledger(#[from] std::io::Error),
}

/// A line of the ledger.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Entry {
    Thread(Thread),
    Post(Post),
    Effect { effect: Effect, post: Post },
}

/// Where the effect of a key and its post stand in their lists.
#[derive(Clone, Copy)]
struct Performed {
    effect: usize,
    post: usize,
}

#[derive(Default)]
pub struct Board {
    threads: Vec<Thread>,
    thread_by_id: HashMap<String, usize>,
    posts: Vec<Post>,
    effects: Vec<Effect>,
    by_key: HashMap<String, Performed>,
    repeated: u64,
    refused: u64,
    ledger: Option<Ledger>,
}

impl Board {
    pub const KEY_BYTES_MAX: usize = 512;
    const CONTENT_CHARS_MAX: usize = 20_000;
    const LINE_CHARS_MAX: usize = 200;
    /// A delivery that never ends must not fill the memory with its attempts.
    const ATTEMPTS_KEPT: usize = 100;
    /// Who signs the posts that directives write.
    const BOT: &str = "triage-bot";

    pub fn open(ledger: Option<&Path>) -> anyhow::Result<Self> {
        let mut board = Self::default();
        if let Some(path) = ledger {
            let (ledger, entries) = Ledger::open::<Entry>(path)?;
            for entry in entries {
                board.apply(entry);
            }
            board.ledger = Some(ledger);
        }
        Ok(board)
    }

    pub fn threads(&self) -> &[Thread] {
        &self.threads
    }

    pub fn thread(&self, id: &str) -> Result<&Thread, Refused> {
        let place = self.thread_by_id.get(id).ok_or_else(|| Refused::UnknownThread(shown(id)))?;
        Ok(&self.threads[*place])
    }

    pub fn posts(&self) -> &[Post] {
        &self.posts
    }

    pub fn posts_of<'a>(&'a self, thread_id: &'a str) -> impl Iterator<Item = &'a Post> {
        self.posts.iter().filter(move |post| post.thread_id == thread_id)
    }

    pub fn effects(&self) -> &[Effect] {
        &self.effects
    }

    /// Deliveries of a key that had had its effect already.
    pub fn repeated(&self) -> u64 {
        self.repeated
    }

    /// Deliveries that were understood and turned down.
    pub fn refused(&self) -> u64 {
        self.refused
    }

    /// The thread, and whether it is new: to open the same thread twice is to open it once.
    pub fn open_thread(&mut self, new: NewThread) -> Result<(Thread, bool), Refused> {
        let thread = self.checked(new)?;
        if let Ok(known) = self.thread(&thread.id) {
            let same = Thread { created_at: known.created_at, ..thread };
            return if same == *known { Ok((same, false)) } else { Err(Refused::ThreadExists(same.id)) };
        }
        self.record(Entry::Thread(thread.clone()))?;
        Ok((thread, true))
    }

    pub fn write_post(&mut self, author: &str, new: NewPost) -> Result<Post, Refused> {
        text("author", author, Self::LINE_CHARS_MAX)?;
        let post = self.next_post(author, new)?;
        self.record(Entry::Post(post.clone()))?;
        Ok(post)
    }

    /// The effect, and whether this delivery is the one that caused it.
    pub fn perform(&mut self, delivery: Delivery<'_>) -> Result<(Effect, bool), Refused> {
        let performed = match self.by_key.get(&delivery.idempotency_key) {
            Some(&performed) => self.repeat(performed, &delivery).map(|effect| (effect, false)),
            None => self.perform_first(delivery).map(|effect| (effect, true)),
        };
        self.refused += u64::from(performed.is_err());
        performed
    }

    fn repeat(&mut self, performed: Performed, delivery: &Delivery<'_>) -> Result<Effect, Refused> {
        let (effect, post) = (&mut self.effects[performed.effect], &self.posts[performed.post]);
        if post.thread_id != delivery.payload.thread_id || post.content != delivery.payload.content {
            return Err(Refused::KeyReused { key: effect.idempotency_key.clone(), post_id: post.id.clone() });
        }
        self.repeated += 1;
        effect.count(delivery.attempt);
        Ok(effect.clone())
    }

    fn perform_first(&mut self, delivery: Delivery<'_>) -> Result<Effect, Refused> {
        let post = self.next_post(Self::BOT, delivery.payload)?;
        let mut effect = Effect {
            idempotency_key: delivery.idempotency_key,
            directive_id: delivery.directive_id,
            run_id: delivery.run_id,
            post_id: post.id.clone(),
            url: format!("{}/threads/{}/posts#{}", delivery.forum_url, post.thread_id, post.id),
            thread_id: post.thread_id.clone(),
            deliveries: 0,
            attempts: Vec::new(),
        };
        self.record(Entry::Effect { effect: effect.clone(), post })?;
        let recorded = self.effects.last_mut().expect("it was recorded just now");
        recorded.count(delivery.attempt);
        effect.clone_from(recorded);
        Ok(effect)
    }

    fn checked(&self, new: NewThread) -> Result<Thread, Refused> {
        let id = new.id.unwrap_or_else(|| format!("t-{}", self.threads.len() + 1));
        for (field, value) in [("id", &id), ("title", &new.title), ("author", &new.author), ("category", &new.category)]
        {
            text(field, value, Self::LINE_CHARS_MAX)?;
        }
        text("body", &new.body, Self::CONTENT_CHARS_MAX)?;
        let created_at = new.created_at.unwrap_or_else(Timestamp::now);
        Ok(Thread { id, title: new.title, author: new.author, category: new.category, body: new.body, created_at })
    }

    fn next_post(&self, author: &str, new: NewPost) -> Result<Post, Refused> {
        self.thread(&new.thread_id)?;
        text("content", &new.content, Self::CONTENT_CHARS_MAX)?;
        Ok(Post {
            id: format!("post_{}", self.posts.len() + 1),
            thread_id: new.thread_id,
            author: author.to_owned(),
            content: new.content,
            created_at: Timestamp::now(),
        })
    }

    /// On disk, then in memory, then in the answer.
    fn record(&mut self, entry: Entry) -> Result<(), Refused> {
        if let Some(ledger) = &mut self.ledger {
            ledger.append(&entry)?;
        }
        self.apply(entry);
        Ok(())
    }

    fn apply(&mut self, entry: Entry) {
        match entry {
            Entry::Thread(thread) => {
                self.thread_by_id.insert(thread.id.clone(), self.threads.len());
                self.threads.push(thread);
            }
            Entry::Post(post) => self.posts.push(post),
            Entry::Effect { effect, post } => {
                let performed = Performed { effect: self.effects.len(), post: self.posts.len() };
                self.by_key.insert(effect.idempotency_key.clone(), performed);
                self.posts.push(post);
                self.effects.push(effect);
            }
        }
    }
}

impl Effect {
    fn count(&mut self, attempt: u32) {
        self.deliveries += 1;
        if self.attempts.len() < Board::ATTEMPTS_KEPT {
            self.attempts.push(attempt);
        }
    }
}

fn text(field: &'static str, value: &str, chars_max: usize) -> Result<(), Refused> {
    let fits = !value.trim().is_empty() && value.chars().take(chars_max + 1).count() <= chars_max;
    if fits { Ok(()) } else { Err(Refused::Text { field, chars_max }) }
}

/// A stranger's text in a message: enough to recognise it.
fn shown(id: &str) -> String {
    id.chars().take(80).collect()
}
