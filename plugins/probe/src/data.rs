//! Bytes in JSON. Must not know what they are for.

use serde_json::Value;

/// How much of an answer is shown, in bytes: an answer has at most 1 MiB, and some are lists.
const SHOWN_BYTES: usize = 4 << 10;

/// The bytes meant: a string is its text, `{"bytes": n}` is `x` n times, null nothing, anything else its own JSON.
pub fn bytes(value: Option<&Value>) -> Vec<u8> {
    match value {
        None | Some(Value::Null) => Vec::new(),
        Some(Value::String(text)) => text.clone().into_bytes(),
        Some(value) => match filled(value) {
            Some(count) => vec![b'x'; count],
            None => value.to_string().into_bytes(),
        },
    }
}

/// The text meant, by the same rules.
pub fn text(value: Option<&Value>) -> String {
    String::from_utf8_lossy(&bytes(value)).into_owned()
}

/// Bytes as a test reads them: JSON where they are JSON, else text; long ones as `{"bytes": n}`.
pub fn shown(bytes: &[u8]) -> Value {
    if bytes.len() > SHOWN_BYTES {
        return serde_json::json!({ "bytes": bytes.len() });
    }
    serde_json::from_slice(bytes).unwrap_or_else(|_| String::from_utf8_lossy(bytes).into_owned().into())
}

fn filled(value: &Value) -> Option<usize> {
    let object = value.as_object().filter(|object| object.len() == 1)?;
    object.get("bytes")?.as_u64()?.try_into().ok()
}
