//! LibVMS: host, watch and replicate JavaScript services that nobody has to trust their operator for.

pub mod rpc;
pub mod storage;
pub mod vm;
