//! URLs as far as a request needs them: split for wasi:http, and a redirect's `Location` resolved (RFC 3986, section 5). Pure.
//!
//! Must not judge where a URL leads: every hop is the host's decision.

use std::fmt;

/// An absolute http or https URL without userinfo and fragment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Url {
    pub https: bool,
    /// Host, and port where one was written.
    pub authority: String,
    /// Starts with `/`; the query is part of it.
    pub path: String,
}

impl fmt::Display for Url {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = if self.https { "https" } else { "http" };
        write!(f, "{scheme}://{}{}", self.authority, self.path)
    }
}

impl Url {
    /// Parses an absolute URL as a person writes it; the error is a sentence.
    pub fn parse(text: &str) -> Result<Self, String> {
        if let Some(odd) = text.chars().find(|c| !c.is_ascii_graphic()) {
            return Err(format!("has the character '{odd}': write it percent-encoded, or the host in punycode"));
        }
        if text.contains('#') {
            return Err("has a fragment (#…), which is never sent: leave it out".into());
        }
        Self::absolute(text)
    }

    /// Where `location` leads from here.
    pub fn join(&self, location: &[u8]) -> Result<Self, String> {
        let location = encode(location.trim_ascii());
        let reference = location.split_once('#').map_or(location.as_str(), |(reference, _)| reference);
        if scheme(reference).is_some() {
            return Self::absolute(reference);
        }
        if reference.starts_with("//") {
            return Self::absolute(&format!("{}:{reference}", if self.https { "https" } else { "http" }));
        }
        let base = self.path.split_once('?').map_or(self.path.as_str(), |(path, _)| path);
        let (path, query) = reference.split_once('?').map_or((reference, None), |(path, query)| (path, Some(query)));
        let path = match path {
            "" if query.is_none() => self.path.clone(),
            "" => base.to_owned(),
            path if path.starts_with('/') => without_dots(path),
            path => without_dots(&format!("{}/{path}", base.rsplit_once('/').map_or("", |(folder, _)| folder))),
        };
        let path = query.map_or(path.clone(), |query| format!("{path}?{query}"));
        Ok(Self { https: self.https, authority: self.authority.clone(), path })
    }

    /// Scheme, host and port are the same.
    pub fn same_origin(&self, other: &Self) -> bool {
        self.https == other.https && self.host_and_port() == other.host_and_port()
    }

    fn host_and_port(&self) -> (String, u16) {
        let default = if self.https { 443 } else { 80 };
        let (host, port) = split_port(&self.authority).unwrap_or((&self.authority, None));
        (host.to_ascii_lowercase(), port.unwrap_or(default))
    }

    fn absolute(text: &str) -> Result<Self, String> {
        let (scheme, rest) = scheme(text).ok_or("has no scheme: write http:// or https://")?;
        let https = match scheme.to_ascii_lowercase().as_str() {
            "http" => false,
            "https" => true,
            other => return Err(format!("has the scheme {other}: only http and https can be requested")),
        };
        let rest = rest.strip_prefix("//").ok_or("has no // after the scheme")?;
        let end = rest.find(['/', '?', '\\']).unwrap_or(rest.len());
        let (authority, path) = rest.split_at_checked(end).unwrap_or((rest, ""));
        if authority.contains('@') {
            return Err("holds credentials: use headers = { authorization = \"secret:NAME\" }".into());
        }
        if authority.contains(['"', '<', '>', '^', '`', '{', '|', '}', '%']) || path.starts_with('\\') {
            return Err("has a character that no host name has".into());
        }
        match split_port(authority) {
            None => return Err("has a port that is not a number from 1 to 65535".into()),
            Some(("", _)) => return Err("has no host".into()),
            Some(_) => {}
        }
        let path = if path.starts_with('/') { path.to_owned() } else { format!("/{path}") };
        Ok(Self { https, authority: authority.to_owned(), path })
    }
}

/// `scheme:rest`, where there is a scheme.
fn scheme(text: &str) -> Option<(&str, &str)> {
    let (scheme, rest) = text.split_once(':')?;
    let mut characters = scheme.chars();
    let good = characters.next().is_some_and(|c| c.is_ascii_alphabetic())
        && characters.all(|c| c.is_ascii_alphanumeric() || matches!(c, '+' | '-' | '.'));
    good.then_some((scheme, rest))
}

/// Host (an IPv6 address keeps its brackets) and port; none when the port is no port.
fn split_port(authority: &str) -> Option<(&str, Option<u16>)> {
    let (host, port) = match authority.rsplit_once(':') {
        // Inside the brackets of an address without a port.
        Some((_, after)) if after.ends_with(']') => return Some((authority, None)),
        Some(parts) => parts,
        None => return Some((authority, None)),
    };
    let bracketed = host.starts_with('[') && host.ends_with(']');
    let digits = port.len() <= 5 && port.bytes().all(|byte| byte.is_ascii_digit());
    let port: u16 = if digits && (bracketed || !host.contains([':', '[', ']'])) { port.parse().ok()? } else { return None };
    (port > 0).then_some((host, Some(port)))
}

