//! A random permutation of a text's characters (Unicode scalar values). Pure: chance comes from outside.

/// Every permutation is as likely as any other where `random` is uniform over all of u64.
pub fn permute(text: &str, mut random: impl FnMut() -> u64) -> String {
    let mut characters: Vec<char> = text.chars().collect();
    // Fisher and Yates: each place takes one of those not placed yet.
    for placed in (1..characters.len()).rev() {
        characters.swap(placed, below(placed + 1, &mut random));
    }
    characters.into_iter().collect()
}

/// A number below `bound`, each as likely: what would favour the small ones is drawn again.
fn below(bound: usize, random: &mut impl FnMut() -> u64) -> usize {
    let bound = bound as u64;
    let fair = u64::MAX - u64::MAX % bound;
    loop {
        let drawn = random();
        if drawn < fair {
            return usize::try_from(drawn % bound).unwrap_or_default();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    /// xorshift: enough for a test.
    fn chance() -> impl FnMut() -> u64 {
        let mut state: u64 = 0x9E37_79B9_7F4A_7C15;
        move || {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            state
        }
    }

    #[test]
    fn all_permutations_are_as_likely() {
        let mut random = chance();
        let mut seen: BTreeMap<String, u32> = BTreeMap::new();
        for _ in 0..24_000 {
            *seen.entry(permute("bee!", &mut random)).or_default() += 1;
        }
        // Two e: twelve different texts.
        assert_eq!(seen.len(), 12);
        assert!(seen.values().all(|times| (1_800..2_200).contains(times)), "{seen:?}");
    }

    #[test]
    fn characters_stay_whole() {
        let text = "añ🐝日本\u{301}";
        let sorted = |text: &str| {
            let mut characters: Vec<char> = text.chars().collect();
            characters.sort_unstable();
            characters
        };
        assert_eq!(sorted(&permute(text, chance())), sorted(text));
        assert_eq!(permute("", chance()), "");
        assert_eq!(permute("x", || panic!("one has no choice")), "x");
    }

    #[test]
    fn an_unfair_draw_is_drawn_again() {
        let mut draws = vec![1, u64::MAX].into_iter().rev();
        assert_eq!(permute("ab", || draws.next().unwrap()), "ab");
        assert_eq!(draws.next(), None);
    }
}
