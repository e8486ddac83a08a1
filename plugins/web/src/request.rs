//! A request read whole, and the text of its query or form. Pure.

/// The methods that plugins tell apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Method {
    Get,
    Post,
    Other,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    pub method: Method,
    /// As sent, without the query; a slash at the end is left out.
    pub path: String,
    /// As sent.
    pub query: String,
    /// Bounded by the route's `body`, which the host enforces.
    pub body: Vec<u8>,
}

impl Request {
    /// `target` is path and query, as they stand in a request line.
    pub fn new(method: Method, target: &str, body: Vec<u8>) -> Self {
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        Self { method, path: path.trim_end_matches('/').to_owned(), query: query.to_owned(), body }
    }

    /// A parameter of the query, decoded; the last one where it stands there more than once.
    pub fn parameter(&self, name: &str) -> Option<String> {
        form(&self.query).filter(|(key, _)| key == name).last().map(|(_, value)| value)
    }
}

/// `a=1&b=two+words`, decoded. What is no UTF-8 is replaced.
pub fn form(text: &str) -> impl Iterator<Item = (String, String)> {
    text.split('&').filter(|pair| !pair.is_empty()).map(|pair| {
        let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
        (decode(key), decode(value))
    })
}

/// `%41` and `+`; a percent sign that begins no byte stays as it is.
fn decode(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((byte, tail)) = rest.split_first() {
        rest = tail;
        match (byte, tail) {
            (b'+', _) => bytes.push(b' '),
            (b'%', [high, low, after @ ..]) if let (Some(high), Some(low)) = (digit(*high), digit(*low)) => {
                bytes.push(high << 4 | low);
                rest = after;
            }
            _ => bytes.push(*byte),
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

fn digit(byte: u8) -> Option<u8> {
    char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_target_is_a_path_and_a_query() {
        let request = Request::new(Method::Get, "/api/status/7/?a=1&b=x?y", vec![]);
        assert_eq!((request.path.as_str(), request.query.as_str()), ("/api/status/7", "a=1&b=x?y"));
        assert_eq!(request.parameter("b").as_deref(), Some("x?y"));
        assert_eq!(request.parameter("c"), None);
        assert_eq!(Request::new(Method::Get, "/?a&a=2", vec![]).parameter("a").as_deref(), Some("2"), "the last one");
    }

    #[test]
    fn parameters_are_decoded() {
        let value = |text: &str| form(text).next().unwrap().1;
        assert_eq!(value("a=two+words"), "two words");
        assert_eq!(value("a=%C3%A4%2B%26=%3d"), "ä+&==");
        assert_eq!(value("a=100%"), "100%");
        assert_eq!(value("a=%zz%4"), "%zz%4");
        assert_eq!(value("a=%ff"), "\u{fffd}");
        assert_eq!(value("a=%é1"), "%é1");
        assert_eq!(form("&&").count(), 0);
    }
}
