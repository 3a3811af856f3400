//! A program that hosts a service in a directory of its choice, and keeps a copy of the log in a storage of its own, which it
//! audits there.
//!
//! ```text
//! cargo run --example own_storage
//! ```
//!
//! What is possible today: a host's own cores are files, in a directory that the program chooses; no other storage can be given to
//! [`Vm`]. Copies can lie anywhere: whatever is a [`ReadCore`] can be audited and read. The one below stands for a table of a database.

#![expect(clippy::print_stdout, reason = "an example shows what it does")]

use std::error::Error;
use std::ops::Range;
use std::path::Path;

use libvms::audit::{Audit, Verdict};
use libvms::host::{Deployment, HostOptions, Vm};
use libvms::replay::AuditOptions;
use libvms::storage::{BlockIterator, CoreView, ReadCore, StorageError};
use libvms_hypercore::blocks::{BlockIndex, Length, each};
use libvms_hypercore::identity::PublicKey;
use libvms_hypercore::signed_head::SignedHead;
use libvms_hypercore::tree::Roots;
use libvms_protocol::value::Value;

/// A log in a table: one row for each block, and the head that the host has signed over them.
#[derive(Debug)]
struct Table {
    key: PublicKey,
    rows: Vec<Vec<u8>>,
    /// The Merkle tree over the rows, which tells whether they are those that the head signs.
    roots: Roots,
    head: Option<SignedHead>,
}

impl Table {
    fn new(key: PublicKey) -> Self {
        Self { key, rows: vec![], roots: Roots::default(), head: None }
    }

    /// Takes what a log has more than the table: all of it, or nothing where its head does not sign it.
    fn take(&mut self, log: &CoreView) -> Result<(), Box<dyn Error>> {
        let new: Vec<Vec<u8>> = each(log.length().blocks_since(self.length()))
            .map(|block| log.block(block))
            .collect::<Result<_, _>>()?;
        let head = log.signed_head().ok_or("the log is empty")?;
        let mut roots = self.roots.clone();
        new.iter().for_each(|block| roots.append(block));
        if (head.length(), head.tree_hash()) != (roots.length(), roots.tree_hash()) {
            return Err("the blocks are not those that the head signs".into());
        }
        // In a database, this is one transaction.
        self.rows.extend(new);
        (self.roots, self.head) = (roots, Some(head));
        Ok(())
    }
}

impl ReadCore for Table {
    fn key(&self) -> PublicKey {
        self.key
    }

    fn length(&self) -> Length {
        Length(self.rows.len() as u64)
    }

    fn signed_head(&self) -> Option<SignedHead> {
        self.head
    }

    fn block(&self, block: BlockIndex) -> Result<Vec<u8>, StorageError> {
        let row = usize::try_from(block.0).ok().and_then(|block| self.rows.get(block));
        row.cloned().ok_or_else(|| StorageError::OutOfRange {
            path: "the table".into(),
            block,
            length: self.length(),
        })
    }

    fn blocks(&self, range: Range<BlockIndex>) -> BlockIterator<'_> {
        Box::new(each(range).map(|block| self.block(block)))
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    // Scripts run in processes of their own, locked up, which are this program again.
    libvms::engine::run_if_worker();
    let directory = tempfile::tempdir()?;
    tokio::runtime::Runtime::new()?.block_on(serve(&directory.path().join("counter")))
}

async fn serve(directory: &Path) -> Result<(), Box<dyn Error>> {
    let code = include_str!("counter.js").to_owned();
    let deployment = Deployment::new(code, "counter");
    let vm = Vm::deploy(directory, deployment, HostOptions::default())?;
    // The log first, then the two cores of the archive.
    let [mut log, _files, _blobs] = vm.cores();

    let mut table = Table::new(vm.log_key());
    let mut audit = Audit::new(table.key(), AuditOptions::default())?;
    for by in [1, 2, 3] {
        vm.call(Some("alice".into()), "increment", vec![Value::Integer(by)]).await?;
        // A call that was answered is in the log. `grown` waits for more of it.
        log.refresh();
        table.take(&log)?;
        // Executes what is new, and nothing twice.
        audit.advance(&table, table.length(), &mut |_done, _all| {})?;
        println!("{} rows: {}", table.length(), audit.verdict());
    }
    vm.close().await;
    assert_eq!(*audit.verdict(), Verdict::Agrees);
    Ok(())
}
