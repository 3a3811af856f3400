//! Shared by the fuzz targets: one input, split into several.

/// Splits an input into pieces: one byte that the target interprets, two bytes of length, then that many bytes.
pub fn pieces(mut bytes: &[u8]) -> impl Iterator<Item = (u8, &[u8])> {
    std::iter::from_fn(move || {
        let [choice, low, high, rest @ ..] = bytes else { return None };
        let length = usize::from(u16::from_le_bytes([*low, *high])).min(rest.len());
        let (piece, behind) = rest.split_at(length);
        bytes = behind;
        Some((*choice, piece))
    })
}

/// Returns the input that [`pieces`] splits into these.
pub fn join<'a>(pieces: impl IntoIterator<Item = (u8, &'a [u8])>) -> Vec<u8> {
    let mut bytes = vec![];
    for (choice, piece) in pieces {
        let length = u16::try_from(piece.len()).unwrap_or(u16::MAX);
        bytes.push(choice);
        bytes.extend(length.to_le_bytes());
        bytes.extend(&piece[..usize::from(length)]);
    }
    bytes
}
