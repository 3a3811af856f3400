//! An archive of arbitrary blocks is listed, read and compared; every walk ends.
#![no_main]

use std::borrow::Cow;

use libfuzzer_sys::fuzz_target;
use libvms_hypercore::bee::{Blocks, Cache};
use libvms_hypercore::blocks::{BlockIndex, Length};
use libvms_hypercore::drive::{Drive, Folder, blob};
use libvms_protocol_fuzz::pieces;

struct Core<'a>(Vec<&'a [u8]>);

impl Blocks for Core<'_> {
    type Error = BlockIndex;

    fn block(&self, index: BlockIndex) -> Result<Cow<'_, [u8]>, BlockIndex> {
        let block = usize::try_from(index.0).ok().and_then(|index| self.0.get(index));
        block.map(|bytes| Cow::Borrowed(*bytes)).ok_or(index)
    }
}

fuzz_target!(|bytes: &[u8]| {
    let files = Core(pieces(bytes).map(|(_, block)| block).collect());
    let version = Length(files.0.len() as u64);
    let cache = Cache::default();
    let drive = Drive::new(&files, &cache, version);
    for found in drive.list(&Folder::ROOT, true).take(100) {
        let Ok((path, found)) = found else { break };
        let _followed = drive.follow(&path);
        if let Some(id) = &found.entry.blob {
            let _content = blob::content(&files, id, 10_000);
        }
    }
    let _names = drive.children(&Folder::ROOT).take(100).filter(Result::is_ok).count();
    let _compared = drive.diff(Length(version.0 / 2), &Folder::ROOT);
});
