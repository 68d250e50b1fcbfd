//! Goldenscripts of the deadlock detector, see `scripts/deadlock`.
//!
//! `report NODE WAITER=HOLDER/… [turn=last|N] [at=MS]` reports a node's waits in place of its former ones; the wait's id is
//! the waiter's, and the waiter's age its id, unless given as `WAITER@BEGAN`. By default the report was made after the
//! node's last answer had arrived.

use std::{collections::BTreeMap, error::Error, fmt::Write as _};

use meta::deadlock::Detector;
use proto::meta::{Wait, WaitReport};
use sharddb_meta as meta;
use sharddb_proto as proto;

#[derive(Default)]
struct Runner {
    detector: Detector,
    now_ms: u64,
    answered: BTreeMap<u64, u64>,
}

impl goldenscript::Runner for Runner {
    fn run(&mut self, command: &goldenscript::Command) -> Result<String, Box<dyn Error>> {
        let mut args = command.consume_args();
        let mut out = String::new();
        match command.name.as_str() {
            "wait" => {
                let ms: u64 = args.next_pos().ok_or("milliseconds are missing")?.parse()?;
                self.now_ms += ms;
            }
            "report" => {
                let node: u64 = args.next_pos().ok_or("a node is missing")?.parse()?;
                let turn = args.lookup_parse("turn")?.unwrap_or(self.answered.get(&node).copied().unwrap_or(0));
                let waits = args.rest_key().into_iter().map(wait).collect::<Result<Vec<_>, _>>()?;
                let answer = self.detector.report(self.now_ms, WaitReport { node, waits, turn });
                self.answered.insert(node, answer.turn);
                for victim in answer.victims {
                    let cycle: Vec<String> = victim.cycle.iter().map(u64::to_string).collect();
                    writeln!(out, "ends {} of {}", victim.txn, cycle.join(" → "))?;
                }
            }
            other => return Err(format!("unknown command {other}").into()),
        }
        args.reject_rest()?;
        Ok(out)
    }
}

fn wait(argument: &goldenscript::Argument) -> Result<Wait, Box<dyn Error>> {
    let key = argument.key.as_deref().ok_or("a waiter is missing")?;
    let (waiter, began) = key.split_once('@').unwrap_or((key, key));
    let (waiter, began) = (waiter.parse()?, began.parse()?);
    let holders = argument.value.split('/').map(str::parse).collect::<Result<_, _>>()?;
    Ok(Wait { id: waiter, waiter, began, holders })
}

#[test]
fn cycles_are_found_once_and_only_if_they_exist() {
    for entry in std::fs::read_dir("tests/scripts/deadlock").expect("the scripts are there") {
        let path = entry.expect("the directory can be read").path();
        goldenscript::run(&mut Runner::default(), &path).expect("the script runs");
    }
}
