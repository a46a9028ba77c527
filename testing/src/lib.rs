//! A real PostgreSQL for a test: started by it, in a folder of its own, and gone with it.
//!
//! It needs the programs of a PostgreSQL server, which Debian has in the package `postgresql`; a test that cannot find
//! them fails. The database does not outlive the machine, so it need not sync.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use tempfile::TempDir;

pub struct Postgres {
    folder: TempDir,
    programs: PathBuf,
    settings: Vec<String>,
    server: Child,
    databases: AtomicU32,
}

const USER: &str = "fleetprompt";
const START_MAX: Duration = Duration::from_secs(60);

impl Postgres {
    pub fn start() -> Self {
        Self::start_with(&[])
    }

    /// With settings as they stand in `postgresql.conf`: `port=5433`. With `ssl=on` it has a certificate of its own,
    /// for `localhost`.
    pub fn start_with(settings: &[&str]) -> Self {
        let programs = programs();
        let folder = TempDir::with_prefix("fp-postgres-").expect("a temporary folder");
        // The server is another user's when we are root.
        fs::set_permissions(folder.path(), Permissions::from_mode(0o777)).expect("it is ours");
        let data = folder.path().join("data");
        run(as_a_user(&programs.join("initdb")).arg("--pgdata").arg(&data).args([
            "--username",
            "postgres",
            "--auth",
            "trust",
            "--encoding",
            "UTF8",
            "--no-locale",
            "--no-sync",
        ]));
        if settings.contains(&"ssl=on") {
            run(as_a_user(Path::new("openssl"))
                .args(["req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=localhost"])
                .args(["-addext", "subjectAltName=DNS:localhost", "-addext", "basicConstraints=critical,CA:FALSE"])
                .arg("-keyout")
                .arg(data.join("server.key"))
                .arg("-out")
                .arg(data.join("server.crt")));
        }
        let settings: Vec<String> = settings.iter().map(|setting| (*setting).to_owned()).collect();
        let server = serve(&programs, folder.path(), &settings);
        let this = Self { folder, programs, settings, server, databases: AtomicU32::new(0) };
        this.until_ready();
        this.sql("postgres", &format!("CREATE ROLE {USER} LOGIN"));
        this
    }

    /// The address of a new database, whose owner is no superuser.
    pub fn database(&self) -> String {
        let number = self.databases.fetch_add(1, Ordering::Relaxed);
        self.sql("postgres", &format!("CREATE DATABASE fp{number} OWNER {USER}"));
        self.address(number)
    }

    /// The address of the last database that was made.
    pub fn database_address(&self) -> String {
        self.address(self.databases.load(Ordering::Relaxed) - 1)
    }

    fn address(&self, number: u32) -> String {
        let socket = self.folder.path().to_str().expect("temporary folders have plain names").replace('/', "%2F");
        format!("postgres://{USER}@{socket}/fp{number}")
    }

    /// With `ssl=on`, what tells who it is.
    pub fn certificate(&self) -> PathBuf {
        self.folder.path().join("data/server.crt")
    }

    /// What a superuser sees and does, in the last database that was made: rows as lines, columns apart by `|`.
    pub fn ask(&self, sql: &str) -> String {
        self.sql(&format!("fp{}", self.databases.load(Ordering::Relaxed) - 1), sql)
    }

    /// As after a loss of power, but for what the system had not yet written.
    pub fn kill(&mut self) {
        let pid = self.server.id().to_string();
        run(Command::new("kill").args(["-QUIT", &pid]));
        self.server.wait().expect("it ends");
    }

    pub fn start_again(&mut self) {
        self.server = serve(&self.programs, self.folder.path(), &self.settings);
        self.until_ready();
    }

    fn sql(&self, database: &str, sql: &str) -> String {
        run(self.psql(database).args(["--command", sql]))
    }

    fn psql(&self, database: &str) -> Command {
        let mut psql = Command::new(self.programs.join("psql"));
        psql.args(["--no-psqlrc", "--quiet", "--tuples-only", "--no-align", "--set", "ON_ERROR_STOP=1"]);
        psql.args(["--username", "postgres", "--dbname", database, "--host"]).arg(self.folder.path());
        if let Some(port) = self.settings.iter().find_map(|setting| setting.strip_prefix("port=")) {
            psql.args(["--port", port]);
        }
        psql
    }

