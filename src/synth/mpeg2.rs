//! The video: MPEG-2, main profile (ISO/IEC 13818-2), 720 × 576 points, 25 progressive frames a second, 4:2:0.
//!
//! An intra picture codes each macroblock by the means of its blocks and a little noise. A predicted picture codes
//! so what has changed and as much of the rest as there are bits for, going around the picture, and skips what is
//! left, which stands for a copy of the picture before. There is no residual over a prediction, so the encoder keeps
//! no picture, errors never add up, and what a picture shows follows from its number and the seed alone. Low delay:
//! no B pictures, and a picture is shown when it is decoded.

// codes are grouped as the standard's tables print them, and fields by what they mean
#![allow(clippy::unusual_byte_groupings)]

use super::bits::BitWriter;
use super::noise::Noise;
use super::picture::{COLUMNS, Macroblock, ROWS, Scene};
use super::plan::{PICTURE_RATE, Plan};

const PICTURE_START: u32 = 0x100;
const SEQUENCE_HEADER: u32 = 0x1B3;
const EXTENSION_START: u32 = 0x1B5;
const GROUP_START: u32 = 0x1B8;

const MACROBLOCKS: usize = COLUMNS * ROWS;
/// Bits that a macroblock takes at the least, about.
const MACROBLOCK_BITS: usize = 36;
/// Bits of a slice's header, its edges and its alignment, about.
const SLICE_BITS: usize = 64;
/// Bits of all headers, and room for the last macroblock to come out longer than meant.
const PICTURE_BITS: usize = 600;

/// macroblock_address_increment (table B.1): code and length of 1…33; a slice here never needs the escape but once.
const INCREMENT: [(u32, u32); 33] = [
    (0b1, 1),
    (0b011, 3),
    (0b010, 3),
    (0b0011, 4),
    (0b0010, 4),
    (0b0001_1, 5),
    (0b0001_0, 5),
    (0b0000_111, 7),
    (0b0000_110, 7),
    (0b0000_1011, 8),
    (0b0000_1010, 8),
    (0b0000_1001, 8),
    (0b0000_1000, 8),
    (0b0000_0111, 8),
    (0b0000_0110, 8),
    (0b0000_0101_11, 10),
    (0b0000_0101_10, 10),
    (0b0000_0101_01, 10),
    (0b0000_0101_00, 10),
    (0b0000_0100_11, 10),
    (0b0000_0100_10, 10),
    (0b0000_0100_011, 11),
    (0b0000_0100_010, 11),
    (0b0000_0100_001, 11),
    (0b0000_0100_000, 11),
    (0b0000_0011_111, 11),
    (0b0000_0011_110, 11),
    (0b0000_0011_101, 11),
    (0b0000_0011_100, 11),
    (0b0000_0011_011, 11),
    (0b0000_0011_010, 11),
    (0b0000_0011_001, 11),
    (0b0000_0011_000, 11),
];
const INCREMENT_ESCAPE: (u32, u32) = (0b0000_0001_000, 11);

/// dct_dc_size_luminance and dct_dc_size_chrominance (tables B.12, B.13): code and length of the sizes 0…8.
const DC_SIZE: [[(u32, u32); 9]; 2] = [
    [
        (0b100, 3),
        (0b00, 2),
        (0b01, 2),
        (0b101, 3),
        (0b110, 3),
        (0b1110, 4),
        (0b1_1110, 5),
        (0b11_1110, 6),
        (0b111_1110, 7),
    ],
    [
        (0b00, 2),
        (0b01, 2),
        (0b10, 2),
        (0b110, 3),
        (0b1110, 4),
        (0b1_1110, 5),
        (0b11_1110, 6),
        (0b111_1110, 7),
        (0b1111_1110, 8),
    ],
];

/// Some coefficients of table B.14: run, code without the sign, and its length.
type Coefficient = (u32, u32, u32);
/// A few bits, well apart: (0,1) (1,1) (0,2) (2,1) (3,1) (4,1) (5,1) (6,1).
const SPARSE: [Coefficient; 8] = [
    (0, 0b11, 2),
    (1, 0b011, 3),
    (0, 0b0100, 4),
    (2, 0b0101, 4),
    (3, 0b0011_1, 5),
    (4, 0b0011_0, 5),
    (5, 0b0001_11, 6),
    (6, 0b0001_01, 6),
];
/// Many bits: the levels 1…4 one after another.
const DENSE: [Coefficient; 4] = [(0, 0b11, 2), (0, 0b0100, 4), (0, 0b0010_1, 5), (0, 0b0000_110, 7)];
const END_OF_BLOCK: (u32, u32) = (0b10, 2);
/// How many bits of noise a block can take with sparse coefficients; above that they are dense.
const SPARSE_MAX: usize = 64;

