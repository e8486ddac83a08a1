//! `skep limiter`: what limiters let through, and another rate.

use serde_json::json;

use super::{
    Console,
    args::LimiterAct,
    client::{Client, segment},
    failure::{Code, Failure},
    plan, work,
};
use crate::facts::{LimiterView, Plan};

pub async fn run(client: &Client, act: LimiterAct, console: &mut Console) -> Result<Code, Failure> {
    match act {
        LimiterAct::Ls { output } => {
            let all: Vec<LimiterView> = client.get("limiters", &[]).await?;
            console.answer(output, &all, |paint| work::limiters(&all, paint))
        }
        LimiterAct::Set { name, rate } => {
            let plan: Plan = client.put_json(&format!("limiters/{}", segment(&name)), &json!({ "rate": rate })).await?;
            console.print(&plan::amended(&name, &format!("set to {rate}"), &plan))?;
            Ok(Code::Done)
        }
    }
}
