//! Start code prefixes: ISO/IEC 13818-2 6.2.1, H.264 and H.265 annex B.

/// Where the byte behind the next start code prefix (00 00 01) stands. `zeros` is how many zero bytes came just before,
/// at most two, and is left so for the bytes that follow these.
pub(super) fn behind_prefix(bytes: &[u8], zeros: &mut u8) -> Option<usize> {
    let (first, _) = bytes.split_at(bytes.len().min(2));
    for (n, &byte) in first.iter().enumerate() {
        if byte == 1 && *zeros >= 2 {
            return Some(n + 1);
        }
        *zeros = if byte == 0 { (*zeros + 1).min(2) } else { 0 };
    }
    let mut at = 2;
    while let Some(&byte) = bytes.get(at) {
        // what is not 0 cannot be the first of a prefix: the next 1 is three further on
        at += match byte {
            0 => 1,
            1 if bytes.get(at - 2..at) == Some(&[0, 0]) => return Some(at + 1),
            _ => 3,
        };
    }
    if let Some(last) = bytes.last_chunk::<2>() {
        *zeros = match last {
            [0, 0] => 2,
            [_, 0] => 1,
            [_, _] => 0,
        };
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_prefix_is_found_wherever_packets_part_it() {
        for gap in 0..12 {
            for fill in [0xAA, 0, 1, 2] {
                let bytes = [&vec![fill; gap][..], &[0, 0, 1, 0x55]].concat();
                for first in 0..=bytes.len() {
                    let (a, b) = bytes.split_at(first);
                    let mut zeros = 0;
                    let found = behind_prefix(a, &mut zeros).or_else(|| {
                        let at = behind_prefix(b, &mut zeros)?;
                        Some(first + at)
                    });
                    assert_eq!(found, Some(gap + 3), "{gap} {fill} {first}");
                }
            }
        }
    }
}
