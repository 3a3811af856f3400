//! Crashes, full disks and readers, against whole cores.