/// How a macroblock's noise is shared out, where there is little of it: to a block of luma, of chroma, and to all six.
const LUMA_WEIGHT: usize = 3;
const CHROMA_WEIGHT: usize = 1;
const WEIGHTS: usize = 4 * LUMA_WEIGHT + 2 * CHROMA_WEIGHT;

/// The encoder. Encodes one picture at a time into a buffer that it keeps.
#[derive(Clone, Debug)]
pub(super) struct Encoder {
    bits: BitWriter,
    seed: u64,
    /// The macroblock from which the next predicted picture codes what need not be.
    refresh: usize,
}

/// What is being encoded.
struct Picture {
    scene: Scene,
    before: Scene,
    noise: Noise,
    /// The macroblocks coded though they did not change: so many, from [`Encoder::refresh`] on.
    refreshed: usize,
    intra: bool,
    /// Macroblocks that are yet to be coded.
    to_code: usize,
    /// The length not to exceed, in bits.
    size: usize,
    dense: bool,
}

impl Encoder {
    /// An encoder of pictures that take up to `capacity` bytes.
    pub(super) fn new(seed: u64, capacity: usize) -> Self {
        Self { bits: BitWriter::with_capacity(capacity + 512), seed, refresh: 0 }
    }

    /// The picture encoded last.
    pub(super) fn bytes(&self) -> &[u8] {
        self.bits.bytes()
    }

    /// Encodes the picture `number`, which stands at `place` in its group; place 0 is an intra picture behind a
    /// sequence header and a group header. It takes [`Plan::picture_bytes`] at the most, and nearly as many.
    pub(super) fn encode(&mut self, plan: &Plan, number: u64, place: u32) {
        self.bits.clear();
        let mut picture = Picture {
            scene: Scene::new(number, self.seed),
            before: Scene::new(number.wrapping_sub(1), self.seed),
            noise: Noise::new(self.seed, number),
            refreshed: MACROBLOCKS,
            intra: place == 0,
            to_code: MACROBLOCKS,
            size: plan.picture_bytes(place) * 8,
            dense: false,
        };
        let room = picture.size.saturating_sub(PICTURE_BITS + ROWS * SLICE_BITS);
        if picture.intra {
            self.sequence_header(plan);
            self.group_header(number);
        } else {
            let changed = (0..MACROBLOCKS).filter(|&m| picture.changed(m)).count();
            // with noise enough to be worth it
            let affordable = room / (2 * MACROBLOCK_BITS);
            picture.refreshed = affordable.saturating_sub(changed).min(MACROBLOCKS);
            picture.to_code = (0..MACROBLOCKS).filter(|&m| picture.changed(m) || self.refreshes(&picture, m)).count();
        }
        picture.dense = room / picture.to_code.max(1) > MACROBLOCK_BITS + SPARSE_MAX * WEIGHTS / LUMA_WEIGHT;
        self.picture_header(place, picture.intra);
        for row in 0..ROWS {
            self.slice(&mut picture, row);
        }
        if !picture.intra {
            self.refresh = (self.refresh + picture.refreshed) % MACROBLOCKS;
        }
    }

    fn refreshes(&self, picture: &Picture, macroblock: usize) -> bool {
        (macroblock + MACROBLOCKS - self.refresh) % MACROBLOCKS < picture.refreshed
    }

    fn put(&mut self, (code, bits): (u32, u32)) {
        self.bits.put(code, bits);
    }

