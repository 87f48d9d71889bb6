//! `[[admin_tokens]]`: who may call the admin API.

use chrono::{DateTime, Utc};

use super::{
    clients::hash_of,
    reader::{Read, Reader},
    secrets::admin_token,
    table::Table,
};
use crate::operator::{AdminToken, OperatorIdError, Operators, Role};

/// With the token of `[secrets]`, which is an owner's.
pub(super) fn read(reader: &mut Reader, now: DateTime<Utc>) -> Read<Operators> {
    const KEY: &str = "admin_tokens";
    let root = admin_token(reader)?;
    let tables = reader.tables(KEY)?;
    let mut tokens: Vec<AdminToken> = Vec::with_capacity(tables.len());
    let mut result = Ok(());
    for (index, value) in tables.into_iter().enumerate() {
        let path = format!("{KEY}[{index}]");
        let table = Table::new(reader, path.clone(), value);
        match table.and_then(|table| read_one(table)) {
            Ok(new) if tokens.iter().any(|old| old.id == new.id) => {
                let problem = format!("has the id of one before, {}; rename it", new.id);
                reader.fault(&path, problem);
            }
            // Whose call it was could not be told.
            Ok(new) if tokens.iter().any(|old| old.hash.0 == new.hash.0) => {
                reader.fault(&path, "has the token of one before; make another");
            }
            Ok(token) => tokens.push(token),
            Err(noted) => result = Err(noted),
        }
    }
    // One that is over opens nothing, which is what was meant: no reason not to start.
    let shown = tokens.iter().map(|token| match token.expires_at {
        Some(end) if end <= now => format!("{} ({}, expired)", token.id, token.role.name()),
        _ => format!("{} ({})", token.id, token.role.name()),
    });
    reader.show(KEY, format!("[{}]", shown.collect::<Vec<_>>().join(", ")));
    let has_owner = tokens.iter().any(|token| token.role == Role::Owner);
    if result.is_ok() && root.is_none() && !has_owner {
        reader.fault_in_production(
            "secrets.admin_token",
            "is not set, and none of [[admin_tokens]] is an owner's; make one with: openssl rand -hex 32",
        );
    }
    result.map(|()| Operators::new(root.as_ref(), tokens))
}

fn read_one(mut table: Table<'_>) -> Read<AdminToken> {
    const MEND: &str =
        "make both with: token=$(openssl rand -hex 32); printf %s \"$token\" | sha256sum";
    let id = table.required_text("id");
    let id = id.and_then(|id| {
        let id = id.parse();
        id.map_err(|error: OperatorIdError| table.fault("id", error.to_string()))
    });
    let role = table.required_text("role");
    let role = role.and_then(|role| {
        let known = Role::parse(&role);
        known.ok_or_else(|| table.fault("role", "is not \"viewer\", \"support\" or \"owner\""))
    });
    let hash = table.required_text("token_hash");
    let hash = hash.and_then(|hash| {
        let bad = format!("is not sha256: and 64 hex digits; {MEND}");
        hash_of(&hash).ok_or_else(|| table.fault("token_hash", bad))
    });
    let expires_at = expires_at(&mut table);
    table.refuse_others();
    Ok(AdminToken {
        id: id?,
        role: role?,
        hash: hash?,
        expires_at: expires_at?,
    })
}

fn expires_at(table: &mut Table<'_>) -> Read<Option<DateTime<Utc>>> {
    const FIELD: &str = "expires_at";
    let Some(text) = table.text(FIELD)? else {
        return Ok(None);
    };
    let Ok(time) = DateTime::parse_from_rfc3339(&text) else {
        return Err(table.fault(FIELD, "is no time such as 2027-01-31T12:00:00Z"));
    };
    Ok(Some(time.to_utc()))
}
