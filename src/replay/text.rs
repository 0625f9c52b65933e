//! Text of service information: ETSI EN 300 468 annex A.

use encoding_rs::Encoding;

/// Text as people read it. Control codes are left out, line breaks become spaces, and what a table has no character for
/// becomes U+FFFD. Empty where the table of characters is one that cannot be known (0x1F, and the reserved ones).
pub fn decode(bytes: &[u8]) -> String {
    let (table, text) = table(bytes);
    let decoded = match table {
        Table::Unknown => String::new(),
        Table::Iso6937 => iso_6937(text),
        Table::Single(encoding) => {
            // 0x80 to 0x9F are control codes here, whatever the encoding has there
            let shown: Vec<u8> = text.iter().filter_map(|&b| single_byte(b)).collect();
            encoding.decode_without_bom_handling(&shown).0.into_owned()
        }
        Table::Wide(encoding) => encoding.decode_without_bom_handling(text).0.into_owned(),
    };
    decoded.chars().filter_map(shown).collect()
}

/// How text is coded (A.2, tables A.3 and A.4).
enum Table {
    /// The default, with the euro.
    Iso6937,
    /// One byte each.
    Single(&'static Encoding),
    /// More than one.
    Wide(&'static Encoding),
    Unknown,
}

/// The table that the first bytes choose, and the text behind them.
fn table(bytes: &[u8]) -> (Table, &[u8]) {
    use encoding_rs::{BIG5, EUC_KR, GBK, UTF_8, UTF_16BE};
    match *bytes {
        [first @ 0x01..=0x0B, ref text @ ..] => (iso_8859(u16::from(first) + 4), text),
        [0x10, high, low, ref text @ ..] => (iso_8859(u16::from_be_bytes([high, low])), text),
        [0x11, ref text @ ..] => (Table::Wide(UTF_16BE), text),
        [0x12, ref text @ ..] => (Table::Wide(EUC_KR), text),
        [0x13, ref text @ ..] => (Table::Wide(GBK), text),
        [0x14, ref text @ ..] => (Table::Wide(BIG5), text),
        [0x15, ref text @ ..] => (Table::Wide(UTF_8), text),
        [0x00..=0x1F, ..] => (Table::Unknown, &[]),
        _ => (Table::Iso6937, bytes),
    }
}

/// A part of ISO/IEC 8859. Of some the encoding is a Windows page, which differs in control codes only, and those are
/// taken out before.
fn iso_8859(part: u16) -> Table {
    Table::Single(match part {
        1 => encoding_rs::WINDOWS_1252,
        2 => encoding_rs::ISO_8859_2,
        3 => encoding_rs::ISO_8859_3,
        4 => encoding_rs::ISO_8859_4,
        5 => encoding_rs::ISO_8859_5,
        6 => encoding_rs::ISO_8859_6,
        7 => encoding_rs::ISO_8859_7,
        8 => encoding_rs::ISO_8859_8,
        9 => encoding_rs::WINDOWS_1254,
        10 => encoding_rs::ISO_8859_10,
        11 => encoding_rs::WINDOWS_874,
        13 => encoding_rs::ISO_8859_13,
        14 => encoding_rs::ISO_8859_14,
        15 => encoding_rs::ISO_8859_15,
        _ => return Table::Unknown,
    })
}

/// A byte of a table of one byte each: none for a control code, a space for a line break (table A.1).
const fn single_byte(byte: u8) -> Option<u8> {
    match byte {
        0x8A => Some(b' '),
        0x80..=0x9F => None,
        _ => Some(byte),
    }
}

/// A character of any table: none for a control code, of which those of the wider tables are U+E080 to U+E09F (table
/// A.2), a space for a line break.
const fn shown(character: char) -> Option<char> {
    match character {
        '\u{8A}' | '\u{E08A}' | '\n' | '\r' | '\t' => Some(' '),
        '\0'..='\x1F' | '\x7F'..='\u{9F}' | '\u{E080}'..='\u{E09F}' => None,
        _ => Some(character),
    }
}

/// 0xA0 to 0xFF of ISO/IEC 6937 as figure A.1 has them: a space where there is nothing, and where an accent stands, which
/// comes before its letter.
const UPPER: &str =
    "\u{A0}¡¢£€¥ §¤‘“«←↑→↓°±²³×µ¶·÷’”»¼½¾¿                ―¹®©™♪¬¦    ⅛⅜⅝⅞ΩÆĐªĦ ĲĿŁØŒºÞŦŊŉĸæđðħıĳŀłøœßþŧŋ\u{AD}";

/// The accents 0xC1 to 0xCF: as a combining character, and letters each with the one that it makes with the accent.
const ACCENTS: [(char, &str); 15] = [
    ('\u{300}', "AÀEÈIÌOÒUÙaàeèiìoòuùNǸnǹ"),
    ('\u{301}', "AÁCĆEÉIÍLĹNŃOÓRŔSŚUÚYÝZŹaácćeégǵiílĺnńoórŕsśuúyýzź"),
    ('\u{302}', "AÂCĈEÊGĜHĤIÎJĴOÔSŜUÛWŴYŶaâcĉeêgĝhĥiîjĵoôsŝuûwŵyŷ"),
    ('\u{303}', "AÃIĨNÑOÕUŨaãiĩnñoõuũ"),
    ('\u{304}', "AĀEĒIĪOŌUŪaāeēiīoōuū"),
    ('\u{306}', "AĂGĞUŬaăgğuŭ"),
    ('\u{307}', "CĊEĖGĠIİZŻcċeėgġzż"),
    ('\u{308}', "AÄEËIÏOÖUÜYŸaäeëiïoöuüyÿ"),
    ('\u{308}', "AÄEËIÏOÖUÜYŸaäeëiïoöuüyÿ"),
    ('\u{30A}', "AÅUŮaåuů"),
    ('\u{327}', "CÇGĢKĶLĻNŅRŖSŞTŢcçgģkķlļnņrŗsştţ"),
    ('\u{332}', ""),
    ('\u{30B}', "OŐUŰoőuű"),
    ('\u{328}', "AĄEĘIĮUŲaąeęiįuų"),
    ('\u{30C}', "CČDĎEĚLĽNŇRŘSŠTŤZŽcčdďeělľnňrřsštťzž"),
];

fn iso_6937(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len());
    let mut accent = None;
    for byte in bytes.iter().filter_map(|&b| single_byte(b)) {
        let letter = match byte {
            0x00..=0x7F => char::from(byte),
            0xC1..=0xCF => {
                accent = ACCENTS.get(usize::from(byte - 0xC1));
                continue;
            }
            _ => match UPPER.chars().nth(usize::from(byte - 0xA0)) {
                Some(' ') | None => char::REPLACEMENT_CHARACTER,
                Some(letter) => letter,
            },
        };
        match accent.take() {
            Some((combining, pairs)) => accented(&mut text, letter, *combining, pairs),
            None => text.push(letter),
        }
    }
    text
}

/// A letter with an accent: one character where there is one, otherwise two.
fn accented(text: &mut String, letter: char, combining: char, pairs: &str) {
    let mut pairs = pairs.chars();
    while let (Some(plain), Some(whole)) = (pairs.next(), pairs.next()) {
        if plain == letter {
            text.push(whole);
            return;
        }
    }
    text.push(letter);
    if letter != ' ' {
        text.push(combining);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_default_table_is_iso_6937_with_the_euro() {
        assert_eq!(decode(b""), "");
        assert_eq!(decode(b"Rai News 24"), "Rai News 24");
        assert_eq!(decode(b"T\xC2el\xC2evision fran\xCBcaise"), "Télévision française");
        assert_eq!(decode(b"\xC8A\xC8O\xC8U\xFB \xA4 \xE9\xF9\xE1\xF1\xCAa"), "ÄÖÜß € ØøÆæå");
        assert_eq!(decode(b"\xCFSkoda \xE8\xF8 \xCDo"), "Škoda Łł ő");
        assert_eq!(decode(b"\xC2q\xC2"), "q\u{301}");
        assert_eq!(decode(b"\xC2 a\xA6"), " a\u{FFFD}");
        assert_eq!(decode(b"A\x86B\x87\x8AC\x9F"), "AB C");
        assert_eq!(UPPER.chars().count(), 0x60);
        assert_eq!(decode(b"\xFF\xF0\xE0\xDF\xD0\xBF\xB0\xAF"), "\u{AD}ĸΩ⅞―¿°↓");
    }

    #[test]
    fn the_first_byte_chooses_the_table() {
        for (bytes, text) in [
            (&b"\x01\xB0\xB1\x8A\x85"[..], "АБ "),
            (b"\x03\xC1\xE1", "Αα"),
            (b"\x05\xDD\xFD\x80", "İı"),
            (b"\x0B\xA4", "€"),
            (b"\x10\x00\x01\xE9\x92", "é"),
            (b"\x10\x00\x02\xB1", "ą"),
            (b"\x10\x00\x0F\xA4", "€"),
            (b"\x07\xA1", "ก"),
            (b"\x11\x04\x10\xE0\x8A\x20\xAC\xE0\x86", "А €"),
            (b"\x12\xC7\xD1", "한"),
            (b"\x13\xD6\xD0", "中"),
            (b"\x14\xA4\xA4", "中"),
            (b"\x15Arte \xE2\x82\xAC\xEE\x82\x8A\xC2\x86x", "Arte € x"),
        ] {
            assert_eq!(decode(bytes), text, "{bytes:x?}");
        }
    }

    #[test]
    fn what_cannot_be_known_is_empty() {
        for bytes in [&b"\x08abc"[..], b"\x0Cabc", b"\x10\x00\x0Cabc", b"\x10\x00", b"\x1F\x01abc", b"\x00", b"\x16a"] {
            assert_eq!(decode(bytes), "", "{bytes:x?}");
        }
    }

    #[test]
    fn chance_never_makes_it_panic() {
        let mut state = 0x9E37_79B9_7F4A_7C15_u64;
        for first in 0..=255 {
            for _ in 0..200 {
                state ^= state << 13;
                state ^= state >> 7;
                state ^= state << 17;
                let text = decode(&[&[first][..], &state.to_be_bytes()].concat());
                assert!(text.chars().count() <= 2 * 9 && !text.contains(|c: char| c.is_control()), "{text:?}");
            }
        }
    }
}
