//! The messages of the reference, package assignment_messages: raw protobuf, defaults omitted. What people push may be JSON instead.
//!
//! Must not interpret: a message that decodes may still make no sense. Field names in JSON are those of the protobuf.

use std::fmt;

use prost::Message;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::window::Window;

/// The trades of a pair in a window of seconds, to be cloned. As JSON:
/// `{"currency_pair": "BTC_ETH", "from_unix_ts": 1590969600, "until_unix_ts": 1590973199, "task_dbid": 1}`.
#[derive(Clone, PartialEq, Eq, Hash, Message, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct TodoChunk {
    #[prost(string, tag = "1")]
    pub currency_pair: String,
    /// Both are inclusive.
    #[prost(int32, tag = "2")]
    pub from_unix_ts: i32,
    #[prost(int32, tag = "3")]
    pub until_unix_ts: i32,
    /// Which task it belongs to.
    #[prost(int32, tag = "4")]
    pub task_dbid: i32,
}

/// One trade. Rate, amount and total are the exchange's own digits.
#[derive(Clone, PartialEq, Eq, Hash, Message, Serialize)]
pub struct ClonedEntry {
    #[prost(int32, tag = "1")]
    pub trade_id: i32,
    /// Unix seconds.
    #[prost(int32, tag = "2")]
    pub date: i32,
    #[prost(enumeration = "Side", tag = "3")]
    #[serde(rename = "type", serialize_with = "name_of::<Side, _>")]
    pub side: i32,
    #[prost(string, tag = "4")]
    pub rate: String,
    #[prost(string, tag = "5")]
    pub amount: String,
    #[prost(string, tag = "6")]
    pub total: String,
}

#[derive(Clone, PartialEq, Eq, Hash, Message, Serialize)]
pub struct ClonedChunk {
    #[prost(enumeration = "ChunkResult", tag = "1")]
    #[serde(serialize_with = "name_of::<ChunkResult, _>")]
    pub chunk_result: i32,
    #[prost(message, optional, tag = "2")]
    pub original_todo_chunk: Option<TodoChunk>,
    #[prost(message, repeated, tag = "3")]
    pub entries: Vec<ClonedEntry>,
    #[prost(string, tag = "4")]
    pub possible_error_message: String,
}

/// As JSON: `{"task_operation": "ADD", "task_uuid": "…", "currency_pair": "BTC_ETH", "from_unix_ts": …, "until_unix_ts": …}`.
#[derive(Clone, PartialEq, Eq, Hash, Message, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct TodoTask {
    #[prost(enumeration = "TaskOperation", tag = "1")]
    #[serde(deserialize_with = "operation")]
    pub task_operation: i32,
    #[prost(string, tag = "2")]
    pub task_uuid: String,
    #[prost(string, tag = "3")]
    pub currency_pair: String,
    /// Both are inclusive.
    #[prost(int32, tag = "4")]
    pub from_unix_ts: i32,
    #[prost(int32, tag = "5")]
    pub until_unix_ts: i32,
    /// The splitter's own, 0 in everybody else's: the number of a task with more chunks than one job may push, and where the rest begins.
    #[prost(int32, tag = "1000")]
    #[serde(skip)]
    pub rest_of_dbid: i32,
    #[prost(int32, tag = "1001")]
    #[serde(skip)]
    pub rest_from_unix_ts: i32,
}

#[derive(Clone, PartialEq, Eq, Hash, Message)]
pub struct TaskResponse {
    #[prost(enumeration = "TaskResult", tag = "1")]
    pub task_result: i32,
    #[prost(string, tag = "2")]
    pub todo_task_uuid: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, prost::Enumeration)]
pub enum Side {
    Sell = 0,
    Buy = 1,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, prost::Enumeration)]
pub enum ChunkResult {
    Complete = 0,
    WindowTooBig = 1,
    RandomError = 2,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, prost::Enumeration)]
