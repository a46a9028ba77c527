//! A host for each node: a network namespace of this machine, joined by a cable that fails when it is told to. The
//! test is in one of its own, with the bridge that all cables lead to, so nothing of it is seen outside.

use std::fs::{File, read_link};
use std::net::Ipv4Addr;
use std::os::fd::AsFd;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

/// Where the test is.
pub const HUB: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 1);
/// Nobody's: what is sent there is lost.
const NOBODY: &str = "02:00:00:00:00:ff";

pub struct Network;

impl Network {
    /// Takes this thread into it, and with it whatever it starts. `None` where the system does not permit that.
    pub fn enter() -> Option<Self> {
        let unshare = Command::new("unshare").args(["--net", "true"]).stderr(Stdio::null()).status();
        if !unshare.is_ok_and(|status| status.success()) {
            return None;
        }
        // It stays for as long as this thread is in it.
        let namespace = File::open(Namespace::new().path()).unwrap();
        move_into_link_name_space(namespace.as_fd(), Some(LinkNameSpaceType::Network)).unwrap();
        run("ip link set lo up");
        run("ip link add hub type bridge");
        run(&format!("ip address add {HUB}/24 dev hub"));
        run("ip link set hub up");
        Some(Self)
    }

    pub fn host(&self, node: usize) -> Host {
        let namespace = Namespace::new();
        let address = Ipv4Addr::from_bits(HUB.to_bits() + 1 + node as u32);
        let host = Host { cable: format!("node{node}"), address, namespace };
        run(&format!("ip link add {} type veth peer name eth0 netns {}", host.cable, host.namespace.keeper.id()));
        run(&format!("ip link set {} master hub up", host.cable));
        host.run("ip link set lo up");
        host.run(&format!("ip address add {address}/24 dev eth0"));
        host.run("ip link set eth0 up");
        host
    }
}

pub struct Host {
    pub address: Ipv4Addr,
    cable: String,
    namespace: Namespace,
}

/// What gets lost on a cable. Nobody is told.
#[derive(Debug, Clone, Copy)]
pub enum Lost {
    Everything,
    ToNode,
    FromNode,
}

impl Host {
    /// Of a program on this host.
    pub fn command(&self, program: &str) -> Command {
        let mut command = Command::new("nsenter");
        command.arg(format!("--net={}", self.namespace.path().display())).arg(program);
        command
    }

    pub fn part(&self, lost: Lost) {
        match lost {
            Lost::Everything => run(&format!("ip link set {} down", self.cable)),
            Lost::ToNode => run(&format!("ip neighbour replace {} lladdr {NOBODY} dev hub", self.address)),
            Lost::FromNode => self.run(&format!("ip neighbour replace {HUB} lladdr {NOBODY} dev eth0")),
        }
    }

    pub fn join(&self, lost: Lost) {
        match lost {
            Lost::Everything => run(&format!("ip link set {} up", self.cable)),
            Lost::ToNode => run(&format!("ip neighbour delete {} dev hub", self.address)),
            Lost::FromNode => self.run(&format!("ip neighbour delete {HUB} dev eth0")),
        }
    }

    fn run(&self, line: &str) {
        let mut words = line.split(' ');
        succeed(self.command(words.next().unwrap()).args(words));
    }
}

/// It is there for as long as somebody is in it: a process that does nothing else, and ends with the test.
struct Namespace {
    keeper: Child,
}

impl Namespace {
    fn new() -> Self {
        let mut keep = Command::new("setpriv");
        keep.args(["--pdeathsig", "KILL", "--", "unshare", "--net", "--", "sleep", "infinity"]);
        let namespace = Self { keeper: keep.spawn().unwrap() };
        let ours = read_link("/proc/thread-self/ns/net").unwrap();
        while read_link(namespace.path()).unwrap() == ours {
            std::thread::sleep(Duration::from_millis(1));
        }
        namespace
    }

    fn path(&self) -> PathBuf {
        format!("/proc/{}/ns/net", self.keeper.id()).into()
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        let _ = self.keeper.kill();
        let _ = self.keeper.wait();
    }
}

fn run(line: &str) {
    let mut words = line.split(' ');
    succeed(Command::new(words.next().unwrap()).args(words));
}

fn succeed(command: &mut Command) {
    let status = command.status().unwrap();
    assert!(status.success(), "{command:?}");
}
