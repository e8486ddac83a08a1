//! Latency sketches: percentiles against sorted lists, sums that don't mind the order, bytes that nobody wrote.

use proptest::prelude::*;
use skep::store::Sketch;

fn sketch(latencies: &[u64]) -> Sketch {
    let mut sketch = Sketch::default();
    latencies.iter().for_each(|micros| sketch.add(*micros));
    sketch
}

fn sum(parts: &[&Sketch]) -> Sketch {
    let mut sum = Sketch::default();
    parts.iter().for_each(|part| sum.merge(part));
    sum
}

fn kept(sketch: &Sketch) -> Sketch {
    sketch.bytes().map(|bytes| Sketch::read(&bytes)).unwrap_or_default()
}

/// The latency at the rank of `share`, from all of them in order.
fn exact(latencies: &[u64], share: f64) -> u64 {
    let mut sorted = latencies.to_vec();
    sorted.sort_unstable();
    let rank = (share * sorted.len() as f64).ceil() as usize;
    sorted[rank.clamp(1, sorted.len()) - 1]
}

/// From fractions of a millisecond to minutes, as checks have them, and anything at all.
fn latencies(count: std::ops::Range<usize>) -> impl Strategy<Value = Vec<u64>> {
    let usual = (0u32..28).prop_flat_map(|bits| 0u64..(2 << bits));
    prop::collection::vec(prop_oneof![8 => usual, 1 => 0..i64::MAX as u64], count)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn percentiles_are_within_five_percent(latencies in latencies(1..400), share in 0.0f64..=1.0) {
        let sketch = kept(&sketch(&latencies));
        for share in [share, 0.5, 0.95, 0.99, 0.0, 1.0] {
            let (told, exact) = (sketch.percentile(share).unwrap() as f64, exact(&latencies, share) as f64);
            prop_assert!((told - exact).abs() <= exact * 0.05, "{told} is not {exact}, the share {share} of {latencies:?}");
        }
        prop_assert_eq!(sketch.total(), latencies.len() as u64);
    }

    #[test]
    fn parts_add_up_to_the_whole_in_any_order(a in latencies(0..60), b in latencies(0..60), c in latencies(0..60)) {
        let whole = sketch(&[a.clone(), b.clone(), c.clone()].concat());
        let (a, b, c) = (sketch(&a), sketch(&b), sketch(&c));
        prop_assert_eq!(&sum(&[&a, &b, &c]), &whole);
        prop_assert_eq!(&sum(&[&c, &b, &a]), &whole);
        prop_assert_eq!(&sum(&[&a, &sum(&[&b, &c])]), &sum(&[&sum(&[&a, &b]), &c]));
        prop_assert_eq!(&kept(&whole), &whole);
    }

    /// Bytes of another hand may say anything: they are read as what they say, or as nothing, and stay small.
    #[test]
    fn any_bytes_do_no_harm(bytes in prop::collection::vec(any::<u8>(), 0..200), cut in 0usize..40, other in latencies(0..40)) {
        let mut read = Sketch::read(&bytes);
        read.merge(&sketch(&other));
        read.add(u64::MAX);
        prop_assert!(read.percentile(0.5).is_some() && read.total() > 0);
        prop_assert!(read.bytes().unwrap().len() < 12_000);
        // Half of a sketch is one of fewer, or none.
        let whole = sketch(&other).bytes().unwrap_or_default();
        let half = Sketch::read(&whole[..cut.min(whole.len())]);
        prop_assert!(half.total() <= other.len() as u64);
    }
}

#[test]
fn a_sketch_is_small_and_nothing_is_nothing() {
    assert_eq!((Sketch::default().bytes(), Sketch::default().percentile(0.5)), (None, None));
    assert_eq!(sketch(&[25_000, 25_100]).bytes().unwrap().len(), 3, "a minute of two results");
    // A day of one a second, from a millisecond to a second.
    let day = sketch(&(0..86_400u64).map(|n| 1_000 + n * n % 999_000).collect::<Vec<_>>());
    assert!(day.bytes().unwrap().len() < 600, "{}", day.bytes().unwrap().len());
    for hostile in
        [&[0x80][..], &[0xff; 30], &[1, 0], &[0xc0, 7, 1], &[0, 1, 0x80], &[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f, 1]]
    {
        assert_eq!(Sketch::read(hostile), Sketch::default(), "{hostile:?}");
    }
    // A count at its end stays there.
    let mut full = vec![5];
    full.extend([0xff; 9]);
    full.push(1);
    let mut most = Sketch::read(&full);
    assert_eq!(most.total(), u64::MAX);
    most.merge(&Sketch::read(&full));
    assert_eq!((most.total(), most.percentile(0.99)), (u64::MAX, Some(5)));
    assert!(Sketch::read(&most.bytes().unwrap()) == most);
    assert!(sketch(&[u64::MAX]).percentile(0.5).unwrap() <= i64::MAX as u64);
}