pub enum TaskOperation {
    Add = 0,
    Delete = 1,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, prost::Enumeration)]
pub enum TaskResult {
    Complete = 0,
    TaskConflict = 1,
    Cancelled = 2,
}

/// An enumeration's values as JSON names them.
trait Named: TryFrom<i32> {
    fn name(&self) -> &'static str;
}

impl Named for Side {
    fn name(&self) -> &'static str {
        match self {
            Self::Sell => "SELL",
            Self::Buy => "BUY",
        }
    }
}

impl Named for ChunkResult {
    fn name(&self) -> &'static str {
        match self {
            Self::Complete => "COMPLETE",
            Self::WindowTooBig => "WINDOW_TOO_BIG",
            Self::RandomError => "RANDOM_ERROR",
        }
    }
}

impl fmt::Display for ChunkResult {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

fn name_of<E: Named, S: Serializer>(value: &i32, serializer: S) -> Result<S::Ok, S::Error> {
    match E::try_from(*value) {
        Ok(known) => serializer.serialize_str(known.name()),
        Err(_) => serializer.serialize_i32(*value),
    }
}

fn operation<'de, D: Deserializer<'de>>(deserializer: D) -> Result<i32, D::Error> {
    #[derive(Deserialize)]
    enum Word {
        #[serde(rename = "ADD")]
        Add,
        #[serde(rename = "DELETE")]
        Delete,
    }
    Ok(match Word::deserialize(deserializer)? {
        Word::Add => TaskOperation::Add.into(),
        Word::Delete => TaskOperation::Delete.into(),
    })
}

/// JSON or protobuf? No message here has a field 15, so none begins with this byte.
pub fn is_json(payload: &[u8]) -> bool {
    payload.first() == Some(&b'{')
}

fn read<'p, M: Message + Default + Deserialize<'p>>(name: &str, payload: &'p [u8]) -> Result<M, String> {
    if is_json(payload) {
        serde_json::from_slice(payload).map_err(|error| format!("the payload is no {name} as JSON: {error}"))
    } else {
        M::decode(payload).map_err(|error| format!("the payload is no {name} as protobuf: {error}"))
    }
}

impl TodoChunk {
    /// Decodes and checks; an error is a sentence.
    pub fn read(payload: &[u8]) -> Result<(Self, Window), String> {
        let chunk: Self = read("TodoChunk", payload)?;
        let window = window_of(&chunk.currency_pair, chunk.from_unix_ts, chunk.until_unix_ts)?;
        Ok((chunk, window))
    }

    pub fn of(pair: &str, window: Window, task_dbid: i32) -> Self {
        Self { currency_pair: pair.to_owned(), from_unix_ts: window.from(), until_unix_ts: window.until(), task_dbid }
    }

    /// The same for another window.
    pub fn at(&self, window: Window) -> Self {
        Self::of(&self.currency_pair, window, self.task_dbid)
    }
}

impl ClonedChunk {
    pub fn of(result: ChunkResult, chunk: TodoChunk, entries: Vec<ClonedEntry>, message: impl Into<String>) -> Self {
        Self { chunk_result: result.into(), original_todo_chunk: Some(chunk), entries, possible_error_message: message.into() }
    }

