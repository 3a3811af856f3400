//! What to do about an error: the line `hint: ...` after it.

use libvms::host::{Contradiction, DeployError, ModuleMistake, OpenError};
use libvms::rpc::{ClientError, TrustError};

use crate::error::Advised;

/// Returns the hint of an error, if it or one of its causes has one.
pub(super) fn hint(error: &anyhow::Error) -> Option<String> {
    error.chain().find_map(|cause| {
        if let Some(advised) = cause.downcast_ref::<Advised>() {
            return Some(advised.hint.clone());
        }
        if let Some(error) = cause.downcast_ref() {
            return deploy(error);
        }
        if let Some(error) = cause.downcast_ref() {
            return open(error);
        }
        if let Some(error) = cause.downcast_ref() {
            return client(error);
        }
        cause.is::<Contradiction>().then(|| CONTRADICTION.into())
    })
}

const CONTRADICTION: &str = "nothing more is signed here, since a second history would convict you: the directory was \
    restored from an old backup, or is used elsewhere as well. Go on with its newest copy, in one place";

/// What a caller can do.
fn client(error: &ClientError) -> Option<String> {
    match error {
        ClientError::Trust(TrustError::OtherLog { known: Some(_), .. }) => Some(
            "if the service was deployed anew, --accept-new-key goes on with its new log; a URL that ends with #KEY \
             names the log that is meant"
                .into(),
        ),
        ClientError::Trust(TrustError::Fork(fork)) => Some(match &fork.path {
            Some(path) => format!("show {} to others: it convicts the host to anybody", path.display()),
            None => "the service is not believed any more".into(),
        }),
        ClientError::Trust(TrustError::Stale { .. }) => {
            Some("ask again later, or ask the operator whether an old copy of the log was put back".into())
        }
        ClientError::Unproved { .. } => Some("`vms log` of the service's log shows whether it was executed".into()),
        _ => None,
    }
}

/// What the author of a script can do, or the operator if the directory is at fault.
fn deploy(error: &DeployError) -> Option<String> {
    match error {
        DeployError::Script { mistake, .. } => Some(module((*mistake)?)?.into()),
        DeployError::NoMethods { .. } => {
            Some(
                "each method is an exported function: `exports.add = (a, b) => a + b`, or `export const add = ...` in a \
                 module; a bundler keeps exports with --format=cjs or --format=esm. --allow-no-methods deploys a service \
                 that has only `init`"
                    .into(),
            )
        }
        DeployError::Open(error) => open(error),
        _ => None,
    }
}

fn module(mistake: ModuleMistake) -> Option<&'static str> {
    match mistake {
        ModuleMistake::Export => Some(
            "`export` makes the script an ES module, so its text is read as one; the error is in the module itself",
        ),
        ModuleMistake::Import | ModuleMistake::Require => Some(
            "a script is one file and imports nothing: a bundler puts what it needs into it (esbuild --bundle --format=esm)",
        ),
        ModuleMistake::Mixed => Some(
            "`import`, `export` or an `await` outside of functions makes the script an ES module, which exports by \
             `export const name = ...`",
        ),
        ModuleMistake::Await => Some(
            "`await` stands inside an async function; what has to be awaited at deployment goes into `exports.init`",
        ),
        _ => None,
    }
}

/// What the operator can do about a data directory.
fn open(error: &OpenError) -> Option<String> {
    match error {
        OpenError::SelfCheck { path, .. } => {
            Some(format!("`vms verify {}` says where and how", path.display()))
        }
        OpenError::ArchiveAhead { path, .. } => Some(format!(
            "`vms verify {}` says more; a log that was restored from a backup must not be continued",
            path.display()
        )),
        OpenError::Damaged { path, .. } => Some(format!(
            "calls that were answered may be lost from it, so it must not be signed on: put a good copy of {} in its \
             place, a backup from after the last answer",
            path.display()
        )),
        OpenError::Tail { path, whole: [data, oplog], .. } => Some(format!(
            "calls that were answered may be among it, so the log must not be signed on without it: put a good copy of \
             {0} in its place, a backup from after the last answer. If you know that nobody was answered, since the \
             machine lost its power while it wrote: `truncate -s {oplog} {0}/log/oplog` and `truncate -s {data} \
             {0}/log/data` give it up",
            path.display()
        )),
        _ => None,
    }
}
