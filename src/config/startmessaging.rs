//! `[startmessaging]`: the provider that delivers the codes.

use std::{num::NonZeroU32, time::Duration};

use secrecy::{ExposeSecret, SecretString};
use url::Url;
use uuid::Uuid;

use super::{
    address,
    reader::{Read, Reader},
    secrets::is_header_text,
};
use crate::provider::CodeOwner;

/// Longest `variables.appName`: the limit of a variable in an Indian DLT template.
const APP_NAME_MAX: usize = 30;
/// From this many digits in a row the carrier's adapter takes them for the code.
const APP_NAME_DIGIT_RUN: usize = 4;

/// `[startmessaging]`
#[derive(Clone, Debug)]
pub struct StartMessaging {
    /// https, or on the loopback interface.
    pub base_url: Url,
    /// Sent as `X-API-Key`.
    pub api_key: SecretString,
    /// Who makes and checks the code.
    pub code_owner: CodeOwner,
    /// StartMessaging's own id of a template; `None` = its standard text.
    pub template_id: Option<Uuid>,
    /// Sent as `variables.appName`; `None` = StartMessaging's own name.
    pub app_name: Option<String>,
    /// Longest time to connect.
    pub connect_timeout: Duration,
    /// Longest time of a whole call.
    pub timeout: Duration,
    /// Calls per second that this process makes.
    pub requests_per_second: NonZeroU32,
    /// Calls that may come at once.
    pub burst: NonZeroU32,
}

/// `texts` says whether StartMessaging is the one that texts, and so needs its key.
pub(super) fn read(reader: &mut Reader, texts: bool) -> Read<StartMessaging> {
    let base_url = base_url(reader);
    let api_key = api_key(reader, texts);
    let code_owner = code_owner(reader);
    let template_id = template_id(reader);
    let app_name = app_name(reader);
    let connect_timeout = reader.millis("startmessaging.connect_timeout_ms", 10..=60_000);
    let timeout = reader.millis("startmessaging.timeout_ms", 10..=60_000);
    let requests_per_second = reader.positive("startmessaging.requests_per_second", 100_000);
    let burst = reader.positive("startmessaging.burst", 100_000);

    if let (Ok(whole), Ok(connect)) = (timeout, connect_timeout)
        && whole < connect
    {
        reader.fault_in_production(
            "startmessaging.timeout_ms",
            "is shorter than startmessaging.connect_timeout_ms, which it includes; raise it",
        );
    }
    Ok(StartMessaging {
        base_url: base_url?,
        api_key: api_key?,
        code_owner: code_owner?,
        template_id: template_id?,
        app_name: app_name?,
        connect_timeout: connect_timeout?,
        timeout: timeout?,
        requests_per_second: requests_per_second?,
        burst: burst?,
    })
}

fn base_url(reader: &mut Reader) -> Read<Url> {
    const KEY: &str = "startmessaging.base_url";
    let text = reader.text(KEY)?;
    address::called(reader, KEY, &text)
}

fn api_key(reader: &mut Reader, texts: bool) -> Read<SecretString> {
    const KEY: &str = "startmessaging.api_key";
    let Some(key) = reader.secret(KEY)? else {
        if !texts {
            return Ok(SecretString::default());
        }
        return Err(reader.fault(
            KEY,
            "is not set; give the key of your account by STARTMESSAGING_API_KEY, or its file by \
             STARTMESSAGING_API_KEY_FILE",
        ));
    };
    if !is_header_text(key.expose_secret()) {
        return Err(reader.fault(
            KEY,
            "holds a blank or a letter that no header can carry; copy it again",
        ));
    }
    Ok(key)
}

fn code_owner(reader: &mut Reader) -> Read<CodeOwner> {
    const KEY: &str = "startmessaging.code_owner";
    match reader.text(KEY)?.as_str() {
        "service" => Ok(CodeOwner::Service),
        "vendor" => Ok(CodeOwner::Vendor),
        other => Err(reader.fault(
            KEY,
            format!("{other:?} is unknown; use \"service\" or \"vendor\""),
        )),
    }
}

fn template_id(reader: &mut Reader) -> Read<Option<Uuid>> {
    const KEY: &str = "startmessaging.template_id";
    let Some(text) = reader.optional_text(KEY)? else {
        return Ok(None);
    };
    let id = Uuid::try_parse(&text).ok();
    id.map(Some).ok_or_else(|| {
        let mend = "give StartMessaging's own id of the template, not the 19-digit DLT id";
        reader.fault(KEY, format!("{text:?} is no UUID; {mend}"))
    })
}

fn app_name(reader: &mut Reader) -> Read<Option<String>> {
    const KEY: &str = "startmessaging.app_name";
    let Some(name) = reader.optional_text(KEY)? else {
        return Ok(None);
    };
    let length = name.chars().count();
    if length > APP_NAME_MAX {
        reader.fault(
            KEY,
            format!("has {length} characters; shorten it to {APP_NAME_MAX}"),
        );
    }
    if name.chars().any(char::is_control) {
        reader.fault(
            KEY,
            "holds a line break or another control character; remove it",
        );
    }
    let digit_runs = name.split(|c: char| !c.is_numeric());
    if digit_runs
        .map(|run| run.chars().count())
        .any(|run| run >= APP_NAME_DIGIT_RUN)
    {
        reader.fault(
            KEY,
            "has 4 or more digits in a row, which would be sent as the code; break them up",
        );
    }
    Ok(Some(name))
}