    /// sequence_header() and sequence_extension() (6.2.2.1, 6.2.2.3).
    fn sequence_header(&mut self, plan: &Plan) {
        let (rate, vbv) = (plan.video_rate(), plan.level.vbv_buffer_size());
        self.put((SEQUENCE_HEADER, 32));
        self.put((720, 12));
        self.put((576, 12));
        // 4:3, 25 frames a second
        self.put((0x23, 8));
        self.put((rate & 0x3_FFFF, 18));
        self.put((1, 1));
        self.put((vbv & 0x3FF, 10));
        // no constrained parameters, the quantiser matrices of the standard
        self.put((0, 3));
        self.bits.align();
        self.put((EXTENSION_START, 32));
        self.put((1, 4));
        self.put((plan.level.indication(), 8));
        // not a progressive_sequence (its frames are all the same), 4:2:0, no extension of the size
        self.put((0b0_01_00_00, 7));
        self.put((rate >> 18, 12));
        self.put((1, 1));
        self.put((vbv >> 10, 8));
        // low_delay, no extension of the frame rate
        self.put((0b1_00_00000, 8));
        self.bits.align();
    }

    /// group_of_pictures_header() (6.2.2.6), closed.
    fn group_header(&mut self, number: u64) {
        let seconds = number / PICTURE_RATE;
        let field = |value: u64| u32::try_from(value).unwrap_or(0);
        self.put((GROUP_START, 32));
        self.put((field(seconds / 3600 % 24), 6));
        self.put((field(seconds / 60 % 60), 6));
        self.put((1, 1));
        self.put((field(seconds % 60), 6));
        self.put((field(number % PICTURE_RATE), 6));
        self.put((0b10, 2));
        self.bits.align();
    }

    /// picture_header() and picture_coding_extension() (6.2.3, 6.2.3.1).
    fn picture_header(&mut self, place: u32, intra: bool) {
        self.put((PICTURE_START, 32));
        self.put((place & 0x3FF, 10));
        self.put((if intra { 1 } else { 2 }, 3));
        // vbv_delay: of no constant rate
        self.put((0xFFFF, 16));
        if !intra {
            self.put((0b0111, 4));
        }
        self.put((0, 1));
        self.bits.align();
        self.put((EXTENSION_START, 32));
        self.put((8, 4));
        self.put((if intra { 0xFFFF } else { 0x11FF }, 16));
        // intra_dc_precision 8 bits, a frame, top field first, frame_pred_frame_dct
        self.put((0b00_11_1_1, 6));
        // no concealment vectors, linear quantiser scale, tables B.14, zigzag, no repeated field
        self.put((0, 5));
        // chroma_420_type and progressive_frame, no composite display
        self.put((0b110, 3));
        self.bits.align();
    }

    /// slice() (6.2.4): one row of macroblocks.
    fn slice(&mut self, picture: &mut Picture, row: usize) {
        let rows_left = ROWS - row;
        let number = u32::try_from(row + 1).unwrap_or(1);
        self.put((PICTURE_START | number, 32));
        // quantiser_scale_code, small where there is much noise; extra_bit_slice
        self.put((if picture.dense { 1 } else { 4 }, 5));
        self.put((0, 1));
        let mut increment = 1;
        let mut predictors = [128; 3];
        for column in 0..COLUMNS {
            let macroblock = row * COLUMNS + column;
            if self.refreshes(picture, macroblock) || picture.changed(macroblock) {
                self.increment(increment);
                increment = 1;
                self.put(if picture.intra { (1, 1) } else { (0b00011, 5) });
                let spare = picture.size.saturating_sub(self.bits.bits() + PICTURE_BITS / 2 + rows_left * SLICE_BITS);
                let noise = (spare / picture.to_code.max(1)).saturating_sub(MACROBLOCK_BITS);
                picture.to_code = picture.to_code.saturating_sub(1);
                self.macroblock(picture.scene.at(column, row), &mut predictors, noise, picture);
            } else if column == 0 || column == COLUMNS - 1 {
                // a slice's ends are not skipped: motion compensated, nothing coded, the motion none
                self.increment(increment);
                increment = 1;
                self.put((0b001_1_1, 5));
                predictors = [128; 3];
            } else {
                increment += 1;
                predictors = [128; 3];
            }
        }
        self.bits.align();
    }

    /// macroblock_address_increment.
    fn increment(&mut self, mut increment: usize) {
        while let Some(rest) = increment.checked_sub(INCREMENT.len()).filter(|&rest| rest > 0) {
            self.put(INCREMENT_ESCAPE);
            increment = rest;
        }
        self.put(INCREMENT.get(increment - 1).copied().unwrap_or(INCREMENT[0]));
    }

