//! Options of `vms host` for what scripts may ask of the world.

use std::collections::BTreeMap;
use std::str::FromStr;
use std::time::Duration;

use anyhow::{Context, anyhow};
use clap::Args;
use libvms::oracle::{Fetch, OracleLimits, Oracles, Program, RandomBytes, UrlPrefix};

use crate::error::advised;

const FETCH: &str = "fetch";
const RANDOM: &str = "random";

/// What a script may ask. The names are fixed when the service is deployed, what stands behind them is not.
#[derive(Debug, Args)]
#[command(next_help_heading = "Oracles")]
pub(super) struct OracleArguments {
    /// What scripts may ask the world, whose answers the log keeps: fetch=URL for URLs below it, random for bytes of
    /// chance, NAME=PROGRAM for a program with its arguments, which reads JSON and writes JSON; repeat for more
    #[arg(long = "oracle", value_name = "NAME[=WHAT]")]
    oracles: Vec<Named>,
    /// Let --oracle fetch connect to addresses of private networks and of this machine
    #[arg(long, requires = "oracles")]
    oracle_private: bool,
    /// Seconds to wait for the answer to a question
    #[arg(long, value_name = "SECONDS", default_value_t = 10, value_parser = clap::value_parser!(u64).range(1..=3600))]
    oracle_time: u64,
    /// Seconds to wait for all answers of a call; all callers wait meanwhile
    #[arg(long, value_name = "SECONDS", default_value_t = 30, value_parser = clap::value_parser!(u64).range(1..=3600))]
    oracle_call_time: u64,
    /// Questions of a call that are worked on at once
    #[arg(long, value_name = "N", default_value_t = 8, value_parser = clap::value_parser!(u64).range(1..=64))]
    oracles_at_once: u64,
}

/// One `--oracle`.
#[derive(Clone, Debug)]
enum Named {
    Fetch(UrlPrefix),
    Random,
    Program { name: String, program: Program },
}

impl FromStr for Named {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let Some((name, what)) = text.split_once('=') else {
            let wanted = || "it is random, fetch=URL, or NAME=PROGRAM".to_owned();
            return if text == RANDOM { Ok(Self::Random) } else { Err(wanted()) };
        };
        match name {
            FETCH => Ok(Self::Fetch(what.parse()?)),
            RANDOM => Err("random has nothing behind it: --oracle random".into()),
            _ => {
                let (name, program) = (name_of(name)?, Program::parse(what)?);
                Ok(Self::Program { name, program })
            }
        }
    }
}

/// Reads a name as people write it: letters, digits, `-`, `_` and `.`, of which those with a dot are for later versions.
fn name_of(name: &str) -> Result<String, String> {
    let is_plain = |letter: char| letter.is_ascii_alphanumeric() || "-_".contains(letter);
    match !name.is_empty() && name.len() <= 64 && name.chars().all(is_plain) {
        true => Ok(name.into()),
        false => Err("a name has 1 to 64 letters, digits, - and _".into()),
    }
}

impl OracleArguments {
    /// Returns the oracles.
    pub(super) fn oracles(&self) -> anyhow::Result<Oracles> {
        let limits = OracleLimits {
            question: Duration::from_secs(self.oracle_time),
            call: Duration::from_secs(self.oracle_call_time),
            at_once: usize::try_from(self.oracles_at_once)?,
        };
        let (mut prefixes, mut programs) = (vec![], BTreeMap::new());
        let mut oracles = Oracles::default().within(limits);
        for oracle in self.oracles.iter().cloned() {
            match oracle {
                Named::Fetch(prefix) => prefixes.push(prefix),
                Named::Random => oracles = oracles.with(RANDOM, RandomBytes),
                Named::Program { name, program } => {
                    if programs.insert(name.clone(), program).is_some() {
                        return Err(anyhow!("--oracle {name} was given twice: only fetch may have several"));
                    }
                }
            }
        }
        for (name, program) in programs {
            oracles = oracles.with(name, program);
        }
        if prefixes.is_empty() {
            if self.oracle_private {
                return Err(advised(
                    anyhow!("--oracle-private does not apply: nothing is fetched"),
                    "leave it out, or give --oracle fetch=URL",
                ));
            }
            return Ok(oracles);
        }
        let fetch = Fetch::new(prefixes, self.oracle_private).context("--oracle fetch does not work here")?;
        Ok(oracles.with(FETCH, fetch))
    }
}

/// Refuses oracles other than those that a deployed service asks.
pub(super) fn check(deployed: &[String], given: &Oracles, directory: &str) -> anyhow::Result<()> {
    let given: Vec<&str> = given.names().collect();
    if let Some(missing) = deployed.iter().find(|name| !given.contains(&name.as_str())) {
        let what = match missing.as_str() {
            FETCH => "--oracle fetch=URL".into(),
            RANDOM => "--oracle random".into(),
            name => format!("--oracle {name}=PROGRAM"),
        };
        return Err(advised(
            anyhow!("the service in {directory} asks the oracle `{missing}`, and this host has none"),
            &format!("give {what}, as at its deployment"),
        ));
    }
    match given.iter().find(|name| !deployed.iter().any(|known| known == *name)) {
        None => Ok(()),
        Some(name) => Err(advised(
            anyhow!("--oracle {name} does not apply: the service in {directory} was deployed without it"),
            "leave it out to continue this service, or choose another --dir for a new one",
        )),
    }
}
