//! URLs as far as a request needs them. Pure.

/// An absolute http or https URL without userinfo and fragment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Url {
    pub https: bool,
    pub authority: String,
    /// Starts with `/`; the query is part of it.
    pub path: String,
}

impl Url {
    /// The error is the rest of a sentence that opens with the URL.
    pub fn parse(text: &str) -> Result<Self, &'static str> {
        let (https, rest) = match (text.strip_prefix("https://"), text.strip_prefix("http://")) {
            (Some(rest), _) => (true, rest),
            (_, Some(rest)) => (false, rest),
            _ => return Err("has no scheme; write it like \"https://example.com/hook\""),
        };
        if !rest.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err("has a character that must be written percent-encoded");
        }
        if rest.contains(['#', '\\', '"', '<', '>']) {
            return Err("has a fragment, or a character that no URL has");
        }
        let end = rest.find(['/', '?']).unwrap_or(rest.len());
        let (authority, path) = rest.split_at_checked(end).unwrap_or((rest, ""));
        if authority.contains('@') {
            return Err("holds credentials; use headers = { authorization = \"secret:NAME\" }");
        }
        if authority.is_empty() || authority.starts_with(':') {
            return Err("names no host");
        }
        let path = if path.starts_with('/') { path.to_owned() } else { format!("/{path}") };
        Ok(Self { https, authority: authority.to_owned(), path })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn split_and_refused() {
        let url = Url::parse("https://ntfy.example:8443/mine?x=1").unwrap();
        assert_eq!(url, Url { https: true, authority: "ntfy.example:8443".into(), path: "/mine?x=1".into() });
        assert_eq!(Url::parse("http://a").unwrap().path, "/");
        assert_eq!(Url::parse("http://a?b").unwrap().path, "/?b");
        for wrong in ["a", "ftp://a", "http://", "http://u:p@a/", "http://a/ b", "http://a/#b", "http://:80/", "https:///x"] {
            assert!(Url::parse(wrong).is_err(), "{wrong}");
        }
    }
}
