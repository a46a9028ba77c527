//! Which connections are open, how many may be, and what became of the others: counted for the metrics, and logged at
//! most once a minute.

use std::collections::HashMap;
use std::fmt::Write;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::Notify;

const LOGGED_EVERY: Duration = Duration::from_secs(60);

/// How many connections may be open at once.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    pub all: usize,
    pub of_one_address: usize,
}

impl Limits {
    pub const NONE: Self = Self { all: usize::MAX, of_one_address: usize::MAX };
}

/// Why a connection was refused or closed by the server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Event {
    /// As many connections are open as may be.
    RefusedTotal,
    /// The same of one address.
    RefusedAddress,
    /// The system gave no connection, for example at its limit of open files.
    AcceptFailed,
    /// The head of a request did not arrive in time.
    HeadTimedOut,
    /// The body of a request stopped arriving.
    BodyTimedOut,
    /// No request came for long.
    IdleTimedOut,
    /// The client stopped reading a response.
    WriteTimedOut,
}

impl Event {
    const ALL: [(Self, &str); 7] = [
        (Self::RefusedTotal, "total"),
        (Self::RefusedAddress, "address"),
        (Self::AcceptFailed, "accept"),
        (Self::HeadTimedOut, "head"),
        (Self::BodyTimedOut, "body"),
        (Self::IdleTimedOut, "idle"),
        (Self::WriteTimedOut, "write"),
    ];

    fn is_refusal(self) -> bool {
        matches!(self, Self::RefusedTotal | Self::RefusedAddress | Self::AcceptFailed)
    }
}

#[derive(Debug, Default)]
pub struct Connections {
    open: Mutex<Open>,
    events: [AtomicU64; Event::ALL.len()],
    accept_error: Mutex<Option<String>>,
    to_log: Notify,
}

#[derive(Debug, Default)]
struct Open {
    all: usize,
    by_address: HashMap<IpAddr, usize>,
}

/// One connection, counted until this is dropped.
pub struct Admitted {
    connections: Arc<Connections>,
    address: IpAddr,
}

impl Connections {
    /// Counts a connection, or returns `None` when it is beyond a limit.
    pub fn admit(self: &Arc<Self>, address: IpAddr, limits: Limits) -> Option<Admitted> {
        let address = network(address);
        let refused = {
            let mut open = self.open.lock();
            let of_address = open.by_address.get(&address).copied().unwrap_or(0);
            if open.all >= limits.all {
                Event::RefusedTotal
            } else if of_address >= limits.of_one_address {
                Event::RefusedAddress
            } else {
                open.all += 1;
                open.by_address.insert(address, of_address + 1);
                return Some(Admitted { connections: self.clone(), address });
            }
        };
        self.count(refused);
        None
    }

    pub fn open(&self) -> usize {
        self.open.lock().all
    }

    pub fn counted(&self, event: Event) -> u64 {
        self.events[event as usize].load(Ordering::Relaxed)
    }

    pub fn count(&self, event: Event) {
        self.events[event as usize].fetch_add(1, Ordering::Relaxed);
        // An idle connection that is closed is no news.
        if event != Event::IdleTimedOut {
            self.to_log.notify_one();
        }
    }

    pub fn accept_failed(&self, error: &std::io::Error) {
        *self.accept_error.lock() = Some(error.to_string());
        self.count(Event::AcceptFailed);
    }

    /// Logs the first event at once, and those that follow together, once a minute.
    pub async fn report(&self, limits: Limits) {
        let mut logged = Event::ALL.map(|_| 0);
        loop {
            self.to_log.notified().await;
            let now = Event::ALL.map(|(event, _)| self.counted(event));
            let new = |event: Event| now[event as usize] - logged[event as usize];
            tracing::warn!(
                target: "http",
                open = self.open(),
                connections_max = limits.all,
                connections_per_address = limits.of_one_address,
                refused_total = new(Event::RefusedTotal),
                refused_address = new(Event::RefusedAddress),
                accept_failed = new(Event::AcceptFailed),
                accept_error = self.accept_error.lock().take(),
                head_timed_out = new(Event::HeadTimedOut),
                body_timed_out = new(Event::BodyTimedOut),
                write_timed_out = new(Event::WriteTimedOut),
                "connections were refused or timed out since the last such line"
            );
            logged = now;
            tokio::time::sleep(LOGGED_EVERY).await;
        }
    }

    /// As lines of OpenMetrics.
    pub fn render(&self, into: &mut String) {
        into.push_str("# HELP fleetprompt_http_connections Connections that are open.\n");
        into.push_str("# TYPE fleetprompt_http_connections gauge\n");
        let _ = writeln!(into, "fleetprompt_http_connections {}", self.open());
        let mut counter = |name: &str, help: &str, is_refusal: bool| {
            let _ = writeln!(into, "# HELP fleetprompt_http_connections_{name} {help}");
            let _ = writeln!(into, "# TYPE fleetprompt_http_connections_{name} counter");
            for (event, reason) in Event::ALL.into_iter().filter(|(event, _)| event.is_refusal() == is_refusal) {
                let count = self.counted(event);
                let _ = writeln!(into, "fleetprompt_http_connections_{name}_total{{reason=\"{reason}\"}} {count}");
            }
        };
        counter("refused", "Connections that were refused, by reason.", true);
        counter("timed_out", "Connections and bodies that timed out, by what did not come.", false);
    }
}

impl Drop for Admitted {
    fn drop(&mut self) {
        let mut open = self.connections.open.lock();
        open.all -= 1;
        if let Some(count) = open.by_address.get_mut(&self.address) {
            *count -= 1;
            if *count == 0 {
                open.by_address.remove(&self.address);
            }
        }
    }
}

/// An IPv6 host usually has a whole /64 to itself, so that counts as one address.
fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V4(address) => address.into(),
        IpAddr::V6(address) => Ipv6Addr::from_bits(address.to_bits() >> 64 << 64).into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn connections_are_limited_in_total_and_per_address() {
        let connections = Arc::new(Connections::default());
        let limits = Limits { all: 3, of_one_address: 2 };
        let admit = |address: &str| connections.admit(address.parse().expect("an address"), limits);
        let first = admit("2001:db8::1");
        let second = admit("2001:db8::2");
        assert!(first.is_some() && second.is_some());
        assert!(admit("2001:db8::3").is_none(), "the same /64");
        let third = admit("::ffff:192.0.2.1");
        assert!(third.is_some());
        assert!(admit("192.0.2.2").is_none(), "no more in total");
        drop(second);
        assert!(
            admit("2001:db8::3")
                .is_some_and(|admitted| admitted.address == "2001:db8::".parse::<IpAddr>().expect("an address"))
        );
        drop((first, third));
        assert_eq!((connections.open(), connections.open.lock().by_address.len()), (0, 0));
        assert_eq!((connections.counted(Event::RefusedAddress), connections.counted(Event::RefusedTotal)), (1, 1));
    }
}