    /// Decodes and checks; an error is a sentence.
    pub fn read(payload: &[u8]) -> Result<(Self, ChunkResult, TodoChunk, Window), String> {
        let cloned = Self::decode(payload).map_err(|error| format!("the payload is no ClonedChunk as protobuf: {error}"))?;
        let result = ChunkResult::try_from(cloned.chunk_result)
            .map_err(|_| format!("chunk_result is {}, which is none of COMPLETE, WINDOW_TOO_BIG and RANDOM_ERROR", cloned.chunk_result))?;
        let chunk = cloned.original_todo_chunk.clone().ok_or("original_todo_chunk is missing, so nobody knows what was cloned")?;
        let window = window_of(&chunk.currency_pair, chunk.from_unix_ts, chunk.until_unix_ts)?;
        Ok((cloned, result, chunk, window))
    }
}

impl TodoTask {
    /// Decodes and checks what both operations need; an error is a sentence.
    pub fn read(payload: &[u8]) -> Result<(Self, TaskOperation), String> {
        let task: Self = read("TodoTask", payload)?;
        let operation = TaskOperation::try_from(task.task_operation)
            .map_err(|_| format!("task_operation is {}, which is neither ADD nor DELETE", task.task_operation))?;
        match task.task_uuid.len() {
            0 => Err("task_uuid is empty: the answer could not say which task it is about".to_owned()),
            1..=MAX_UUID_BYTES => Ok((task, operation)),
            long => Err(format!("task_uuid has {long} bytes; at most {MAX_UUID_BYTES}")),
        }
    }

    /// What an ADD is about.
    pub fn window(&self) -> Result<Window, String> {
        window_of(&self.currency_pair, self.from_unix_ts, self.until_unix_ts)
    }
}

impl TaskResponse {
    pub fn of(result: TaskResult, uuid: impl Into<String>) -> Self {
        Self { task_result: result.into(), todo_task_uuid: uuid.into() }
    }
}

impl fmt::Display for TodoChunk {
    /// For log lines.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}..{} of task {}", self.currency_pair, self.from_unix_ts, self.until_unix_ts, self.task_dbid)
    }
}

/// Room for a UUID in any spelling, with a prefix.
const MAX_UUID_BYTES: usize = 128;
/// The longest name of a pair; it becomes a key and a part of a URL.
const MAX_PAIR_BYTES: usize = 32;

