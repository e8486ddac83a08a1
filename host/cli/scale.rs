//! `skep scale`: how many replicas run, written into the manifest.

use super::{
    Console,
    args::Scale,
    client::{Client, segment},
    failure::{Code, Failure},
    plan,
};
use crate::facts::Plan;

pub async fn run(client: &Client, args: &Scale, console: &mut Console) -> Result<Code, Failure> {
    let targets = args.targets().map_err(|sentence| Failure::new(Code::Usage, sentence))?;
    for to in targets {
        let replicas = to.replicas.to_string();
        let plan: Plan = client.post(&format!("workers/{}/scale", segment(&to.name)), &[("replicas", &replicas)], Vec::new()).await?;
        console.print(&plan::amended(&to.name, &format!("scaled to {replicas}"), &plan))?;
    }
    Ok(Code::Done)
}
