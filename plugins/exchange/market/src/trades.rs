//! The trades of every second since 2014: a pure function of pair and second, with busy and empty hours.
//!
//! Must not remember: an hour is made anew whenever somebody asks for it.

/// The first second with trades: 2014-01-01. Ids then fit into 32 bits until 2038.
pub const FIRST_SECOND: i64 = 1_388_534_400;
const FIRST_HOUR: i64 = FIRST_SECOND / 3_600;
/// Ids of one hour.
const IDS_AN_HOUR: i64 = 10_000;
/// The last hour whose ids fit.
const LAST_HOUR: i64 = FIRST_HOUR + (i32::MAX as i64) / IDS_AN_HOUR - 1;
/// Trades of a second that overflows any answer.
const BURST: u64 = 1_100;
/// One hour in so many has such a second, where they are wanted.
const BURSTS: u64 = 16;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Trade {
    /// Unique for its pair, grows with time.
    pub id: i64,
    /// Since 1970.
    pub second: i64,
    pub buy: bool,
    /// Both in units of 10⁻⁸.
    pub rate: u64,
    pub amount: u64,
}

impl Trade {
    /// In units of 10⁻⁸, rounded down as the exchange does.
    pub fn total(&self) -> u64 {
        u64::try_from(u128::from(self.rate) * u128::from(self.amount) / 100_000_000).unwrap_or(u64::MAX)
    }
}

/// All trades of all pairs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Trades {
    /// Some seconds have more trades than one answer holds.
    pub bursts: bool,
}

impl Trades {
    /// The newest `limit` trades of `from..=until`, newest first.
    pub fn newest(&self, pair: &str, from: i64, until: i64, limit: usize) -> Vec<Trade> {
        let mut found = Vec::new();
        let (first, last) = ((from.div_euclid(3_600)).max(FIRST_HOUR), until.div_euclid(3_600).min(LAST_HOUR));
        for hour in (first..=last).rev() {
            let inside = self.hour(pair, hour).into_iter().rev().filter(|trade| (from..=until).contains(&trade.second));
            found.extend(inside.take(limit.saturating_sub(found.len())));
            if found.len() >= limit {
                break;
            }
        }
        found
    }

    /// The trades of one hour since 1970, oldest first.
    pub fn hour(&self, pair: &str, hour: i64) -> Vec<Trade> {
        if !(FIRST_HOUR..=LAST_HOUR).contains(&hour) {
            return Vec::new();
        }
        let seed = seed(pair);
        let hourly = Dice::new(seed, hour, 1);
        let an_hour = match hourly.roll(0, 12) {
            0 | 1 => 0,
            2..=5 => 20 + hourly.roll(1, 60),
            6..=9 => 200 + hourly.roll(1, 400),
            _ => 1_100 + hourly.roll(1, 1_200),
        };
        let burst = (self.bursts && hourly.roll(2, BURSTS) == 0).then(|| hourly.roll(3, 3_600));
        let mut trades = Vec::new();
        for second in 0..3_600_u64 {
            let at = hour * 3_600 + i64::try_from(second).unwrap_or(0);
            let dice = Dice::new(seed, at, 2);
            // Trades come in small groups: one second in two of those that have any has up to four.
            let group = if dice.roll(0, 7_200) < an_hour { 1 + dice.roll(1, 2) * dice.roll(2, 4) } else { 0 };
            let many = if burst == Some(second) { BURST } else { group };
            for n in 0..many {
                let id = (hour - FIRST_HOUR) * IDS_AN_HOUR + i64::try_from(trades.len()).unwrap_or(0);
                let dice = Dice::new(seed, id, 3);
                let rate = 1_000_000 + seed % 5_000_000 + hourly.roll(4, 100_000) + dice.roll(0, 5_000);
                trades.push(Trade { id, second: at, buy: dice.roll(1, 2) == 0, rate, amount: 1 + dice.roll(2 + n % 2, 500_000_000) });
            }
        }
        trades
    }
}

