//! Options of `vms host` that bound what callers add to the log.

use anyhow::anyhow;
use clap::Args;
use libvms::host::{AnonymousCalls, Quotas};
use libvms_protocol::entry::Auth;

use crate::error::advised;

/// What callers may add to the log, which keeps it for ever. Not fixed: each start may choose others.
#[derive(Debug, Args)]
#[command(next_help_heading = "Quotas")]
pub(super) struct QuotaArguments {
    /// Calls that each address and each key may make in a minute; default: no bound
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    calls_per_minute: Option<u32>,
    /// Bytes that each address and each key may add to the log in a minute, arguments and results; default: no bound
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    bytes_per_minute: Option<u64>,
    /// With --auth signed, the calls without a signature: off, or how many all callers together may make in a minute;
    /// default: no bound
    #[arg(long, value_name = "CALLS", value_parser = anonymous_calls)]
    anonymous: Option<AnonymousCalls>,
}

impl QuotaArguments {
    pub(super) fn quotas(&self) -> Quotas {
        Quotas {
            calls_per_minute: self.calls_per_minute,
            bytes_per_minute: self.bytes_per_minute,
            anonymous: self.anonymous.unwrap_or_default(),
        }
    }

    /// Refuses a quota that would have no effect.
    pub(super) fn check(&self, auth: Auth) -> anyhow::Result<()> {
        if self.anonymous.is_some() && auth == Auth::Debug {
            return Err(advised(
                anyhow!("--anonymous does not apply: callers of this service never sign"),
                "bound calls with --calls-per-minute, or deploy the service with --auth signed",
            ));
        }
        Ok(())
    }
}

fn anonymous_calls(text: &str) -> Result<AnonymousCalls, &'static str> {
    match text {
        "off" | "0" => Ok(AnonymousCalls::Off),
        number => number.parse().map(AnonymousCalls::PerMinute).map_err(|_| "off, or a number of calls"),
    }
}
