//! `[server]`: listeners, the issuer, trusted proxies, threads and connections.

use std::{
    net::{IpAddr, SocketAddr},
    num::NonZeroUsize,
    time::Duration,
};

use ipnet::IpNet;

use super::{
    address::Issuer,
    reader::{Read, Reader},
};

/// Most worker threads; more than any machine this is meant for has cores.
const MAX_WORKERS: usize = 1024;

/// `[server]`
#[derive(Clone, Debug)]
pub struct Server {
    /// The public listener.
    pub bind: SocketAddr,
    /// The listener of health, metrics and admin calls.
    pub admin_bind: SocketAddr,
    /// Who signs the tokens; https in production.
    pub issuer: Issuer,
    /// Whose forwarding headers are believed.
    pub trusted_proxies: Vec<IpNet>,
    /// Worker threads; `None` = one for each core.
    pub workers: Option<NonZeroUsize>,
    /// How long the head of a request may take to come, and then its body.
    pub read_timeout: Duration,
    /// How long a connection is kept for the next request.
    pub keep_alive: Duration,
    /// Connections to the public listener at the same time.
    pub max_connections: usize,
    /// How long a server that was told to stop still takes calls.
    pub drain: Duration,
    /// How long it then waits for requests in flight.
    pub shutdown_grace: Duration,
}

pub(super) fn read(reader: &mut Reader) -> Read<Server> {
    let mend = "give address and port, such as 127.0.0.1:8080";
    let bind: Read<SocketAddr> = reader.parsed("server.bind", mend);
    let admin_bind: Read<SocketAddr> = reader.parsed("server.admin_bind", mend);
    let issuer = issuer(reader);
    let trusted_proxies = trusted_proxies(reader);
    let workers = reader.integer("server.workers", 0..=MAX_WORKERS);
    let read_timeout = reader.millis("server.read_timeout_ms", 100..=60_000);
    let keep_alive = reader.seconds("server.keep_alive_seconds", 1..=3600);
    let max_connections = reader.integer("server.max_connections", 1..=1_000_000);
    let drain = reader.seconds("server.drain_seconds", 0..=300);
    let shutdown_grace = reader.seconds("server.shutdown_grace_seconds", 0..=300);

    // Port 0 asks the system for any free port, so two of them do not collide.
    if let (Ok(public), Ok(admin)) = (bind, admin_bind)
        && public == admin
        && public.port() != 0
    {
        reader.fault(
            "server.admin_bind",
            "is the same as server.bind; give it another port",
        );
    }
    Ok(Server {
        bind: bind?,
        admin_bind: admin_bind?,
        issuer: issuer?,
        trusted_proxies: trusted_proxies?,
        workers: NonZeroUsize::new(workers?),
        read_timeout: read_timeout?,
        keep_alive: keep_alive?,
        max_connections: max_connections?,
        drain: drain?,
        shutdown_grace: shutdown_grace?,
    })
}

fn issuer(reader: &mut Reader) -> Read<Issuer> {
    const KEY: &str = "server.issuer";
    let Some(text) = reader.optional_text(KEY)? else {
        return Err(reader.fault(
            KEY,
            "is not set; give the address that callers use, such as https://auth.example.com",
        ));
    };
    match text.parse::<Issuer>() {
        Ok(issuer) => {
            if !issuer.is_https() {
                reader.fault_in_production(KEY, "must begin with https:// in production");
            }
            Ok(issuer)
        }
        Err(error) => Err(reader.fault(KEY, error.to_string())),
    }
}

fn trusted_proxies(reader: &mut Reader) -> Read<Vec<IpNet>> {
    const KEY: &str = "server.trusted_proxies";
    let mend = "give an address or a range, such as 10.0.0.0/8";
    let networks = reader.parsed_list(KEY, mend, |item| {
        item.parse::<IpNet>()
            .or_else(|_| item.parse::<IpAddr>().map(IpNet::from))
            .ok()
    })?;
    if networks.iter().any(|network| network.prefix_len() == 0) {
        reader.fault_in_production(
            KEY,
            "trusts every address, so that any caller can forge its own; name the proxies",
        );
    }
    Ok(networks)
}
