//! What gateways call for each request of theirs.

use std::fs;

use crate::Failure;
use crate::figures::{Side, World, ratio};
use crate::process::Process;
use crate::service::KID;
use crate::table::{Table, Target};
use crate::tokens;
use crate::turns::Part;
use crate::wrk::{FEW, Told};

/// What they call.
const HOOK: &str = "/v1/authorize";
/// Tokens that gateways show again and again.
const SEEN: u32 = 1000;
/// New tokens for a second: more than are checked in it.
const NEW: u32 = 50_000;

/// With tokens that were seen before.
pub(crate) async fn seen(world: &World, table: &mut Table) -> Result<(), Failure> {
    let file = world.directory.join("tokens");
    fs::write(&file, tokens::many(&world.setup.key, KID, SEEN)?)?;
    let tokens = file.to_str().ok_or("no path")?;
    let hook = async |server: &Process, side, part| {
        let path = match side {
            Side::Floor => "/bare",
            Side::Service => HOOK,
        };
        let options = [("path", path.to_owned()), ("tokens", tokens.to_owned())];
        world.load(server, "hook.lua", part, &options).await
    };
    let (floor, ours) = world.rates(FEW, hook, Told::rate).await?;
    let least = Target::AtLeast(0.80);
    ratio(table, "hook/s, tokens seen before", (&floor, &ours), least);
    Ok(())
}

/// With each token once: a list of its own for each second of a run, in which a server sees it for the first time.
pub(crate) async fn new(world: &World, table: &mut Table) -> Result<(), Failure> {
    let file = |part: Part| world.directory.join(format!("tokens-{}", part.start));
    let seconds = (0..world.wanted.seconds).map(|second| Part::second(second, FEW));
    for part in seconds.chain([Part::before(FEW)]) {
        fs::write(file(part), tokens::many(&world.setup.key, KID, NEW)?)?;
    }
    let hook = async |server: &Process, side, part| {
        let path = match side {
            Side::Floor => "/es256",
            Side::Service => HOOK,
        };
        let tokens = file(part).to_str().ok_or("no path")?.to_owned();
        let options = [
            ("path", path.to_owned()),
            ("tokens", tokens),
            ("once", "1".to_owned()),
        ];
        world.load(server, "hook.lua", part, &options).await
    };
    let (floor, ours) = world.rates(FEW, hook, Told::rate).await?;
    let least = Target::AtLeast(0.90);
    ratio(table, "hook/s, each token new", (&floor, &ours), least);
    Ok(())
}
