//! What others say our own address is, and whether they agree: [`Sampler`].
//!
//! Any of them may lie or see us through another firewall, so an address counts when nearly all of the last 16 say the
//! same; where they agree on the host only, a firewall gives us a new port for each of them. The thresholds are those of
//! npm nat-sampler; hits are counted over all 16 samples, where it looks only at the last four for an equal one.

use std::collections::VecDeque;
use std::net::Ipv4Addr;

use crate::dht_rpc::address::Address;

/// How many samples are kept.
const SAMPLES_MAX: usize = 16;

/// What the samples agree on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Observed {
    /// Nothing, or there are no samples.
    Nothing,
    /// The host, but not the port.
    Host(Ipv4Addr),
    /// All of it.
    Address(Address),
}

impl Observed {
    /// The host, if the samples agree on it.
    pub fn host(&self) -> Option<Ipv4Addr> {
        match self {
            Self::Nothing => None,
            Self::Host(ip) => Some(*ip),
            Self::Address(address) => Some(address.ip()),
        }
    }
}

/// The last addresses at which others saw us.
#[derive(Clone, Debug, Default)]
pub struct Sampler {
    samples: VecDeque<Address>,
}

impl Sampler {
    /// Adds what one node says.
    pub fn add(&mut self, address: Address) {
        if self.samples.len() == SAMPLES_MAX {
            self.samples.pop_front();
        }
        self.samples.push_back(address);
    }

    /// What nearly all of them say: all of up to 3, all but one of up to 7, all but two of up to 11, all but three.
    pub fn observed(&self) -> Observed {
        let threshold = self.samples.len() - (self.samples.len() / 4).min(3);
        for sample in &self.samples {
            if self.count(|other| other == sample) >= threshold {
                return Observed::Address(*sample);
            }
        }
        for sample in &self.samples {
            if self.count(|other| other.ip() == sample.ip()) >= threshold {
                return Observed::Host(sample.ip());
            }
        }
        Observed::Nothing
    }

    fn count(&self, is_equal: impl Fn(&Address) -> bool) -> usize {
        self.samples.iter().filter(|sample| is_equal(sample)).count()
    }
}
