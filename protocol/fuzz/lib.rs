//! What the fuzz targets share: how one input stands for several.

/// Cuts an input into pieces: a byte that is the target's to use, two that give the length, then so many bytes.
pub fn pieces(mut bytes: &[u8]) -> impl Iterator<Item = (u8, &[u8])> {
    std::iter::from_fn(move || {
        let [choice, low, high, rest @ ..] = bytes else { return None };
        let length = usize::from(u16::from_le_bytes([*low, *high])).min(rest.len());
        let (piece, behind) = rest.split_at(length);
        bytes = behind;
        Some((*choice, piece))
    })
}

/// The input that [`pieces`] cuts into these.
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
