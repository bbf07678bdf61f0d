//! Protobuf's encoding of single values. Pure functions over bytes.

pub(crate) const VARINT: u32 = 0;
pub(crate) const FIXED64: u32 = 1;
pub(crate) const DELIMITED: u32 = 2;
pub(crate) const GROUP: u32 = 3;
pub(crate) const END_GROUP: u32 = 4;
pub(crate) const FIXED32: u32 = 5;

pub(crate) fn write_varint(mut value: u64, out: &mut Vec<u8>) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

/// Appends what `write` writes, its length before it.
pub(crate) fn write_delimited<E>(
    out: &mut Vec<u8>,
    write: impl FnOnce(&mut Vec<u8>) -> Result<(), E>,
) -> Result<(), E> {
    let start = out.len();
    // Most lengths take one byte; the others make room afterwards.
    out.push(0);
    write(out)?;
    let length = out.len() - start - 1;
    if length < 0x80 {
        if let Some(byte) = out.get_mut(start) {
            *byte = length as u8;
        }
        return Ok(());
    }
    // Seven bits a byte.
    let bits = usize::BITS - length.leading_zeros();
    let extra = (bits as usize).div_ceil(7) - 1;
    let end = out.len();
    out.resize(end + extra, 0);
    out.copy_within(start + 1..end, start + 1 + extra);
    let mut rest = length;
    for byte in out.iter_mut().skip(start).take(extra) {
        *byte = (rest & 0x7f) as u8 | 0x80;
        rest >>= 7;
    }
    if let Some(byte) = out.get_mut(start + extra) {
        *byte = rest as u8;
    }
    Ok(())
}

/// A place in bytes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Reader<'a> {
    pub(crate) bytes: &'a [u8],
    pub(crate) at: usize,
    pub(crate) end: usize,
}

/// The bytes end early.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Truncated;

impl<'a> Reader<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Self {
            bytes,
            at: 0,
            end: bytes.len(),
        }
    }
    pub(crate) fn is_empty(&self) -> bool {
        self.at >= self.end
    }
    pub(crate) fn varint(&mut self) -> Result<u64, Truncated> {
        let mut value = 0;
        for shift in (0..70).step_by(7) {
            if self.at >= self.end {
                return Err(Truncated);
            }
            let byte = *self.bytes.get(self.at).ok_or(Truncated)?;
            self.at += 1;
            value |= u64::from(byte & 0x7f).checked_shl(shift).unwrap_or(0);
            if byte < 0x80 {
                return Ok(value);
            }
        }
        Err(Truncated)
    }
    /// The next `length` bytes.
    pub(crate) fn take(&mut self, length: usize) -> Result<(usize, usize), Truncated> {
        let end = self.at.checked_add(length).ok_or(Truncated)?;
        if end > self.end {
            return Err(Truncated);
        }
        let start = std::mem::replace(&mut self.at, end);
        Ok((start, end))
    }
    pub(crate) fn fixed<const N: usize>(&mut self) -> Result<[u8; N], Truncated> {
        let (start, _) = self.take(N)?;
        let bytes = self.bytes.get(start..).and_then(<[u8]>::first_chunk::<N>);
        bytes.copied().ok_or(Truncated)
    }
    /// A length and that many bytes.
    pub(crate) fn delimited(&mut self) -> Result<(usize, usize), Truncated> {
        let length = usize::try_from(self.varint()?).map_err(|_| Truncated)?;
        self.take(length)
    }
    /// The reader of a part.
    pub(crate) fn part(&self, (at, end): (usize, usize)) -> Self {
        Self {
            bytes: self.bytes,
            at,
            end,
        }
    }
    /// The number and wire type of the next field.
    pub(crate) fn tag(&mut self) -> Result<(u32, u32), Truncated> {
        let tag = u32::try_from(self.varint()?).map_err(|_| Truncated)?;
        Ok((tag >> 3, tag & 7))
    }
    /// Passes over a field whose tag was read.
    pub(crate) fn skip(&mut self, number: u32, wire: u32) -> Result<(), Truncated> {
        match wire {
            VARINT => self.varint().map(drop),
            FIXED64 => self.take(8).map(drop),
            DELIMITED => self.delimited().map(drop),
            FIXED32 => self.take(4).map(drop),
            GROUP => {
                // Groups nest; a list of their numbers is all there is to remember.
                let mut open = vec![number];
                while let Some(&innermost) = open.last() {
                    let (number, wire) = self.tag()?;
                    match wire {
                        GROUP if open.len() > crate::MAX_DEPTH => return Err(Truncated),
                        GROUP => open.push(number),
                        END_GROUP if number == innermost => drop(open.pop()),
                        END_GROUP => return Err(Truncated),
                        _ => self.skip(number, wire)?,
                    }
                }
                Ok(())
            }
            _ => Err(Truncated),
        }
    }
}

pub(crate) fn zigzag(value: i64) -> u64 {
    ((value << 1) ^ (value >> 63)).cast_unsigned()
}
pub(crate) fn unzigzag(value: u64) -> i64 {
    (value >> 1).cast_signed() ^ -(value & 1).cast_signed()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_read_as_they_were_written() {
        for value in [0, 1, 127, 128, 300, u64::MAX] {
            let mut out = Vec::new();
            write_varint(value, &mut out);
            assert_eq!(Reader::new(&out).varint(), Ok(value));
        }
        for value in [0, -1, 1, i64::MIN, i64::MAX] {
            assert_eq!(unzigzag(zigzag(value)), value);
        }
        assert_eq!(Reader::new(&[0x80]).varint(), Err(Truncated));
        assert_eq!(Reader::new(&[0xff; 11]).varint(), Err(Truncated));
        assert_eq!(Reader::new(&[5, 1]).delimited(), Err(Truncated));
    }

    #[test]
    fn a_long_part_has_a_long_length() {
        let mut out = vec![9];
        write_delimited(&mut out, |out| {
            out.extend_from_slice(&[7; 300]);
            Ok::<(), ()>(())
        })
        .expect("written");
        assert_eq!(out.get(..4), Some(&[9, 0xac, 2, 7][..]));
        assert_eq!(out.len(), 303);
        for length in [0, 127, 128, 16_383, 16_384, 2_097_152] {
            let mut out = Vec::new();
            write_delimited(&mut out, |out| {
                out.resize(out.len() + length, 7);
                Ok::<(), ()>(())
            })
            .expect("written");
            let mut reader = Reader::new(&out);
            let (start, end) = reader.delimited().expect("whole");
            assert_eq!((end - start, reader.is_empty()), (length, true));
            assert!(out[start..end].iter().all(|byte| *byte == 7));
        }
    }

    #[test]
    fn groups_are_passed_over_whole() {
        // Group 1 { group 2 {} varint 3 } and one byte more.
        let bytes = [0x0b, 0x13, 0x14, 0x18, 5, 0x0c, 1];
        let mut reader = Reader::new(&bytes);
        let (number, wire) = reader.tag().expect("a tag");
        reader.skip(number, wire).expect("whole");
        assert_eq!(reader.at, 6);
        let deep = [0x0b; 5000];
        assert_eq!(Reader::new(&deep).skip(1, GROUP), Err(Truncated));
    }
}