fn window_of(pair: &str, from: i32, until: i32) -> Result<Window, String> {
    let plain = pair.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
    if pair.is_empty() || pair.len() > MAX_PAIR_BYTES || !plain {
        let shown: String = pair.chars().take(MAX_PAIR_BYTES).collect();
        return Err(format!("currency_pair \"{shown}\" is no pair such as BTC_ETH (letters, digits and _, at most {MAX_PAIR_BYTES})"));
    }
    Window::new(from, until).ok_or_else(|| {
        format!("the window from {from} until {until} makes no sense: seconds since 1970, the first not after the last (both inclusive)")
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn hex(bytes: &[u8]) -> String {
        bytes.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    fn chunk() -> TodoChunk {
        TodoChunk { currency_pair: "BTC_ETH".into(), from_unix_ts: 1_590_969_600, until_unix_ts: 1_590_973_199, task_dbid: 1 }
    }

    #[test]
    fn the_references_vectors_byte_for_byte() {
        let todo = "0a074254435f45544810808ad1f605188fa6d1f6052001";
        assert_eq!(hex(&chunk().encode_to_vec()), todo);
        let too_big = ClonedChunk::of(ChunkResult::WindowTooBig, chunk(), Vec::new(), "More than 1000 elements");
        let vector = "080112170a074254435f45544810808ad1f605188fa6d1f605200122174d6f7265207468616e203130303020656c656d656e7473";
        assert_eq!(hex(&too_big.encode_to_vec()), vector);
        assert_eq!(TodoChunk::read(&chunk().encode_to_vec()).unwrap().0, chunk());
        assert_eq!(ClonedChunk::read(&too_big.encode_to_vec()).unwrap().0, too_big);
    }

    #[test]
    fn defaults_are_omitted() {
        assert_eq!(TaskResponse::of(TaskResult::Complete, "u").encode_to_vec(), [0x12, 1, b'u']);
        assert_eq!(TaskResponse::of(TaskResult::Cancelled, "u").encode_to_vec(), [8, 2, 0x12, 1, b'u']);
        let entry = ClonedEntry { trade_id: 1, side: Side::Sell.into(), rate: "0.1".into(), ..ClonedEntry::default() };
        assert_eq!(entry.encode_to_vec(), [8, 1, 0x22, 3, b'0', b'.', b'1']);
        assert!(ClonedEntry { side: Side::Buy.into(), ..ClonedEntry::default() }.encode_to_vec() == [0x18, 1]);
    }

    #[test]
    fn people_may_write_json() {
        let json = br#"{"currency_pair":"BTC_ETH","from_unix_ts":1590969600,"until_unix_ts":1590973199,"task_dbid":1}"#;
        assert_eq!(TodoChunk::read(json).unwrap().0, chunk());
        let task = br#"{"task_operation":"DELETE","task_uuid":"t"}"#;
        assert_eq!(TodoTask::read(task).unwrap().1, TaskOperation::Delete);
        let task = br#"{"task_uuid":"t","currency_pair":"BTC_ETH","from_unix_ts":1,"until_unix_ts":2}"#;
        assert_eq!(TodoTask::read(task).unwrap().1, TaskOperation::Add);
        let said = serde_json::to_value(ClonedChunk::of(
            ChunkResult::Complete,
            chunk(),
            vec![ClonedEntry { trade_id: 7, side: 1, ..ClonedEntry::default() }],
            "",
        ));
        let said = said.unwrap();
        assert_eq!((&said["chunk_result"], &said["entries"][0]["type"]), (&"COMPLETE".into(), &"BUY".into()));
    }

    #[test]
    fn nonsense_is_refused_with_a_sentence() {
        let bad = |edit: fn(&mut TodoChunk)| {
            let mut chunk = chunk();
            edit(&mut chunk);
            TodoChunk::read(&chunk.encode_to_vec()).unwrap_err()
        };
        assert!(bad(|chunk| chunk.currency_pair.clear()).contains("is no pair"));
        assert!(bad(|chunk| chunk.currency_pair = "A&start=0".into()).contains("is no pair"));
        assert!(bad(|chunk| chunk.until_unix_ts = 1).contains("makes no sense"));
        assert!(bad(|chunk| chunk.from_unix_ts = -1).contains("makes no sense"));
        assert!(TodoChunk::read(&[0xff]).unwrap_err().contains("no TodoChunk as protobuf"));
        assert!(TodoChunk::read(b"{").unwrap_err().contains("no TodoChunk as JSON"));
        assert!(TodoTask::read(&[8, 9, 0x12, 1, b'u']).unwrap_err().contains("neither ADD nor DELETE"));
        assert!(TodoTask::read(&[]).unwrap_err().contains("task_uuid is empty"));
        assert!(ClonedChunk::read(&[8, 9]).unwrap_err().contains("none of COMPLETE"));
        assert!(ClonedChunk::read(&[]).unwrap_err().contains("original_todo_chunk is missing"));
    }

    proptest! {
        #[test]
        fn random_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = TodoChunk::read(&bytes);
            let _ = TodoTask::read(&bytes);
            let _ = ClonedChunk::read(&bytes);
        }

        #[test]
        fn what_is_cut_or_damaged_never_panics(at in 0_usize..60, with in any::<u8>(), cut in 0_usize..60) {
            let entry = ClonedEntry { trade_id: 5, date: 6, side: 1, rate: "0.1".into(), amount: "2".into(), total: "0.2".into() };
            let mut bytes = ClonedChunk::of(ChunkResult::Complete, chunk(), vec![entry], "").encode_to_vec();
            if let Some(byte) = bytes.get_mut(at) {
                *byte = with;
            }
            bytes.truncate(cut);
            let _ = ClonedChunk::read(&bytes);
        }

        #[test]
        fn messages_survive_the_wire(pair in "[A-Z_]{1,8}", from in 0..i32::MAX, more in 0..10_000_i32, dbid in any::<i32>()) {
            let window = Window::new(from, from.saturating_add(more)).unwrap();
            let chunk = TodoChunk::of(&pair, window, dbid);
            prop_assert_eq!(TodoChunk::read(&chunk.encode_to_vec()).unwrap(), (chunk, window));
        }
    }
}
