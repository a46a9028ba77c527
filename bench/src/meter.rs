//! What a process costs, as Linux counts it: read from `/proc` and the folder it writes to.

use std::fmt::Display;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use anyhow::Context;

/// `/proc/PID/stat` counts in these, whatever the kernel's own clock: USER_HZ is 100 on Linux.
const TICKS_PER_SECOND: f64 = 100.0;

#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Usage {
    pub cpu_seconds: f64,
    /// Handed to the storage layer; none where the kernel does not tell.
    pub bytes_written: Option<u64>,
    pub memory_mib: f64,
    pub memory_peak_mib: f64,
}

impl Usage {
    /// Of both together; the peak is that of the larger one.
    pub fn and(self, other: Self) -> Self {
        Self {
            cpu_seconds: self.cpu_seconds + other.cpu_seconds,
            bytes_written: self.bytes_written.zip(other.bytes_written).map(|(one, other)| one + other),
            memory_mib: self.memory_mib + other.memory_mib,
            memory_peak_mib: self.memory_peak_mib.max(other.memory_peak_mib),
        }
    }
}

pub fn usage(pid: u32) -> anyhow::Result<Usage> {
    let status = read(pid, "status")?;
    Ok(Usage {
        cpu_seconds: cpu_seconds(&read(pid, "stat")?, OWN).context("read the CPU time of a process")?,
        bytes_written: read(pid, "io").ok().and_then(|io| number_after(&io, "write_bytes:")),
        memory_mib: number_after(&status, "VmRSS:").unwrap_or(0) as f64 / 1024.0,
        memory_peak_mib: number_after(&status, "VmHWM:").unwrap_or(0) as f64 / 1024.0,
    })
}

/// Of a process and all its children, those that have ended included.
pub fn cpu_seconds_of_family(pid: u32) -> anyhow::Result<f64> {
    let children = read(pid, &format!("task/{pid}/children"))?;
    // One that ends meanwhile is counted with its parent.
    let children = children.split_whitespace().filter_map(|child| read(child, "stat").ok());
    let living: f64 = children.filter_map(|stat| cpu_seconds(&stat, OWN)).sum();
    let parent = cpu_seconds(&read(pid, "stat")?, OWN_AND_ENDED).context("read the CPU time of a process")?;
    Ok(living + parent)
}

fn read(pid: impl Display, file: &str) -> anyhow::Result<String> {
    std::fs::read_to_string(format!("/proc/{pid}/{file}"))
        .with_context(|| format!("read /proc/{pid}/{file}: has the process ended?"))
}

/// What all processors together have spent on anything but being idle, since the machine started.
pub fn machine_cpu_seconds() -> anyhow::Result<f64> {
    let stat = std::fs::read_to_string("/proc/stat").context("read /proc/stat")?;
    busy_seconds(&stat).context("read the CPU time of the machine")
}

/// The first line: user, nice, system, idle, waiting for disks, interrupts twice, stolen.
fn busy_seconds(stat: &str) -> Option<f64> {
    let fields = stat.lines().next()?.strip_prefix("cpu ")?.split_whitespace().take(8);
    let ticks: Vec<f64> = fields.map(str::parse).collect::<Result<_, _>>().ok()?;
    let [user, nice, system, _idle, _waiting, interrupts, soft_interrupts, stolen] = ticks[..] else { return None };
    Some((user + nice + system + interrupts + soft_interrupts + stolen) / TICKS_PER_SECOND)
}

/// User and system time.
const OWN: usize = 2;
/// And that of children that have ended.
const OWN_AND_ENDED: usize = 4;

/// Of `/proc/PID/stat`, whose second field may contain anything in brackets.
fn cpu_seconds(stat: &str, fields: usize) -> Option<f64> {
    let times = stat.rsplit_once(") ")?.1.split(' ').skip(11).take(fields);
    let ticks: f64 = times.map(str::parse::<f64>).sum::<Result<_, _>>().ok()?;
    Some(ticks / TICKS_PER_SECOND)
}

fn number_after(text: &str, label: &str) -> Option<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix(label))?;
    line.split_whitespace().next()?.parse().ok()
}

/// Bytes that were written to the files of a folder and are still there: neither holes nor what was
/// only reserved ahead counts. Files that vanish while it is read count as nothing.
pub fn disk_bytes(folder: &Path) -> u64 {
    let Ok(entries) = std::fs::read_dir(folder) else { return 0 };
    let size = |entry: std::fs::DirEntry| match entry.metadata() {
        Ok(metadata) if metadata.is_dir() => disk_bytes(&entry.path()),
        Ok(metadata) => metadata.len().min(metadata.blocks() * 512),
        Err(_) => 0,
    };
    entries.flatten().map(size).sum()
}

/// The syncs that `strace` has written down so far. A call that was interrupted by another thread
/// has a second line, without the bracket.
pub fn syncs(trace: &Path) -> u64 {
    let text = std::fs::read_to_string(trace).unwrap_or_default();
    text.lines().filter(|line| line.contains("sync(")).count() as u64
}

/// The type of the file system that holds `folder`, as mounted: on `tmpfs` a sync costs nothing,
/// and a figure that was measured there says nothing.
pub fn filesystem(folder: &Path) -> Option<String> {
    let folder = folder.canonicalize().ok()?;
    let mounts = std::fs::read_to_string("/proc/self/mounts").ok()?;
    let mounted = mounts.lines().filter_map(|line| {
        let mut fields = line.split(' ').skip(1);
        Some((fields.next()?, fields.next()?))
    });
    let (_, kind) = mounted.filter(|(point, _)| folder.starts_with(point)).max_by_key(|(point, _)| point.len())?;
    Some(kind.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cpu_time_is_found_behind_a_name_with_spaces_and_brackets() {
        let stat = "42 (a) b (c) S 1 42 42 0 -1 4194560 900 0 0 0 150 50 30 20 20 0 9 0 77 1 2 3";
        assert_eq!(cpu_seconds(stat, OWN), Some(2.0));
        assert_eq!(cpu_seconds(stat, OWN_AND_ENDED), Some(2.5));
        assert_eq!(cpu_seconds("nonsense", OWN), None);
    }

    #[test]
    fn the_machine_is_busy_with_everything_but_idling_and_waiting() {
        let stat = "cpu  100 200 300 9999 8888 10 20 70 5 5\ncpu0 1 1 1 1 1 1 1 1 1 1\n";
        assert_eq!(busy_seconds(stat), Some(7.0));
        assert!(machine_cpu_seconds().unwrap() > 0.0);
    }

    #[test]
    fn our_own_process_has_used_memory() {
        let usage = usage(std::process::id()).unwrap();
        assert!(usage.memory_mib > 0.0 && usage.memory_peak_mib >= usage.memory_mib);
    }

    #[test]
    fn a_sync_is_counted_once_even_when_it_was_interrupted() {
        let trace = tempfile::NamedTempFile::new().unwrap();
        let lines = "7 fdatasync(3) = 0\n8 fsync(4 <unfinished ...>\n8 <... fsync resumed>) = 0\n8 +++ exited +++\n";
        std::fs::write(trace.path(), lines).unwrap();
        assert_eq!(syncs(trace.path()), 2);
    }

    #[test]
    fn a_folder_occupies_what_its_files_do() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join("below")).unwrap();
        std::fs::write(folder.path().join("below/file"), vec![7; 100_000]).unwrap();
        std::fs::File::create(folder.path().join("hole")).unwrap().set_len(1 << 20).unwrap();
        assert_eq!(disk_bytes(folder.path()), 100_000);
        assert_eq!(disk_bytes(&folder.path().join("missing")), 0);
    }
}
