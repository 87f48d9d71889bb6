//! `[[clients]]`: who may ask for codes and tokens.

use std::{collections::BTreeSet, num::NonZeroU32, ops::RangeInclusive, time::Duration};

use super::{
    address,
    limits::MAX,
    reader::{Read, Reader},
    secrets::decode_hex,
    spend::{AMOUNT_MAX, amount_of},
    table::Table,
    tokens::{ACCESS_TTL_MAX, Tokens},
};
use crate::client::{Client, ClientId, ClientIdError, Clients, RefreshLife, SecretHash};
use crate::limit::spend::Ceilings;
use crate::phone::{Country, PhoneRules};
use crate::token::claims::is_reserved;
use crate::token::grant::is_scope_token;
use serde_json::{Map, Value};

/// Seconds that a client's own sessions may live: a minute to a year.
const REFRESH_TTL: RangeInclusive<u64> = 60..=31_536_000;
/// Bytes of JSON that a client's own claims may take: nginx takes 8 KiB of headers in all, and a token
/// with a number and two audiences is below 1 KiB.
const LONGEST_CLAIMS: usize = 2048;
/// Seconds that a client's own access tokens may live.
const ACCESS_TTL: RangeInclusive<u64> = 60..=ACCESS_TTL_MAX;

pub(super) fn read(
    reader: &mut Reader,
    tokens: Read<&Tokens>,
    phone: Read<&PhoneRules>,
) -> Read<Clients> {
    const KEY: &str = "clients";
    let tables = reader.tables(KEY)?;
    if tables.is_empty() {
        return Err(reader.fault(KEY, "is empty, so nobody could log in; add one [[clients]]"));
    }
    let mut clients: Vec<Client> = Vec::with_capacity(tables.len());
    let mut result = Ok(());
    for (index, value) in tables.into_iter().enumerate() {
        let path = format!("{KEY}[{index}]");
        let table = Table::new(reader, path.clone(), value);
        match table.and_then(|table| read_one(table, tokens, phone)) {
            Ok(new) if clients.iter().any(|old| old.id == new.id) => {
                reader.fault(
                    &path,
                    format!("has the id of one before, {}; rename it", new.id),
                );
            }
            Ok(client) => clients.push(client),
            Err(noted) => result = Err(noted),
        }
    }
    let names: Vec<&str> = clients.iter().map(|client| client.id.as_str()).collect();
    reader.show(KEY, format!("[{}]", names.join(", ")));
    result.map(|()| clients.into_iter().collect())
}

fn read_one(mut table: Table<'_>, tokens: Read<&Tokens>, phone: Read<&PhoneRules>) -> Read<Client> {
    let id = id(&mut table);
    let secret_hash = secret_hash(&mut table);
    let audience = audience(&mut table);
    let allowed_origins = allowed_origins(&mut table);
    let access_token_ttl = access_token_ttl(&mut table, tokens);
    let refresh = refresh(&mut table, tokens);
    let scopes = scopes(&mut table);
    let claims = claims(&mut table);
    let may_introspect = table.flag("may_introspect");
    if matches!((&may_introspect, &secret_hash), (Ok(true), Ok(None))) {
        table.fault(
            "may_introspect",
            "needs a client with a secret; add a secret_hash",
        );
    }
    let countries = countries(&mut table, phone);
    let ceilings = ceilings(&mut table);
    table.refuse_others();
    Ok(Client {
        id: id?,
        secret_hash: secret_hash?,
        audience: audience?,
        allowed_origins: allowed_origins?,
        access_token_ttl: access_token_ttl?,
        refresh: refresh?,
        scopes: scopes?,
        claims: claims?,
        may_introspect: may_introspect?,
        countries: countries?,
        ceilings: ceilings?,
    })
}

fn id(table: &mut Table<'_>) -> Read<ClientId> {
    let id = table.required_text("id")?.parse();
    id.map_err(|error: ClientIdError| table.fault("id", error.to_string()))
}

fn secret_hash(table: &mut Table<'_>) -> Read<Option<SecretHash>> {
    const FIELD: &str = "secret_hash";
    const MEND: &str = "make it with: printf %s \"$secret\" | sha256sum";
    let Some(text) = table.text(FIELD)? else {
        return Ok(None);
    };
    hash_of(&text)
        .map(Some)
        .ok_or_else(|| table.fault(FIELD, format!("is not sha256: and 64 hex digits; {MEND}")))
}

/// What `sha256sum` prints, with or without `sha256:` before it.
pub(super) fn hash_of(text: &str) -> Option<SecretHash> {
    decode_hex(text.strip_prefix("sha256:").unwrap_or(text)).map(SecretHash)
}

fn audience(table: &mut Table<'_>) -> Read<Vec<String>> {
    let audience = table.texts("audience")?;
    if audience.is_empty() || audience.iter().any(String::is_empty) {
        return Err(table.fault(
            "audience",
            "is missing or empty; name who takes its tokens, such as \"api\"",
        ));
    }
    Ok(audience)
}

