//! "Did you mean": what to say beside a name that isn't there. Pure.

/// A sentence that names what comes near to `wanted`, if anything does.
///
/// A name whose items are workers (`pinger` of `pinger/nas`) is not itself one: its items are named.
pub fn suggest<'n>(wanted: &str, names: impl Iterator<Item = &'n str> + Clone) -> Option<String> {
    const SHOWN: usize = 5;
    let items: Vec<&str> =
        names.clone().filter(|name| name.strip_prefix(wanted).is_some_and(|rest| rest.starts_with('/'))).take(SHOWN + 1).collect();
    if !items.is_empty() {
        let more = if items.len() > SHOWN { ", …" } else { "" };
        let shown: Vec<&str> = items.into_iter().take(SHOWN).collect();
        return Some(format!("\"{wanted}\" has one worker an item: {}{more}", shown.join(", ")));
    }
    // A typo is one or two letters; past that a name is another name.
    let near = |name: &&str| distance(wanted, name) <= if wanted.len() > 4 { 2 } else { 1 };
    let nearest = names.filter(near).min_by_key(|name| distance(wanted, name))?;
    Some(format!("did you mean \"{nearest}\"?"))
}

/// Edits between two names; cut short when lengths alone say "far".
fn distance(a: &str, b: &str) -> usize {
    if a.len().abs_diff(b.len()) > 2 || a.len() > 128 {
        return usize::MAX;
    }
    let mut row: Vec<usize> = (0..=b.chars().count()).collect();
    for (i, x) in a.chars().enumerate() {
        let mut diagonal = i;
        let mut left = i + 1;
        for (cell, y) in row.iter_mut().skip(1).zip(b.chars()) {
            let best = (diagonal + usize::from(x != y)).min(*cell + 1).min(left + 1);
            diagonal = *cell;
            *cell = best;
            left = best;
        }
        if let Some(first) = row.first_mut() {
            *first = i + 1;
        }
    }
    row.last().copied().unwrap_or(usize::MAX)
}
