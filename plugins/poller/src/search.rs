//! Looks for a text in a body that comes in pieces, keeping no more of it than the text is long. Pure.

/// A search under way.
#[derive(Debug)]
pub struct Search {
    needle: Vec<u8>,
    /// The end of what came before: a match may straddle two pieces.
    tail: Vec<u8>,
    found: bool,
}

impl Search {
    pub fn new(needle: &str) -> Self {
        Self { needle: needle.as_bytes().to_vec(), tail: Vec::new(), found: needle.is_empty() }
    }

    pub fn found(&self) -> bool {
        self.found
    }

    /// Takes the next piece.
    pub fn push(&mut self, piece: &[u8]) {
        if self.found {
            return;
        }
        self.tail.extend_from_slice(piece);
        self.found = self.tail.windows(self.needle.len()).any(|window| window == self.needle);
        let kept = self.needle.len().saturating_sub(1);
        self.tail.drain(..self.tail.len().saturating_sub(kept));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(needle: &str, pieces: &[&str]) -> bool {
        let mut search = Search::new(needle);
        pieces.iter().for_each(|piece| search.push(piece.as_bytes()));
        search.found()
    }

    #[test]
    fn finds_across_pieces_however_they_are_cut() {
        let body = "status: all is well, good night";
        for first in 0..=body.len() {
            for second in first..=body.len() {
                let pieces = [&body[..first], &body[first..second], &body[second..]];
                assert!(found("is well", &pieces), "{pieces:?}");
                assert!(!found("is bad", &pieces), "{pieces:?}");
            }
        }
    }

    #[test]
    fn one_byte_at_a_time() {
        assert!(found("aab", &["a", "a", "a", "b"]));
        assert!(!found("aab", &["a", "b", "a", "b"]));
        assert!(found("", &[]));
    }

    #[test]
    fn keeps_less_than_the_needle() {
        let mut search = Search::new("needle");
        search.push(&[b'x'; 100_000]);
        assert_eq!(search.tail.len(), 5);
    }
}
