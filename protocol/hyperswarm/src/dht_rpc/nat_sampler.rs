//! Our own address as other nodes see it (the reflexive address of RFC 8489): [`Sampler`].
//!
//! Any node may lie or see us through another firewall. So an address counts if nearly all of the last 16 samples agree
//! on it; if they agree on the host only, a firewall maps us to another port for each node. The thresholds are those of
//! npm nat-sampler; hits are counted over all 16 samples, while npm looks only at the last four for an equal one.

use std::collections::VecDeque;
use std::net::Ipv4Addr;

use crate::dht_rpc::address::Address;

/// Number of samples kept.
const SAMPLES_MAX: usize = 16;

/// The part of the address that the samples agree on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Observed {
    /// The samples do not agree, or there are none.
    Nothing,
    /// They agree on the host, but not on the port.
    Host(Ipv4Addr),
    /// They agree on host and port.
    Address(Address),
}

impl Observed {
    /// Returns the host, if the samples agree on it.
    pub fn host(&self) -> Option<Ipv4Addr> {
        match self {
            Self::Nothing => None,
            Self::Host(ip) => Some(*ip),
            Self::Address(address) => Some(address.ip()),
        }
    }
}

/// The last addresses at which other nodes saw us.
#[derive(Clone, Debug, Default)]
pub struct Sampler {
    samples: VecDeque<Address>,
}

impl Sampler {
    /// Adds the address that one node reports.
    pub fn add(&mut self, address: Address) {
        if self.samples.len() == SAMPLES_MAX {
            self.samples.pop_front();
        }
        self.samples.push_back(address);
    }

    /// Returns the address that nearly all samples agree on: all of up to 3, all but one of up to 7, all but two of up
    /// to 11, else all but three.
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
