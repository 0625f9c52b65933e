//! Quantities as a person writes them: `200ms`, `8Mb/s`, `0x100`, `8MiB`.
//!
//! Reckoned in integers, so that what is written is exactly what is meant. The messages begin with the text in
//! question and end with what would be right.

use super::problem::quoted;
use crate::units::{BitRate, Pid, Span};

/// One unit: its name and how many of the base unit it is.
type Unit = (&'static str, u128);

const SPANS: &[Unit] = &[("ms", 1_000_000), ("s", 1_000_000_000), ("m", 60_000_000_000)];
const SHARES: &[Unit] = &[("%", 10_000)];
const RATES: &[Unit] = &[("kb/s", 1_000), ("Mb/s", 1_000_000)];
const SIZES: &[Unit] = &[("", 1), ("KiB", 1 << 10), ("MiB", 1 << 20), ("GiB", 1 << 30)];

/// A duration: a number and `ms`, `s` or `m`.
pub(super) fn span(text: &str) -> Result<Span, String> {
    let ns = measured(text, SPANS, "a duration", "ms, s or m", "200ms, 5s or 2m")?;
    i64::try_from(ns).map(Span::from_nanos).map_err(|_| format!("{} is too long", quoted(text)))
}

/// A bit rate: a number and `kb/s` or `Mb/s`.
pub(super) fn rate(text: &str) -> Result<BitRate, String> {
    let bits = measured(text, RATES, "a bit rate", "kb/s or Mb/s", "8Mb/s or 500kb/s")?;
    u64::try_from(bits).map(BitRate).map_err(|_| format!("{} is too much", quoted(text)))
}

/// A share in millionths: a number with `%`, 0…100.
pub(super) fn share(text: &str) -> Result<u32, String> {
    let share = measured(text, SHARES, "a share", "%", "0.1% or 2%")?;
    u32::try_from(share)
        .ok()
        .filter(|share| *share <= 1_000_000)
        .ok_or_else(|| format!("{} is out of range: 0%…100%", quoted(text)))
}

/// A share of so many millionths, as it is written.
pub(super) fn share_text(millionths: u32) -> String {
    let fraction = format!("{:04}", millionths % 10_000);
    let fraction = fraction.trim_end_matches('0');
    let point = if fraction.is_empty() { "" } else { "." };
    format!("{}{point}{fraction}%", millionths / 10_000)
}

/// A size in bytes: a number alone, or with `KiB`, `MiB` or `GiB`.
pub(super) fn size(text: &str) -> Result<u64, String> {
    let bytes = measured(text, SIZES, "a size", "KiB, MiB, GiB or none for bytes", "8MiB or 512KiB")?;
    u64::try_from(bytes).map_err(|_| format!("{} is too much", quoted(text)))
}

/// A PID, decimal or with `0x`, 0…0x1fff.
pub(super) fn pid(text: &str) -> Result<Pid, String> {
    let digits = text.strip_prefix("0x").or_else(|| text.strip_prefix("0X"));
    let value = match digits {
        Some(hex) if hex.bytes().all(|b| b.is_ascii_hexdigit()) => u16::from_str_radix(hex, 16).ok(),
        Some(_) => None,
        None if text.bytes().all(|b| b.is_ascii_digit()) => text.parse().ok(),
        None => None,
    };
    value
        .filter(|&value| usize::from(value) < Pid::COUNT)
        .map(Pid::new)
        .ok_or_else(|| format!("{} is not a PID: 0…8191, or 0x0…0x1fff", quoted(text)))
}

/// A whole number `low`…`high`.
pub(super) fn whole<T: TryFrom<i64> + Into<i64> + Copy>(text: &str, low: T, high: T) -> Result<T, String> {
    let (least, most) = (low.into(), high.into());
    let number: i64 = text.parse().map_err(|_| format!("{} is not a whole number: {least}…{most}", quoted(text)))?;
    T::try_from(number)
        .ok()
        .filter(|_| (least..=most).contains(&number))
        .ok_or_else(|| format!("{} is out of range: {least}…{most}", quoted(text)))
}

/// `text` as so many of the base unit.
fn measured(text: &str, units: &[Unit], what: &str, names: &str, examples: &str) -> Result<u128, String> {
    let wrong = || format!("{} is not {what}: a number with {names}, as in {examples}", quoted(text));
    let end = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let (number, unit) = text.split_at(end);
    let unit = unit.strip_prefix(' ').unwrap_or(unit);
    let (whole, fraction) = number.split_once('.').unwrap_or((number, "0"));
    if whole.is_empty() || fraction.is_empty() || fraction.contains('.') {
        return Err(wrong());
    }
    let Some(&(_, scale)) = units.iter().find(|(name, _)| *name == unit) else {
        return Err(if unit.is_empty() {
            format!("{} has no unit: write it with {names}, as in {examples}", quoted(text))
        } else {
            wrong()
        });
    };
    // Twelve digits before the point and nine after it are more than anything here takes, and cannot overflow.
    if whole.len() > 12 || fraction.len() > 9 {
        return Err(format!("{} has too many digits", quoted(text)));
    }
    let digits = |digits: &str| digits.parse::<u128>().map_err(|_| wrong());
    let places = 10u128.pow(u32::try_from(fraction.len()).unwrap_or(9));
    Ok(digits(whole)? * scale + digits(fraction)? * scale / places)
}

/// A size in the largest unit that needs no fraction.
pub(super) fn size_text(bytes: u64) -> String {
    let unit = SIZES.iter().rev().find(|(_, scale)| bytes > 0 && u128::from(bytes).is_multiple_of(*scale));
    match unit {
        Some((name, scale)) if *scale > 1 => format!("{}{name}", u128::from(bytes) / scale),
        Some(_) | None => format!("{bytes} bytes"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantities_are_read_exactly() {
        for (text, ns) in [
            ("200ms", 200_000_000),
            ("5s", 5_000_000_000),
            ("2m", 120_000_000_000),
            ("1.5s", 1_500_000_000),
            ("0s", 0),
            ("0.001ms", 1_000),
            ("10 s", 10_000_000_000),
        ] {
            assert_eq!(span(text), Ok(Span::from_nanos(ns)), "{text}");
        }
        assert_eq!(rate("8Mb/s"), Ok(BitRate(8_000_000)));
        assert_eq!(rate("38.01471Mb/s"), Ok(BitRate(38_014_710)));
        assert_eq!(rate("500kb/s"), Ok(BitRate(500_000)));
        assert_eq!(size("8MiB"), Ok(8 << 20));
        assert_eq!(size("512KiB"), Ok(512 << 10));
        assert_eq!(size("65536"), Ok(65536));
        assert_eq!(pid("0x1FFF"), Ok(Pid::NULL));
        assert_eq!(pid("256"), Ok(Pid::new(0x100)));
    }

    #[test]
    fn spans_read_back_as_they_are_shown() {
        for ms in [0, 1, 20, 200, 1_000, 1_500, 60_000, 90_000, 3_600_000] {
            let wanted = Span::from_millis(ms);
            assert_eq!(span(&wanted.to_string()), Ok(wanted));
        }
    }

    #[test]
    fn wrong_quantities_say_what_is_right() {
        for (result, message) in [
            (span("200").err(), "`200` has no unit: write it with ms, s or m, as in 200ms, 5s or 2m"),
            (span("5sec").err(), "`5sec` is not a duration: a number with ms, s or m, as in 200ms, 5s or 2m"),
            (span("-5s").err(), "`-5s` is not a duration: a number with ms, s or m, as in 200ms, 5s or 2m"),
            (span("1.2.3s").err(), "`1.2.3s` is not a duration: a number with ms, s or m, as in 200ms, 5s or 2m"),
            (span("9999999999999s").err(), "`9999999999999s` has too many digits"),
            (span("999999999999m").err(), "`999999999999m` is too long"),
            (rate("8").err(), "`8` has no unit: write it with kb/s or Mb/s, as in 8Mb/s or 500kb/s"),
            (rate("8Mbps").err(), "`8Mbps` is not a bit rate: a number with kb/s or Mb/s, as in 8Mb/s or 500kb/s"),
            (
                size("8MB").err(),
                "`8MB` is not a size: a number with KiB, MiB, GiB or none for bytes, as in 8MiB or 512KiB",
            ),
            (pid("8192").err(), "`8192` is not a PID: 0…8191, or 0x0…0x1fff"),
            (pid("0x+1").err(), "`0x+1` is not a PID: 0…8191, or 0x0…0x1fff"),
            (whole::<u8>("300", 1, 255).err(), "`300` is out of range: 1…255"),
            (whole::<u8>("ten", 1, 255).err(), "`ten` is not a whole number: 1…255"),
        ] {
            assert_eq!(result.as_deref(), Some(message));
        }
        for empty in ["", "s", ".", ".5s", "5.s", "µ", "٣s"] {
            assert!(span(empty).is_err(), "{empty}");
        }
    }

    #[test]
    fn sizes_are_shown_in_the_unit_that_fits() {
        for (bytes, text) in [(8 << 20, "8MiB"), (512 << 10, "512KiB"), (1000, "1000 bytes"), (0, "0 bytes")] {
            assert_eq!(size_text(bytes), text);
        }
    }
}