    /// The six blocks of an intra macroblock (6.2.6), with about `noise` bits of coefficients.
    fn macroblock(&mut self, means: Macroblock, predictors: &mut [i32; 3], mut noise: usize, picture: &mut Picture) {
        let [y0, y1, y2, y3] = means.luma;
        let [cb, cr] = means.chroma;
        // dense coefficients fill all the blocks there are
        let luma_weight = if picture.dense { CHROMA_WEIGHT } else { LUMA_WEIGHT };
        let mut weights = 4 * luma_weight + 2 * CHROMA_WEIGHT;
        for (mean, component) in [(y0, 0), (y1, 0), (y2, 0), (y3, 0), (cb, 1), (cr, 2)] {
            let mean = i32::from(mean);
            self.dc(mean - predictors[component], component.min(1));
            predictors[component] = mean;
            let weight = if component == 0 { luma_weight } else { CHROMA_WEIGHT };
            let before = self.bits.bits();
            self.ac(noise * weight / weights, picture);
            weights -= weight;
            noise = noise.saturating_sub(self.bits.bits() - before);
            self.put(END_OF_BLOCK);
        }
    }

    /// dct_dc_size and dct_dc_differential.
    fn dc(&mut self, difference: i32, table: usize) {
        let size = i32::BITS - difference.abs().leading_zeros();
        self.put(DC_SIZE[table].get(size as usize).copied().unwrap_or(DC_SIZE[table][0]));
        let mask = (1 << size) - 1;
        let value = if difference < 0 { difference + mask } else { difference };
        self.put((value.cast_unsigned(), size));
    }

    /// Noise of about `share` bits.
    fn ac(&mut self, share: usize, picture: &mut Picture) {
        let end = self.bits.bits() + share;
        let mut last = 0;
        let mut chance = 0;
        let mut left = 0;
        while self.bits.bits() + 2 < end {
            if left == 0 {
                chance = picture.noise.word();
                left = 8;
            }
            let choice = (chance & 7) as usize;
            let sign = chance >> 3 & 1;
            chance >>= 4;
            left -= 1;
            let (run, code, length) = if picture.dense { DENSE[choice % DENSE.len()] } else { SPARSE[choice] };
            last += run + 1;
            if last > 63 {
                break;
            }
            self.put((code << 1 | sign, length + 1));
        }
    }
}

impl Picture {
    fn changed(&self, macroblock: usize) -> bool {
        let (column, row) = (macroblock % COLUMNS, macroblock / COLUMNS);
        self.scene.at(column, row) != self.before.at(column, row)
    }
}

#[cfg(test)]
mod tests {
    use super::super::Settings;
    use super::*;

    #[test]
    fn every_picture_fills_its_bytes_and_takes_no_more() {
        let digits = [0, 44, 89, 90, 999_999, 1_000_000, 888_888, 7_777_777, u64::MAX];
        for (bit_rate, gop) in [(0, 1), (0, 25), (0, 250), (3_000_000, 12), (8_000_000, 25), (100_000_000, 12)] {
            let plan = Plan::new(&Settings { bit_rate, gop, ..Settings::default() });
            let mut encoder = Encoder::new(3, plan.picture_bytes(0));
            for number in digits {
                for place in [0, 1, 2, plan.gop - 1] {
                    encoder.encode(&plan, number, place);
                    let (length, most) = (encoder.bytes().len(), plan.picture_bytes(place));
                    assert!(length <= most, "{bit_rate} {number} {place}: {length} of {most} bytes");
                    assert!(length * 100 >= most * 90, "{bit_rate} {number} {place}: {length} of {most} bytes");
                }
            }
        }
    }

    #[test]
    fn start_codes_stand_only_where_they_should() {
        let plan = Plan::new(&Settings { bit_rate: 3_000_000, ..Settings::default() });
        let mut encoder = Encoder::new(9, plan.picture_bytes(0));
        for number in 0..u32::from(50_u8) {
            let place = number % 25;
            encoder.encode(&plan, u64::from(number), place);
            let codes: Vec<u8> = encoder.bytes().windows(4).filter(|w| w[..3] == [0, 0, 1]).map(|w| w[3]).collect();
            let head: &[u8] = if place == 0 { &[0xB3, 0xB5, 0xB8, 0x00, 0xB5] } else { &[0x00, 0xB5] };
            assert_eq!(codes[..head.len()], *head);
            assert_eq!(codes[head.len()..], (1..=36).collect::<Vec<u8>>());
        }
    }
}
