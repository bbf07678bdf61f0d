//! Blocks of memory that the bytes of many messages share, used again once all of them are gone: a
//! message costs no allocation, and a block no fresh pages.

use bytes::{Bytes, BytesMut};

/// Large enough for hundreds of usual messages.
const BLOCK_BYTES: usize = 256 * 1024;
/// So many blocks are kept: those of a batch of usual size.
const MAX_BLOCKS: usize = 32;

/// Where bytes are gathered.
#[derive(Debug, Default)]
pub struct Blocks {
    /// What is left of each.
    list: Vec<BytesMut>,
    current: usize,
}

impl Blocks {
    /// A copy that shares its block.
    pub fn copy(&mut self, bytes: &[u8]) -> Bytes {
        if bytes.len() > BLOCK_BYTES {
            return Bytes::copy_from_slice(bytes);
        }
        let block = self.with_room(bytes.len());
        block.extend_from_slice(bytes);
        block.split().freeze()
    }

    /// What `write` appends, with room for `expected` bytes before it grows; `None` where it says
    /// `false`.
    pub fn append(
        &mut self,
        expected: usize,
        write: impl FnOnce(&mut BytesMut) -> bool,
    ) -> Option<Bytes> {
        if expected > BLOCK_BYTES {
            let mut own = BytesMut::with_capacity(expected);
            return write(&mut own).then(|| own.freeze());
        }
        let block = self.with_room(expected);
        let written = write(block);
        if !written {
            block.clear();
            return None;
        }
        Some(block.split().freeze())
    }

    /// The current block, which is empty: what was in it has been handed out.
    fn with_room(&mut self, wanted: usize) -> &mut BytesMut {
        let has_room = |block: &BytesMut| block.capacity() - block.len() >= wanted;
        if !self.list.get(self.current).is_some_and(has_room) {
            // The oldest first: its messages are the likeliest to be gone.
            let count = self.list.len();
            let free = (1..=count)
                .map(|step| (self.current + step) % count)
                .find(|&index| self.list[index].try_reclaim(BLOCK_BYTES));
            self.current = match free {
                Some(index) => index,
                None if count < MAX_BLOCKS => {
                    self.list.push(BytesMut::with_capacity(BLOCK_BYTES));
                    count
                }
                None => {
                    // Let go of: it lives as long as its messages.
                    let oldest = (self.current + 1) % count;
                    self.list[oldest] = BytesMut::with_capacity(BLOCK_BYTES);
                    oldest
                }
            };
        }
        &mut self.list[self.current]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn places(copies: &[Bytes]) -> Vec<*const u8> {
        copies.iter().map(|copy| copy.as_ptr()).collect()
    }

    #[test]
    fn copies_share_blocks_and_keep_their_bytes() {
        let mut blocks = Blocks::default();
        let copies: Vec<Bytes> = (0..10_000u32)
            .map(|number| blocks.copy(&[number.to_le_bytes(); 50].concat()))
            .collect();
        assert_eq!(blocks.list.len(), 8, "2 MB");
        for (number, copy) in (0..10_000u32).zip(&copies) {
            assert_eq!(copy[196..], number.to_le_bytes());
        }
    }

    #[test]
    fn a_block_is_used_again_when_its_messages_are_gone() {
        let mut blocks = Blocks::default();
        let batch = |blocks: &mut Blocks| -> Vec<Bytes> {
            (0..3000).map(|_| blocks.copy(&[7; 300])).collect()
        };
        let first = batch(&mut blocks);
        let (used, count) = (places(&first), blocks.list.len());
        drop(first);
        for _ in 0..5 {
            let again = batch(&mut blocks);
            assert!(blocks.list.len() <= count + 1);
            assert!(places(&again).iter().any(|place| used.contains(place)));
        }
    }

    #[test]
    fn what_is_not_wanted_after_all_leaves_nothing() {
        let mut blocks = Blocks::default();
        let written = |blocks: &mut Blocks, byte, length, wanted| {
            blocks.append(10, |block| {
                block.extend_from_slice(&vec![byte; length]);
                wanted
            })
        };
        assert_eq!(
            written(&mut blocks, 1, 5, true).as_deref(),
            Some(&[1; 5][..])
        );
        assert_eq!(written(&mut blocks, 2, 5, false), None);
        let grown = written(&mut blocks, 3, BLOCK_BYTES + 1, true).expect("written");
        assert_eq!(grown, vec![3; BLOCK_BYTES + 1]);
        let large = blocks.append(BLOCK_BYTES + 1, |block| {
            block.extend_from_slice(b"large");
            true
        });
        assert_eq!(large.as_deref(), Some(&b"large"[..]));
    }

    #[test]
    fn what_is_kept_is_bounded() {
        let mut blocks = Blocks::default();
        let kept: Vec<Bytes> = (0..200).map(|_| blocks.copy(&[1; 200_000])).collect();
        assert_eq!(blocks.list.len(), MAX_BLOCKS);
        assert!(
            kept.iter()
                .all(|copy| copy.len() == 200_000 && copy[199_999] == 1)
        );
        let large = vec![2; BLOCK_BYTES + 1];
        assert_eq!(blocks.copy(&large), large);
    }
}
