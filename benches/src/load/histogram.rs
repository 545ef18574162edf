//! A log-linear histogram of durations.

use std::time::Duration;

const SUB_BITS: u32 = 6;
const SUB: u64 = 1 << SUB_BITS;

/// 64 buckets for each power of two: an error below 1.6 %.
#[derive(Debug)]
pub(crate) struct Histogram {
    buckets: Vec<u64>,
    count: u64,
}

impl Default for Histogram {
    fn default() -> Self {
        Self {
            buckets: vec![0; (64 * SUB) as usize],
            count: 0,
        }
    }
}

impl Histogram {
    pub(crate) fn record(&mut self, duration: Duration) {
        let nanos = u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX);
        self.buckets[index(nanos)] += 1;
        self.count += 1;
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// The value in microseconds below which the share `quantile` of all values lies.
    pub(crate) fn us(&self, quantile: f64) -> f64 {
        let rank = (quantile * self.count as f64).ceil() as u64;
        let mut seen = 0;
        for (index, count) in self.buckets.iter().enumerate() {
            seen += count;
            if *count > 0 && seen >= rank {
                return upper(index as u64) as f64 / 1e3;
            }
        }
        0.0
    }
}

fn index(nanos: u64) -> usize {
    if nanos < SUB {
        return nanos as usize;
    }
    let shift = 63 - nanos.leading_zeros() - SUB_BITS;
    (((u64::from(shift) + 1) << SUB_BITS) + ((nanos >> shift) & (SUB - 1))) as usize
}

fn upper(index: u64) -> u64 {
    if index < SUB {
        return index;
    }
    let shift = (index >> SUB_BITS) - 1;
    (((index & (SUB - 1)) | SUB) + 1) << shift
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bucket_is_hardly_wider_than_its_values() {
        for nanos in [0, 1, 63, 64, 65, 127, 128, 1000, 123_456, 9_999_999] {
            let top = upper(index(nanos) as u64);
            assert!(
                top >= nanos && top as f64 <= nanos as f64 * 1.032 + 1.0,
                "{nanos}: {top}"
            );
        }
    }
}
