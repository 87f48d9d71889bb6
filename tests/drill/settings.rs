//! The settings that the replicas of a drill run with.

use std::net::SocketAddr;

/// What is the same for every replica, as environment variables without `OTP_AUTH__`. A setting that
/// the program does not know makes it refuse to start, so this list and the program go together.
pub(crate) const SETTINGS: &[(&str, &str)] = &[
    ("SERVER__WORKERS", "2"),
    ("DATABASE__ACQUIRE_TIMEOUT_MS", "500"),
    ("DATABASE__STATEMENT_TIMEOUT_MS", "500"),
    ("STARTMESSAGING__API_KEY", "sm_live_of_the_drill"),
    ("STARTMESSAGING__CONNECT_TIMEOUT_MS", "400"),
    // The drill calls as fast as it can; the budget of the real account is not what is drilled.
    ("STARTMESSAGING__REQUESTS_PER_SECOND", "1000"),
    ("STARTMESSAGING__BURST", "10000"),
    // No login may be stopped by a limit: then every one that does not end in a token is a fault.
    // The limits of a phone are raised, not switched off, so that its sends are still logged for a
    // day, and the log can be compared with the SMS.
    ("OTP__RESEND_COOLDOWNS_SECONDS", "0"),
    ("OTP__MAX_SENDS", "5"),
    ("LIMITS__PHONE__SENDS_PER_5_MINUTES", "1000"),
    ("LIMITS__PHONE__SENDS_PER_HOUR", "1000"),
    ("LIMITS__PHONE__SENDS_PER_DAY", "1000"),
    ("LIMITS__PHONE__FAILURES_PER_DAY", "100"),
    ("LIMITS__IP__SENDS_PER_MINUTE", "0"),
    ("LIMITS__IP__SENDS_PER_10_MINUTES", "0"),
    ("LIMITS__IP__SENDS_PER_HOUR", "0"),
    ("LIMITS__IP__VERIFIES_PER_MINUTE", "0"),
    ("LIMITS__IP__PHONES_PER_DAY", "0"),
    ("LIMITS__IP__COUNTRIES_PER_DAY", "0"),
    ("LIMITS__NETWORK__SENDS_PER_MINUTE", "0"),
    ("LIMITS__NETWORK__SENDS_PER_HOUR", "0"),
    ("LIMITS__NETWORK__VERIFIES_PER_MINUTE", "0"),
    // A refused account opens the breaker at once, and one call in a hundred is refused.
    ("PROVIDER__BREAKER_OPEN_MS", "200"),
    ("TELEMETRY__LOG_FORMAT", "json"),
];

/// What a replica is told beside [`SETTINGS`].
pub(crate) struct Surroundings<'a> {
    pub(crate) public: SocketAddr,
    pub(crate) admin: SocketAddr,
    pub(crate) database_url: &'a str,
    pub(crate) provider_url: &'a str,
    pub(crate) provider_timeout_ms: u64,
    pub(crate) code_owner: &'a str,
    pub(crate) master_key: &'a str,
    pub(crate) settings: &'a [(&'a str, &'a str)],
}

/// The whole environment of a replica.
pub(crate) fn environment(around: &Surroundings<'_>) -> Vec<(String, String)> {
    let own = [
        ("SERVER__BIND", around.public.to_string()),
        ("SERVER__ADMIN_BIND", around.admin.to_string()),
        ("DATABASE__URL", around.database_url.to_owned()),
        ("SECRETS__MASTER_KEY", around.master_key.to_owned()),
        ("STARTMESSAGING__BASE_URL", around.provider_url.to_owned()),
        (
            "STARTMESSAGING__TIMEOUT_MS",
            around.provider_timeout_ms.to_string(),
        ),
        ("STARTMESSAGING__CODE_OWNER", around.code_owner.to_owned()),
    ];
    let same = SETTINGS
        .iter()
        .chain(around.settings)
        .map(|(name, value)| (*name, (*value).to_owned()));
    same.chain(own)
        .map(|(name, value)| (format!("OTP_AUTH__{name}"), value))
        .collect()
}
