//! Latencies of a span as counts by size: from it come percentiles, and two of them add up to the one of both spans.
//!
//! Pure: no file, no clock. A bucket's width is a sixteenth of its octave, so what is answered is within a thirty-second (3.2 %) of a
//! value that was put in, up to the longest of all. Must not trust bytes: what no writer of this file wrote is an empty sketch.
//!
//! ```text
//! bytes: (buckets since the one before: varint, results in it: varint)…    both least 7 bits first, by growing bucket
//! ```

/// Buckets of an octave are two to this power; values below twice as many stand for themselves.
const FINE_BITS: u32 = 4;
/// There is no bucket from here on: 63 bits, as SQLite counts.
const BUCKETS: u32 = (63 - FINE_BITS + 1) << FINE_BITS;

/// Counts of latencies in microseconds, by size: buckets that have any, in order. Most spans have a handful.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Sketch(Vec<(u32, u64)>);

impl Sketch {
    /// Counts one latency; the longest bucket takes what is longer.
    pub fn add(&mut self, micros: u64) {
        self.count(bucket(micros), 1);
    }

    pub fn merge(&mut self, other: &Self) {
        other.0.iter().for_each(|(bucket, count)| self.count(*bucket, *count));
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// How many latencies were counted.
    pub fn total(&self) -> u64 {
        self.0.iter().fold(0, |total, (_, count)| total.saturating_add(*count))
    }

    /// The latency in microseconds that this share (0..1) of all does not exceed; none of nothing.
    pub fn percentile(&self, share: f64) -> Option<u64> {
        let total = self.total();
        let rank = ((share.clamp(0.0, 1.0) * total as f64).ceil() as u64).clamp(1, total.max(1));
        let mut upto = 0u64;
        let found = self.0.iter().find(|(_, count)| {
            upto = upto.saturating_add(*count);
            upto >= rank
        });
        found.map(|(bucket, _)| middle(*bucket))
    }

    /// As it is kept; nothing where nothing was counted.
    pub fn bytes(&self) -> Option<Vec<u8>> {
        let mut bytes = Vec::with_capacity(self.0.len() * 3);
        let mut next = 0;
        for (bucket, count) in &self.0 {
            put(&mut bytes, u64::from(bucket - next));
            put(&mut bytes, *count);
            next = bucket + 1;
        }
        (!bytes.is_empty()).then_some(bytes)
    }

    /// What [`Sketch::bytes`] wrote; empty for anything else.
    pub fn read(bytes: &[u8]) -> Self {
        Self::parse(bytes).unwrap_or_default()
    }

    fn parse(mut bytes: &[u8]) -> Option<Self> {
        let mut counts = Vec::new();
        let mut next = 0u64;
        while !bytes.is_empty() {
            let bucket = next.checked_add(take(&mut bytes)?)?;
            let count = take(&mut bytes)?;
            if count == 0 || bucket >= u64::from(BUCKETS) {
                return None;
            }
            counts.push((u32::try_from(bucket).ok()?, count));
            next = bucket + 1;
        }
        Some(Self(counts))
    }

    fn count(&mut self, bucket: u32, more: u64) {
        match self.0.binary_search_by_key(&bucket, |(bucket, _)| *bucket) {
            Ok(at) => self.0.get_mut(at).into_iter().for_each(|(_, count)| *count = count.saturating_add(more)),
            Err(at) => self.0.insert(at, (bucket, more)),
        }
    }
}

fn bucket(micros: u64) -> u32 {
    // Halved until it is below two rows of fine buckets: the octave is how often.
    let octave = (64 - FINE_BITS - 1).saturating_sub(micros.leading_zeros());
    let fine = (micros >> octave) as u32;
    ((octave << FINE_BITS) + fine).min(BUCKETS - 1)
}

/// The middle of the values that fall into a bucket.
fn middle(bucket: u32) -> u64 {
    let octave = (bucket >> FINE_BITS).saturating_sub(1);
    let fine = u64::from(bucket) - (u64::from(octave) << FINE_BITS);
    let width = 1u64 << octave;
    (fine << octave) + (width - 1) / 2
}

fn put(bytes: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        bytes.push((number & 0x7f) as u8 | 0x80);
        number >>= 7;
    }
    bytes.push(number as u8);
}

fn take(bytes: &mut &[u8]) -> Option<u64> {
    let mut number = 0u64;
    for shift in (0..64).step_by(7) {
        let (byte, rest) = bytes.split_first()?;
        *bytes = rest;
        let bits = u64::from(byte & 0x7f);
        // What does not fit was not written here.
        if bits << shift >> shift != bits {
            return None;
        }
        number |= bits << shift;
        if byte & 0x80 == 0 {
            return Some(number);
        }
    }
    None
}
