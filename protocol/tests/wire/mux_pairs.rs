//! Two multiplexers that talk to each other in any order.
