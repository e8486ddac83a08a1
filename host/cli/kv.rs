//! `skep kv`: keys and values, as they are.

use reqwest::Method;
use serde::Deserialize;

use super::{
    Console,
    args::{Format, KvAct, Set},
    client::{Client, segment},
    failure::{Code, Failure},
    remote::payload,
    work,
};
use crate::facts::{BucketView, KvView};

pub async fn run(client: &Client, act: KvAct, console: &mut Console) -> Result<Code, Failure> {
    match act {
        KvAct::Get { bucket, key, output } => {
            let entry: KvView = client.get(&at(&bucket, &key), &[]).await?;
            if output.format == Format::Json {
                return console.answer(output, &entry, |_| String::new());
            }
            console.raw(entry.value)
        }
        KvAct::Set(set) => change(client, &set, console).await,
        KvAct::Ls { bucket: None, output, .. } => {
            let all: Vec<BucketView> = client.get("kv", &[]).await?;
            console.answer(output, &all, |paint| work::buckets(&all, paint))
        }
        KvAct::Ls { bucket: Some(bucket), prefix, after, lines, output } => {
            let limit = lines.to_string();
            let mut query = vec![("limit", limit.as_str())];
            query.extend(prefix.as_deref().map(|prefix| ("prefix", prefix)));
            query.extend(after.as_deref().map(|after| ("after", after)));
            let all: Vec<KvView> = client.get(&format!("kv/{}", segment(&bucket)), &query).await?;
            console.answer(output, &all, |paint| work::entries(&all, lines, output.format == Format::Wide, paint))
        }
        KvAct::Del { bucket, keys } => {
            for key in keys {
                let () = client.delete(&at(&bucket, &key), &[]).await?;
                console.print(&format!("{key} deleted\n"))?;
            }
            Ok(Code::Done)
        }
    }
}

fn at(bucket: &str, key: &str) -> String {
    format!("kv/{}/{}", segment(bucket), segment(key))
}

async fn change(client: &Client, set: &Set, console: &mut Console) -> Result<Code, Failure> {
    #[derive(Deserialize)]
    struct Revised {
        revision: u64,
    }
    let revision = set.revision.map(|revision| revision.to_string());
    let expect = if set.absent { Some("absent") } else { revision.as_deref() };
    let mut query = Vec::new();
    query.extend(set.ttl.as_deref().map(|ttl| ("ttl", ttl)));
    query.extend(expect.map(|expect| ("expect", expect)));
    let done: Revised = client.bytes(Method::PUT, &at(&set.bucket, &set.key), &query, payload(&set.value)?).await?;
    console.print(&format!("{} is revision {}\n", super::paint::safe(&set.key), done.revision))?;
    Ok(Code::Done)
}
