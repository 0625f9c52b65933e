//! CRC_32 of sections: ISO/IEC 13818-1 annex A. Tables repeat many times a second, and each repetition is checked, so eight
//! bytes are taken at once.

/// The polynomial, the highest power first.
const POLYNOMIAL: u32 = 0x04C1_1DB7;

/// What a byte does to the remainder when so many bytes follow it.
static TABLES: [[u32; 256]; 8] = tables();

#[allow(clippy::cast_possible_truncation, reason = "a byte")]
const fn tables() -> [[u32; 256]; 8] {
    let mut tables = [[0u32; 256]; 8];
    let mut byte = 0;
    while byte < 256 {
        let mut remainder = (byte as u32) << 24;
        let mut bit = 0;
        while bit < 8 {
            let carry = remainder >> 31 != 0;
            remainder <<= 1;
            if carry {
                remainder ^= POLYNOMIAL;
            }
            bit += 1;
        }
        tables[0][byte] = remainder;
        byte += 1;
    }
    let mut follow = 1;
    while follow < 8 {
        let mut byte = 0;
        while byte < 256 {
            let before = tables[follow - 1][byte];
            tables[follow][byte] = before << 8 ^ tables[0][(before >> 24) as usize];
            byte += 1;
        }
        follow += 1;
    }
    tables
}

/// CRC_32 of `bytes`: 0 over a whole section that carries its own, if that is right.
pub fn crc32(bytes: &[u8]) -> u32 {
    let (words, rest) = bytes.as_chunks::<8>();
    let mut crc = u32::MAX;
    for &[a, b, c, d, e, f, g, h] in words {
        let [i, j, k, l] = (crc ^ u32::from_be_bytes([a, b, c, d])).to_be_bytes();
        crc = [i, j, k, l, e, f, g, h]
            .into_iter()
            .zip(TABLES.iter().rev())
            .fold(0, |crc, (byte, table)| crc ^ table[usize::from(byte)]);
    }
    rest.iter().fold(crc, |crc, &byte| {
        let [first, ..] = crc.to_be_bytes();
        crc << 8 ^ TABLES[0][usize::from(first ^ byte)]
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_that_of_the_standard_at_every_length() {
        assert_eq!(crc32(b"123456789"), 0x0376_E6E7);
        let bytes: Vec<u8> = (0..100u8).map(|i| i.wrapping_mul(37) ^ 0x5A).collect();
        for length in 0..bytes.len() {
            assert_eq!(crc32(&bytes[..length]), mpeg2ts_reader::mpegts_crc::sum32(&bytes[..length]), "{length} bytes");
        }
    }
}