/// RFC 3986, 5.2.4: takes `.` and `..` out of a path that starts with `/`.
fn without_dots(path: &str) -> String {
    let mut kept: Vec<&str> = Vec::new();
    let mut open = false;
    for segment in path.split('/').skip(1) {
        open = matches!(segment, "." | "..");
        match segment {
            "." => {}
            ".." => {
                kept.pop();
            }
            segment => kept.push(segment),
        }
    }
    let slash = if open && !kept.is_empty() { "/" } else { "" };
    format!("/{}{slash}", kept.join("/"))
}

/// Servers send raw bytes in `Location`; a request may not.
pub fn encode(bytes: &[u8]) -> String {
    use fmt::Write;
    let mut text = String::with_capacity(bytes.len());
    for &byte in bytes {
        if byte.is_ascii_graphic() {
            text.push(char::from(byte));
        } else {
            // Writing to a String can't fail.
            let _ = write!(text, "%{byte:02X}");
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn join(base: &str, location: &str) -> String {
        match Url::parse(base).unwrap().join(location.as_bytes()) {
            Ok(url) => url.to_string(),
            Err(error) => format!("error: {error}"),
        }
    }

    #[test]
    fn splits_for_a_request() {
        let parts = |text| Url::parse(text).map(|url| (url.https, url.authority, url.path)).unwrap();
        assert_eq!(parts("https://example.com"), (true, "example.com".into(), "/".into()));
        assert_eq!(parts("HTTP://nas.lan:8080/a/b?c=d"), (false, "nas.lan:8080".into(), "/a/b?c=d".into()));
        assert_eq!(parts("http://[::1]:7700/healthz"), (false, "[::1]:7700".into(), "/healthz".into()));
        assert_eq!(parts("http://h?q"), (false, "h".into(), "/?q".into()));
    }

    #[test]
    fn refuses_what_can_not_be_requested() {
        for (text, why) in [
            ("example.com", "no scheme"),
            ("ftp://example.com", "the scheme ftp"),
            ("mailto:a", "the scheme mailto"),
            ("http:example.com", "no //"),
            ("http://", "no host"),
            ("http:///path", "no host"),
            ("http://:80/", "no host"),
            ("http://user:word@h/", "credentials"),
            ("http://h:0/", "port"),
            ("http://h:65536/", "port"),
            ("http://h:/", "port"),
            ("http://h:+80/", "port"),
            ("http://[::1]x/", "port"),
            ("http://::1/", "port"),
            ("http://h/#top", "fragment"),
            ("http://h/a b", "percent-encoded"),
            ("http://bücher.example/", "punycode"),
            ("http://h\\@evil/", "no host name has"),
        ] {
            let error = Url::parse(text).unwrap_err();
            assert!(error.contains(why), "{text}: {error}");
        }
    }

    #[test]
    fn resolves_the_examples_of_rfc_3986() {
        let base = "http://a/b/c/d;p?q";
        for (reference, target) in [
            ("g", "http://a/b/c/g"),
            ("./g", "http://a/b/c/g"),
            ("g/", "http://a/b/c/g/"),
            ("/g", "http://a/g"),
            ("//g", "http://g/"),
            ("?y", "http://a/b/c/d;p?y"),
            ("g?y", "http://a/b/c/g?y"),
            ("#s", "http://a/b/c/d;p?q"),
            ("g#s", "http://a/b/c/g"),
            ("g?y#s", "http://a/b/c/g?y"),
            (";x", "http://a/b/c/;x"),
            ("g;x?y#s", "http://a/b/c/g;x?y"),
            ("", "http://a/b/c/d;p?q"),
            (".", "http://a/b/c/"),
            ("./", "http://a/b/c/"),
            ("..", "http://a/b/"),
            ("../g", "http://a/b/g"),
            ("../..", "http://a/"),
            ("../../g", "http://a/g"),
            ("../../../g", "http://a/g"),
            ("/./g", "http://a/g"),
            ("/../g", "http://a/g"),
            ("g.", "http://a/b/c/g."),
            ("..g", "http://a/b/c/..g"),
            ("./../g", "http://a/b/g"),
            ("g/./h", "http://a/b/c/g/h"),
            ("g/../h", "http://a/b/c/h"),
            ("g?y/../x", "http://a/b/c/g?y/../x"),
        ] {
            assert_eq!(join(base, reference), target, "{reference}");
        }
    }

    #[test]
    fn redirects_as_servers_send_them() {
        assert_eq!(join("http://a/", "HTTPS://b:8443/x"), "https://b:8443/x");
        assert_eq!(join("https://a:8443/x", "/login?next=http://c/"), "https://a:8443/login?next=http://c/");
        assert_eq!(join("http://a/", " /caf\u{e9} \r\n"), "http://a/caf%C3%A9");
        assert_eq!(join("http://a", "b"), "http://a/b");
        assert!(join("http://a/", "javascript:alert(1)").starts_with("error: has the scheme javascript"));
        assert!(join("http://a/", "http://u:p@b/").contains("credentials"));
        assert!(join("http://a/", "///").contains("no host"));
    }

    #[test]
    fn origins() {
        let same = |a: &str, b: &str| Url::parse(a).unwrap().same_origin(&Url::parse(b).unwrap());
        assert!(same("http://Example.com/a", "http://example.com:80/b"));
        assert!(same("https://[::1]/", "https://[::1]:443/"));
        assert!(!same("http://example.com/", "https://example.com/"));
        assert!(!same("http://example.com/", "http://example.com:8080/"));
        assert!(!same("http://example.com/", "http://example.org/"));
    }
}