/// FNV-1a of the pair's name.
fn seed(pair: &str) -> u64 {
    pair.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3))
}

/// Numbers that look random and are always the same (SplitMix64).
struct Dice(u64);

impl Dice {
    fn new(seed: u64, of: i64, what: u64) -> Self {
        Self(mixed(mixed(seed ^ what) ^ of.cast_unsigned()))
    }

    /// Below `sides`.
    fn roll(&self, which: u64, sides: u64) -> u64 {
        mixed(self.0 ^ which.wrapping_mul(0x9e37_79b9_7f4a_7c15)) % sides
    }
}

fn mixed(number: u64) -> u64 {
    let number = number.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let number = (number ^ (number >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let number = (number ^ (number >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    number ^ (number >> 31)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// 2020-06-01.
    const DAY: i64 = 1_590_969_600;

    fn hours(trades: Trades) -> Vec<usize> {
        (0..500).map(|hour| trades.hour("BTC_ETH", DAY / 3_600 + hour).len()).collect()
    }

    #[test]
    fn hours_are_empty_quiet_and_busy() {
        let hours = hours(Trades::default());
        let share = |holds: fn(usize) -> bool| hours.iter().filter(|many| holds(**many)).count() * 100 / hours.len();
        assert!((10..25).contains(&share(|many| many == 0)), "{hours:?}");
        assert!((20..45).contains(&share(|many| (1..150).contains(&many))), "{hours:?}");
        assert!((8..25).contains(&share(|many| many > 1_000)), "a window of an hour often overflows: {hours:?}");
        assert!(hours.iter().all(|many| *many < 5_000));
    }

    #[test]
    fn a_second_overflows_only_where_wanted() {
        let fullest = |trades: Trades| {
            let of_hour = |hour| {
                let all = trades.hour("BTC_ETH", DAY / 3_600 + hour);
                all.iter().map(|trade| all.iter().filter(|other| other.second == trade.second).count()).max().unwrap_or(0)
            };
            (0..40).map(of_hour).max().unwrap()
        };
        assert!(fullest(Trades::default()) <= 8);
        assert!(fullest(Trades { bursts: true }) >= 1_000);
    }

    #[test]
    fn ids_are_unique_grow_and_fit_into_32_bits() {
        let newest = Trades { bursts: true }.newest("BTC_ETH", DAY, DAY + 86_399, usize::MAX);
        assert!(newest.windows(2).all(|pair| pair[0].id > pair[1].id && pair[0].second >= pair[1].second));
        let last = Trades::default().newest("BTC_ETH", i64::from(i32::MAX) - 2_000_000, i64::from(i32::MAX), usize::MAX);
        assert!(last.iter().all(|trade| i32::try_from(trade.id).is_ok()));
        assert!(Trades::default().newest("BTC_ETH", 0, FIRST_SECOND - 1, 10).is_empty());
    }

    #[test]
    fn pairs_differ_and_each_stays_the_same() {
        let first = |pair| Trades::default().newest(pair, DAY, DAY + 86_399, 5);
        assert_eq!(first("BTC_ETH"), first("BTC_ETH"));
        assert_ne!(first("BTC_ETH"), first("BTC_XMR"));
        assert_eq!(first("BTC_ETH").len(), 5);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(32))]

        #[test]
        fn halves_of_a_window_are_the_window(from in 0..86_400_i64, first in 0..7_200_i64, second in 0..7_200_i64) {
            let (trades, from) = (Trades::default(), DAY + from);
            let (middle, until) = (from + first, from + first + 1 + second);
            let all = trades.newest("BTC_ETH", from, until, usize::MAX);
            let mut halves = trades.newest("BTC_ETH", middle + 1, until, usize::MAX);
            halves.extend(trades.newest("BTC_ETH", from, middle, usize::MAX));
            prop_assert_eq!(&all, &halves);
            prop_assert_eq!(trades.newest("BTC_ETH", from, until, 7), all.into_iter().take(7).collect::<Vec<_>>());
        }
    }
}
