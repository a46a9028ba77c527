//! The ways of the nodes to their database, which the test is in the middle of.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, Shutdown, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// A way to the database that can be cut, and that can fall silent: then what is sent comes late, and nobody is told.
pub struct Way {
    pub port: u16,
    open: Arc<Mutex<Vec<TcpStream>>>,
    is_closed: Arc<AtomicBool>,
    holds: Arc<AtomicBool>,
}

impl Way {
    /// From `address` to a port of the loopback interface.
    pub fn from(address: Ipv4Addr, database: u16) -> Self {
        let listener = TcpListener::bind((address, 0)).unwrap();
        let way = Self {
            port: listener.local_addr().unwrap().port(),
            open: Arc::default(),
            is_closed: Arc::default(),
            holds: Arc::default(),
        };
        let (open, is_closed, holds) = (way.open.clone(), way.is_closed.clone(), way.holds.clone());
        std::thread::spawn(move || {
            for client in listener.incoming().flatten() {
                let Ok(server) = TcpStream::connect((Ipv4Addr::LOCALHOST, database)) else { continue };
                if is_closed.load(Ordering::SeqCst) {
                    continue;
                }
                let again = |stream: &TcpStream| stream.try_clone().unwrap();
                open.lock().unwrap().extend([again(&client), again(&server)]);
                for (from, to) in [(again(&client), again(&server)), (server, client)] {
                    let holds = holds.clone();
                    std::thread::spawn(move || {
                        let _ = pass_on(&from, &to, &holds);
                        let _ = to.shutdown(Shutdown::Both);
                        let _ = from.shutdown(Shutdown::Both);
                    });
                }
            }
        });
        way
    }

    /// Everything that is on its way is lost; the next connection comes through.
    pub fn cut(&self) {
        for stream in self.open.lock().unwrap().drain(..) {
            let _ = stream.shutdown(Shutdown::Both);
        }
    }

    pub fn close(&self, is_closed: bool) {
        self.is_closed.store(is_closed, Ordering::SeqCst);
        self.cut();
    }

    pub fn hold(&self, holds: bool) {
        self.holds.store(holds, Ordering::SeqCst);
    }
}

fn pass_on(mut from: &TcpStream, mut to: &TcpStream, holds: &AtomicBool) -> std::io::Result<()> {
    let mut buffer = [0; 16 << 10];
    loop {
        let read = from.read(&mut buffer)?;
        if read == 0 {
            return Ok(());
        }
        while holds.load(Ordering::SeqCst) {
            std::thread::sleep(Duration::from_millis(5));
        }
        to.write_all(&buffer[..read])?;
    }
}
