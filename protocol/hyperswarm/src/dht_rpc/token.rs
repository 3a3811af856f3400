//! Tokens by which a node verifies that a sender receives at its host (BEP 5; RFC 9000, section 8.1.3): [`Tokens`].
//!
//! ```text
//! token = BLAKE2b-256(key: secret; u64le(period) || 4 bytes IPv4)     period = now / 7.5 s
//! ```
//!
//! Tokens of the current and the previous period are valid, so each lives 7.5 to 15 seconds, as in the reference. An
//! issued token needs no state. The port is left out because a firewall may change it between two requests.

use std::net::Ipv4Addr;

use crate::dht_rpc::message::Token;
use libvms_hypercore::hash::keyed_blake2b;
use libvms_hypercore::time::Instant;

/// Milliseconds for which the same token is issued.
const PERIOD_MS: u64 = 7_500;

/// Issues and verifies tokens.
pub(crate) struct Tokens {
    secret: [u8; 32],
}

impl Tokens {
    pub(crate) fn new(secret: [u8; 32]) -> Self {
        Self { secret }
    }

    /// Returns the token of a host.
    pub(crate) fn issue(&self, now: Instant, host: Ipv4Addr) -> Token {
        self.of_period(now.as_millis() / PERIOD_MS, host)
    }

    /// Returns whether `token` was issued to this host at most 15 seconds ago.
    pub(crate) fn accepts(&self, now: Instant, host: Ipv4Addr, token: Token) -> bool {
        let period = now.as_millis() / PERIOD_MS;
        let before = period.checked_sub(1).map(|before| self.of_period(before, host));
        token == self.of_period(period, host) || Some(token) == before
    }

    fn of_period(&self, period: u64, host: Ipv4Addr) -> Token {
        Token(keyed_blake2b(&self.secret, &[&period.to_le_bytes(), &host.octets()]))
    }
}

impl std::fmt::Debug for Tokens {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Tokens").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_lives_7_5_to_15_seconds_and_belongs_to_one_host() {
        let tokens = Tokens::new([1; 32]);
        let (host, other) = (Ipv4Addr::new(1, 2, 3, 4), Ipv4Addr::new(1, 2, 3, 5));
        for issued in [0, 7_499, 7_500] {
            let token = tokens.issue(Instant::from_millis(issued), host);
            assert!(tokens.accepts(Instant::from_millis(issued), host, token));
            assert!(tokens.accepts(Instant::from_millis(issued + 7_500), host, token));
            assert!(!tokens.accepts(Instant::from_millis(issued + 15_000), host, token));
            assert!(!tokens.accepts(Instant::from_millis(issued), other, token));
            assert!(!Tokens::new([2; 32]).accepts(Instant::from_millis(issued), host, token));
        }
    }
}
