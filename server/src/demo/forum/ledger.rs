//! A file of JSON lines, each on disk before `append` returns.
//!
//! A line that has no end was being written when the process died. Nobody was told of it, so it is
//! cut off on opening. A broken line anywhere else is damage, and opening refuses.

use std::fs::{File, OpenOptions};
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::Path;

use anyhow::Context;
use serde::Serialize;
use serde::de::DeserializeOwned;

pub struct Ledger {
    file: File,
    /// Everything before this was acknowledged by the disk.
    bytes: u64,
}

impl Ledger {
    pub fn open<T: DeserializeOwned>(path: &Path) -> anyhow::Result<(Self, Vec<T>)> {
        let mut file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(path)
            .with_context(|| format!("opening the ledger {}", path.display()))?;
        let mut content = Vec::new();
        file.read_to_end(&mut content).with_context(|| format!("reading the ledger {}", path.display()))?;
        let whole = content.iter().rposition(|&byte| byte == b'\n').map_or(0, |end| end + 1);
        let mut entries = Vec::new();
        for (index, line) in content[..whole].split_inclusive(|&byte| byte == b'\n').enumerate() {
            let entry = serde_json::from_slice(line)
                .with_context(|| format!("{}:{}: not a line of this ledger", path.display(), index + 1))?;
            entries.push(entry);
        }
        let mut ledger = Self { file, bytes: whole as u64 };
        ledger.cut_back().with_context(|| format!("repairing the ledger {}", path.display()))?;
        Ok((ledger, entries))
    }

    pub fn append(&mut self, entry: &impl Serialize) -> std::io::Result<()> {
        let mut line = serde_json::to_vec(entry)?;
        line.push(b'\n');
        let written = self.file.write_all(&line).and_then(|()| self.file.sync_data());
        match written {
            Ok(()) => self.bytes += line.len() as u64,
            // Half a line must not become the beginning of the next one.
            Err(_) => self.cut_back()?,
        }
        written
    }

    fn cut_back(&mut self) -> std::io::Result<()> {
        self.file.set_len(self.bytes)?;
        self.file.seek(SeekFrom::Start(self.bytes))?;
        self.file.sync_all()
    }
}
