//! What is to be seen: colour bars, the picture's number in large digits, a strip in a colour of the feed's own, and
//! a light block that moves one step a picture.
//!
//! Everything is drawn in whole blocks of 8 × 8 points, a colour a macroblock, so that the mean of a block (its DC
//! coefficient) is all there is to code.

/// Macroblocks across the picture.
pub(super) const COLUMNS: usize = 45;
/// Macroblocks down the picture.
pub(super) const ROWS: usize = 36;

/// How many decimal digits of its number a picture shows.
pub const DIGITS: usize = 6;
/// The edge of one dot of a digit, in points.
pub const DOT: usize = 16;
/// Where the first digit begins from the picture's left edge, in dots. A digit is 3 dots wide, with 1 between two.
pub const DIGITS_LEFT: usize = 11;
/// Where the digits begin from the picture's top edge, in dots. A digit is 5 dots high.
pub const DIGITS_TOP: usize = 10;

/// The rows of each digit's dots, from the top, the leftmost dot in the highest of three bits.
const FONT: [[u8; 5]; 10] = [
    [7, 5, 5, 5, 7],
    [2, 6, 2, 2, 7],
    [7, 1, 7, 4, 7],
    [7, 1, 7, 1, 7],
    [5, 5, 7, 1, 1],
    [7, 4, 7, 1, 7],
    [7, 4, 7, 5, 7],
    [7, 1, 1, 1, 1],
    [7, 5, 7, 5, 7],
    [7, 5, 7, 1, 7],
];

/// The dots of the digit `0`…`9`, as rows of three; `None` for anything else. Light where true.
pub fn digit(value: u8) -> Option<[[bool; 3]; 5]> {
    FONT.get(usize::from(value)).map(|rows| rows.map(|row| [row & 4 != 0, row & 2 != 0, row & 1 != 0]))
}

/// Luma and chroma, as BT.601 counts them.
type Colour = [u8; 3];

const WHITE: Colour = [235, 128, 128];
const GREY: Colour = [60, 128, 128];
const BLACK: Colour = [16, 128, 128];
/// The bars of 75 %.
const BARS: [Colour; 8] = [
    [180, 128, 128],
    [162, 44, 142],
    [131, 156, 44],
    [112, 72, 58],
    [84, 184, 198],
    [65, 100, 212],
    [35, 212, 114],
    [16, 128, 128],
];

/// The means of a macroblock's blocks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Macroblock {
    pub(super) luma: [u8; 4],
    pub(super) chroma: [u8; 2],
}

impl Macroblock {
    const fn flat([luma, cb, cr]: Colour) -> Self {
        Self { luma: [luma; 4], chroma: [cb, cr] }
    }
}

/// One picture, to be asked for its macroblocks.
#[derive(Clone, Copy, Debug)]
pub(super) struct Scene {
    digits: [[[bool; 3]; 5]; DIGITS],
    strip: Colour,
    /// Where the moving block begins, in blocks of 8 points.
    mover: usize,
}

impl Scene {
    /// How wide the moving block is, in blocks of 8 points.
    const MOVER: usize = 3;

    /// The picture numbered `number` of the feed that was given `seed`.
    pub(super) fn new(number: u64, seed: u64) -> Self {
        let mut left = number;
        let mut digits = [[[false; 3]; 5]; DIGITS];
        for place in digits.iter_mut().rev() {
            let [.., value] = (left % 10).to_be_bytes();
            *place = digit(value).unwrap_or_default();
            left /= 10;
        }
        let strip = usize::try_from(seed % 6).unwrap_or(0) + 1;
        Self { digits, strip: BARS[strip], mover: usize::try_from(number % (2 * COLUMNS as u64)).unwrap_or(0) }
    }

    /// The macroblock at `column` (below [`COLUMNS`]) and `row` (below [`ROWS`]).
    pub(super) fn at(&self, column: usize, row: usize) -> Macroblock {
        let digit_columns = DIGITS_LEFT - 1..DIGITS_LEFT + 4 * DIGITS;
        let digit_rows = DIGITS_TOP - 1..DIGITS_TOP + 6;
        if digit_columns.contains(&column) && digit_rows.contains(&row) {
            return Macroblock::flat(if self.dot(column, row) { WHITE } else { BLACK });
        }
        match row {
            0..=23 => Macroblock::flat(BARS[(column * BARS.len() / COLUMNS) % BARS.len()]),
            25..=27 => Macroblock::flat(self.strip),
            29..=34 => {
                let lit = |block| (block + 2 * COLUMNS - self.mover) % (2 * COLUMNS) < Self::MOVER;
                let luma = |block| if lit(block) { WHITE[0] } else { GREY[0] };
                let (left, right) = (luma(2 * column), luma(2 * column + 1));
                Macroblock { luma: [left, right, left, right], chroma: [GREY[1], GREY[2]] }
            }
            _ => Macroblock::flat(GREY),
        }
    }

    /// Whether a dot of a digit lights the macroblock.
    fn dot(&self, column: usize, row: usize) -> bool {
        let (Some(x), Some(y)) = (column.checked_sub(DIGITS_LEFT), row.checked_sub(DIGITS_TOP)) else {
            return false;
        };
        self.digits.get(x / 4).and_then(|d| d.get(y)).and_then(|d| d.get(x % 4)).is_some_and(|&lit| lit)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_number_reads_from_left_to_right() {
        let scene = Scene::new(7_120_345, 0);
        for (place, value) in [1, 2, 0, 3, 4, 5].into_iter().enumerate() {
            let read = core::array::from_fn(|y| {
                core::array::from_fn(|x| {
                    scene.at(DIGITS_LEFT + 4 * place + x, DIGITS_TOP + y) == Macroblock::flat(WHITE)
                })
            });
            assert_eq!(Some(read), digit(value), "place {place}");
        }
        assert_eq!(digit(10), None);
    }

    #[test]
    fn a_picture_differs_from_the_one_before_where_something_moved_and_only_there() {
        let (before, after) = (Scene::new(89, 1), Scene::new(90, 1));
        let changed = (0..ROWS)
            .flat_map(|row| (0..COLUMNS).map(move |column| (column, row)))
            .filter(|&(c, r)| before.at(c, r) != after.at(c, r));
        assert!(changed.clone().all(|(_, r)| (DIGITS_TOP..DIGITS_TOP + 5).contains(&r) || (29..35).contains(&r)));
        assert!(changed.count() > 10);
    }
}
