//! All of a database as it is at one moment, for as long as somebody reads it, while nodes go on: each read is part of
//! one transaction. Nothing is written, no row of a node and no migration either; a role that may only read will do.

use std::time::Duration;

use deadpool_postgres::Pool;
use parking_lot::Mutex;

use super::database::{BEGIN, Connections, Database, Lent, Options, Whose, bounded};
use super::fault::Fault;
use super::{PostgresStore, View, fault, migrations};
use crate::Result;

/// A transaction that is open until this is dropped.
pub struct Held(Mutex<Lent>);

/// Whoever reads may take any time between two reads.
const PATIENT: &str = "SET LOCAL idle_in_transaction_session_timeout = 0";

impl PostgresStore {
    /// Everything, each read as of its own moment: it writes nothing, and a role that may only read will do.
    pub fn open_to_read(url: &str) -> Result<Self> {
        let connections = Connections::open(url, Duration::ZERO)?;
        let partitions = connections.wait(async {
            let client = connections.readers.get().await.map_err(|error| Fault::from(error).while_("connect"))?;
            migrations::check_current(&client).await
        })?;
        let options = Options { node: String::new(), lease: Duration::ZERO, partitions };
        Ok(Database::new(connections, options, partitions).whole())
    }

    /// Everything as it is now, to be read: it writes nothing, and what is written meanwhile is not in it.
    pub fn snapshot(url: &str) -> Result<Self> {
        let connections = Connections::open(url, Duration::ZERO)?;
        let (held, partitions) = connections.wait(Held::begin(&connections.readers))?;
        let options = Options { node: String::new(), lease: Duration::ZERO, partitions };
        let mut store = Database::new(connections, options, partitions).whole();
        store.held = Some(held);
        Ok(store)
    }
}

impl Held {
    async fn begin(pool: &Pool) -> Result<(Self, u16)> {
        let begin = async {
            let lent = Lent::from(pool).await?;
            lent.client().batch_execute(&format!("{BEGIN}; {PATIENT}; {}", Whose::Everybodys.named())).await?;
            Ok(lent)
        };
        let lent = bounded(begin).await.map_err(|fault| fault.while_("connect"))?;
        let partitions = migrations::check_current(lent.client()).await?;
        Ok((Self(Mutex::new(lent)), partitions))
    }

    pub fn read<T>(
        &self,
        connections: &Connections,
        whose: Whose,
        read: impl AsyncFnOnce(&View<'_>) -> fault::Result<T>,
    ) -> fault::Result<T> {
        let (lent, named) = (self.0.lock(), whose.named());
        let (client, view) = (lent.client(), View { client: lent.client() });
        // Sent together: they are answered in order.
        let asking = async {
            let naming = async { Ok(client.batch_execute(&named).await?) };
            tokio::try_join!(naming, read(&view)).map(|((), answer)| answer)
        };
        connections.wait(bounded(asking))
    }
}
