//! The HTTP listener: accepts connections within limits, serves each with timeouts, and stops without waiting for
//! clients that send nothing. Every listener of the program is this one.
//!
//! A connection may be opened by anyone, so nothing here depends on a key. What a request may cost after its head was
//! read is decided in `api/body.rs`.

mod body;
mod connection;
mod counts;
mod files;
mod watched;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

pub use self::body::{GuardedBody, Interrupted};
use self::connection::{Server, Timeouts};
pub use self::counts::{Connections, Event, Limits};
pub use self::files::raise_open_files_limit;

/// Pause after the system refused to give a connection, doubled each time it refuses again.
const BACKOFF_MIN: Duration = Duration::from_millis(50);
const BACKOFF_MAX: Duration = Duration::from_secs(1);

/// Serves `router` until `stopped` becomes true and every request that had arrived is answered.
pub async fn serve(
    listener: TcpListener,
    router: Router,
    connections: Arc<Connections>,
    limits: Limits,
    stopped: watch::Receiver<bool>,
) {
    let server = Arc::new(Server::new(router, connections.clone(), Timeouts::default(), stopped.clone()));
    tokio::select! {
        () = accept(listener, server, limits, stopped) => {}
        () = connections.report(limits) => {}
    }
}

async fn accept(listener: TcpListener, server: Arc<Server>, limits: Limits, mut stopped: watch::Receiver<bool>) {
    let (open, all_closed) = watch::channel(());
    let mut backoff = BACKOFF_MIN;
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            _ = stopped.wait_for(|stopped| *stopped) => break,
        };
        match accepted {
            Ok((stream, address)) => {
                backoff = BACKOFF_MIN;
                begin(&server, limits, stream, address, all_closed.clone());
            }
            Err(error) if is_of_one_connection(&error) => {}
            Err(error) => {
                server.connections.accept_failed(&error);
                tokio::select! {
                    () = tokio::time::sleep(backoff) => {}
                    _ = stopped.wait_for(|stopped| *stopped) => break,
                }
                backoff = (backoff * 2).min(BACKOFF_MAX);
            }
        }
    }
    drop((listener, all_closed));
    open.closed().await;
}

fn begin(server: &Arc<Server>, limits: Limits, stream: TcpStream, address: SocketAddr, open: watch::Receiver<()>) {
    let Some(admitted) = server.connections.admit(address.ip(), limits) else {
        // The response is best effort: the connection is closed whether or not the client can read it.
        let _ = stream.try_write(REFUSED);
        return;
    };
    // Responses are small, and a client waits for each of them.
    let _ = stream.set_nodelay(true);
    let server = server.clone();
    tokio::spawn(async move {
        server.serve(stream).await;
        drop((admitted, open));
    });
}

const REFUSED: &[u8] =
    b"HTTP/1.1 503 Service Unavailable\r\nretry-after: 5\r\nconnection: close\r\ncontent-length: 0\r\n\r\n";

/// The client closed its connection before it was accepted.
fn is_of_one_connection(error: &std::io::Error) -> bool {
    use std::io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset};
    matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset)
}