    fn until_ready(&self) {
        let begun = Instant::now();
        while !self.psql("postgres").args(["--command", "SELECT 1"]).output().expect("psql runs").status.success() {
            assert!(begun.elapsed() < START_MAX, "PostgreSQL did not start");
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        // At once: nobody will read it again.
        let _ = Command::new("kill").args(["-QUIT", &self.server.id().to_string()]).status();
        let _ = self.server.wait();
    }
}

/// A pgbouncer before a server, gone with this.
pub struct Pgbouncer {
    _folder: TempDir,
    child: Child,
    port: u16,
}

impl Pgbouncer {
    pub fn start(before: &Postgres, pool_mode: &str) -> Self {
        let folder = TempDir::with_prefix("fp-pgbouncer-").expect("a temporary folder");
        fs::set_permissions(folder.path(), Permissions::from_mode(0o777)).expect("it is ours");
        let port =
            std::net::TcpListener::bind("127.0.0.1:0").and_then(|free| free.local_addr()).expect("a port").port();
        let users = folder.path().join("users");
        fs::write(&users, format!("\"{USER}\" \"\"\n")).expect("a file");
        let settings = folder.path().join("settings");
        let text = format!(
            "[databases]\n* = host={}\n[pgbouncer]\nlisten_addr = 127.0.0.1\nlisten_port = {port}\nunix_socket_dir =\n\
             auth_type = trust\nauth_file = {}\npool_mode = {pool_mode}\n",
            before.folder.path().display(),
            users.display()
        );
        fs::write(&settings, text).expect("a file");
        let mut pgbouncer = as_a_user(Path::new("pgbouncer"));
        let child = pgbouncer.arg(&settings).stdout(Stdio::null()).stderr(Stdio::null()).spawn();
        let child = child.expect("pgbouncer is not installed: on Debian, `apt-get install pgbouncer`");
        let begun = Instant::now();
        while std::net::TcpStream::connect(("127.0.0.1", port)).is_err() {
            assert!(begun.elapsed() < START_MAX, "pgbouncer did not start");
            std::thread::sleep(Duration::from_millis(20));
        }
        Self { _folder: folder, child, port }
    }

    /// The same database as that of `address`, through it.
    pub fn address(&self, address: &str) -> String {
        let name = address.rsplit('/').next().expect("a name");
        format!("postgres://{USER}@127.0.0.1:{}/{name}?sslmode=disable", self.port)
    }
}

impl Drop for Pgbouncer {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn serve(programs: &Path, folder: &Path, settings: &[String]) -> Child {
    let mut postgres = as_a_user(&programs.join("postgres"));
    postgres.arg("-D").arg(folder.join("data")).arg("-k").arg(folder);
    let own = ["listen_addresses=", "fsync=off", "full_page_writes=off", "shared_buffers=32MB", "max_connections=60"];
    for setting in own.into_iter().chain(settings.iter().map(String::as_str)) {
        postgres.args(["-c", setting]);
    }
    let log = fs::OpenOptions::new().create(true).append(true).open(folder.join("log")).expect("a log");
    postgres.stdout(Stdio::null()).stderr(log).spawn().unwrap_or_else(|error| panic!("{postgres:?}: {error}"))
}

/// PostgreSQL does not run as root. It ends when the thread that started it does, however that ends.
fn as_a_user(program: &Path) -> Command {
    let is_root = run(Command::new("id").arg("--user")).trim() == "0";
    let mut command = Command::new("setpriv");
    command.args(["--pdeathsig", "QUIT"]);
    if is_root {
        command.args(["--reuid", "postgres", "--regid", "postgres", "--clear-groups"]);
    }
    command.arg("--").arg(program).current_dir("/");
    command
}

/// Those of the newest version that is installed.
fn programs() -> PathBuf {
    let folders = fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    let mut debian: Vec<PathBuf> = folders.map(|version| version.path().join("bin")).collect();
    debian.sort();
    let path = std::env::var_os("PATH").unwrap_or_default();
    let mut folders = debian.into_iter().rev().chain(std::env::split_paths(&path));
    let found = folders.find(|folder| folder.join("initdb").exists());
    found.expect("PostgreSQL is not installed: on Debian, `apt-get install postgresql`")
}

fn run(command: &mut Command) -> String {
    let output = command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).into_owned()
}