fn allowed_origins(table: &mut Table<'_>) -> Read<Vec<String>> {
    const FIELD: &str = "allowed_origins";
    let origins = table.texts(FIELD)?;
    for origin in &origins {
        match address::origin(origin) {
            Ok(url) if !address::is_private(&url) => {
                table.fault_in_production(
                    FIELD,
                    format!("{origin:?} must begin with https:// in production"),
                );
            }
            Ok(_) => {}
            Err(error) => {
                table.fault(FIELD, format!("one of them {error}"));
            }
        }
    }
    Ok(origins)
}

/// Seconds of a client's own, if it has any.
fn own_seconds(
    table: &mut Table<'_>,
    field: &'static str,
    range: RangeInclusive<u64>,
) -> Read<Option<Duration>> {
    let Some(seconds) = table.integer(field)? else {
        return Ok(None);
    };
    let seconds = u64::try_from(seconds).ok();
    let seconds = seconds.filter(|seconds| range.contains(seconds));
    let (low, high) = (range.start(), range.end());
    let fault = format!("is not a whole number of seconds from {low} to {high}");
    let ttl = seconds.map(Duration::from_secs);
    ttl.map(Some).ok_or_else(|| table.fault(field, fault))
}

fn access_token_ttl(table: &mut Table<'_>, tokens: Read<&Tokens>) -> Read<Duration> {
    const FIELD: &str = "access_token_ttl";
    let Some(ttl) = own_seconds(table, FIELD, ACCESS_TTL)? else {
        return tokens.map(|tokens| tokens.access_ttl);
    };
    if tokens.is_ok_and(|tokens| tokens.keep_after < ttl) {
        table.fault(
            FIELD,
            "is longer than tokens.keep_after_seconds, so good tokens would be refused; lower it",
        );
    }
    Ok(ttl)
}

fn refresh(table: &mut Table<'_>, tokens: Read<&Tokens>) -> Read<RefreshLife> {
    const IDLE: &str = "refresh_idle_ttl";
    let idle = own_seconds(table, IDLE, REFRESH_TTL);
    let absolute = own_seconds(table, "refresh_absolute_ttl", REFRESH_TTL);
    let (own_idle, own_absolute, tokens) = (idle?, absolute?, tokens?);
    let life = RefreshLife {
        idle: own_idle.unwrap_or(tokens.refresh_idle),
        absolute: own_absolute.unwrap_or(tokens.refresh_absolute),
    };
    if own_idle.is_some_and(|idle| idle > life.absolute) {
        table.fault(IDLE, "is longer than the session can be; lower it");
    }
    Ok(life)
}

/// Claims that are in every token of the client.
fn claims(table: &mut Table<'_>) -> Read<Map<String, Value>> {
    const FIELD: &str = "claims";
    let claims = table.json(FIELD)?;
    for name in claims.keys().filter(|name| is_reserved(name)) {
        let mend = "this service or a standard says what it means; rename it";
        table.fault(FIELD, format!("has {name:?}: {mend}"));
    }
    if Value::from(claims.clone()).to_string().len() > LONGEST_CLAIMS {
        table.fault(
            FIELD,
            format!("is longer than {LONGEST_CLAIMS} bytes of JSON; every call carries it"),
        );
    }
    Ok(claims)
}

fn scopes(table: &mut Table<'_>) -> Read<Vec<String>> {
    let scopes = table.texts("scopes")?;
    for scope in scopes.iter().filter(|scope| !is_scope_token(scope)) {
        table.fault(
            "scopes",
            format!("{scope:?} is no scope; use printable ASCII without blank, \" and \\"),
        );
    }
    Ok(scopes)
}

/// With faulty rules for phones only the form of the codes is checked.
fn countries(table: &mut Table<'_>, phone: Read<&PhoneRules>) -> Read<Option<BTreeSet<Country>>> {
    const FIELD: &str = "countries";
    let Some(codes) = table.texts_or_none(FIELD)? else {
        return Ok(None);
    };
    let mut countries = BTreeSet::new();
    for code in codes {
        match Country::parse(&code) {
            Err(_) => {
                let mend = "give the two letters of a country, such as IN";
                table.fault(FIELD, format!("{code:?} cannot be used; {mend}"));
            }
            Ok(country) if phone.is_ok_and(|rules| !rules.allows(country)) => {
                let mend = "add it there or remove it here";
                table.fault(
                    FIELD,
                    format!("{country} is not one of phone.countries; {mend}"),
                );
            }
            Ok(country) => {
                countries.insert(country);
            }
        }
    }
    Ok(Some(countries))
}

fn ceilings(table: &mut Table<'_>) -> Read<Ceilings> {
    let messages_per_hour = table.limit("messages_per_hour", MAX);
    let messages_per_day = table.limit("messages_per_day", MAX);
    let amount_per_hour = table.limit("amount_per_hour", AMOUNT_MAX);
    let amount_per_day = table.limit("amount_per_day", AMOUNT_MAX);
    let amount_per_month = table.limit("amount_per_month", AMOUNT_MAX);
    Ok(Ceilings {
        messages_per_hour: NonZeroU32::new(messages_per_hour?),
        messages_per_day: NonZeroU32::new(messages_per_day?),
        amount_per_hour: amount_of(amount_per_hour?),
        amount_per_day: amount_of(amount_per_day?),
        amount_per_month: amount_of(amount_per_month?),
    })
}
