//! The variant of MurmurHash3 by which Debezium hashes values to partitions.
//!
//! It is an early one (its constants change from block to block) and mixes the last, incomplete
//! block with signed bytes. Answers for `io.debezium.util.MurmurHash3`.

const SEED: i64 = 9001;

struct State {
    h1: i64,
    h2: i64,
    c1: i64,
    c2: i64,
}

impl State {
    fn mix(&mut self, mut k1: i64, mut k2: i64) {
        k1 = k1
            .wrapping_mul(self.c1)
            .rotate_left(23)
            .wrapping_mul(self.c2);
        self.h1 = (self.h1 ^ k1).wrapping_add(self.h2);
        self.h2 = self.h2.rotate_left(41);
        k2 = k2
            .wrapping_mul(self.c2)
            .rotate_left(23)
            .wrapping_mul(self.c1);
        self.h2 = (self.h2 ^ k2).wrapping_add(self.h1);
        self.h1 = self.h1.wrapping_mul(3).wrapping_add(0x52dc_e729);
        self.h2 = self.h2.wrapping_mul(3).wrapping_add(0x3849_5ab5);
        self.c1 = self.c1.wrapping_mul(5).wrapping_add(0x7b7d_159c);
        self.c2 = self.c2.wrapping_mul(5).wrapping_add(0x6bce_6396);
    }
}

fn finish(hash: i64) -> i64 {
    let shifted = |hash: i64| hash ^ (hash.cast_unsigned() >> 33).cast_signed();
    let hash = shifted(hash).wrapping_mul(0xff51_afd7_ed55_8ccd_u64.cast_signed());
    let hash = shifted(hash).wrapping_mul(0xc4ce_b9fe_1a85_ec53_u64.cast_signed());
    shifted(hash)
}

/// Up to eight bytes, the lowest first, each with its sign if asked.
fn word(bytes: &[u8], signed: bool) -> i64 {
    bytes.iter().enumerate().fold(0, |word, (index, &byte)| {
        let byte = match signed {
            true => i64::from(byte.cast_signed()),
            false => i64::from(byte),
        };
        word ^ byte.wrapping_shl(u32::try_from(index * 8).unwrap_or_default())
    })
}

/// The upper half of the 64-bit hash of these bytes.
pub(super) fn hash(bytes: &[u8]) -> i32 {
    let mut state = State {
        h1: 0x9368_e53c_2f6a_f274_u64.cast_signed() ^ SEED,
        h2: 0x586d_cd20_8f7c_d3fd ^ SEED,
        c1: 0x87c3_7b91_1142_53d5_u64.cast_signed(),
        c2: 0x4cf5_ad43_2745_937f,
    };
    let mut blocks = bytes.chunks_exact(16);
    for block in blocks.by_ref() {
        let (low, high) = block.split_at(8);
        state.mix(word(low, false), word(high, false));
    }
    let rest = blocks.remainder();
    if !rest.is_empty() {
        let (low, high) = rest.split_at(rest.len().min(8));
        state.mix(word(low, true), word(high, true));
    }
    let length = i64::try_from(bytes.len()).unwrap_or(i64::MAX);
    let (mut h1, mut h2) = (state.h1, state.h2 ^ length);
    h1 = h1.wrapping_add(h2);
    h2 = h2.wrapping_add(h1);
    h1 = finish(h1);
    h2 = finish(h2);
    h1 = h1.wrapping_add(h2);
    (h1 >> 32) as i32
}
