use super::*;

const HOUR: i64 = 3600;
const DAY: i64 = 24 * HOUR;

/// Seconds after some moment.
fn at(seconds: i64) -> DateTime<Utc> {
    DateTime::UNIX_EPOCH + TimeDelta::seconds(1_000_000_000 + seconds)
}

fn policy() -> KeyPolicy {
    KeyPolicy {
        algorithm: SigningAlgorithm::Es256,
        rotate_every: TimeDelta::days(30),
        publish_ahead: TimeDelta::days(1),
        keep_after: TimeDelta::days(1),
        longest_token: TimeDelta::seconds(900),
        verifiers: BTreeSet::new(),
        verifier_deadline: TimeDelta::days(1),
    }
}

fn key(kid: &str, state: State) -> KeyRecord {
    KeyRecord {
        kid: kid.to_owned(),
        algorithm: SigningAlgorithm::Es256,
        state,
        created_at: at(0),
        promote_at: None,
        active_at: None,
        retired_at: None,
        gone_at: None,
    }
}

fn active() -> KeyRecord {
    KeyRecord {
        active_at: Some(at(0)),
        ..key("active", State::Active)
    }
}

fn next(promote_at: DateTime<Utc>) -> KeyRecord {
    KeyRecord {
        promote_at: Some(promote_at),
        ..key("next", State::Next)
    }
}

fn names(names: &[&str]) -> BTreeSet<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

fn steps(keys: &[KeyRecord], policy: &KeyPolicy, now: DateTime<Utc>) -> Vec<Step> {
    due(keys, &BTreeSet::new(), policy, now)
}

fn promotes(kid: &str) -> Vec<Step> {
    let kid = kid.to_owned();
    vec![Step::Promote { kid }]
}

#[test]
fn the_first_key_is_made_at_once_also_where_others_retire() {
    let retiring = KeyRecord {
        gone_at: Some(at(1)),
        ..key("old", State::Retiring)
    };
    for keys in [vec![], vec![retiring]] {
        assert_eq!(steps(&keys, &policy(), at(0)), [Step::MakeFirst]);
    }
}

#[test]
fn the_next_key_is_made_when_the_active_one_has_only_the_time_of_publishing_left() {
    let due_at = 29 * DAY;
    for (now, is_made) in [
        (at(due_at) - TimeDelta::milliseconds(1), false),
        (at(due_at), true),
        (at(due_at) + TimeDelta::milliseconds(1), true),
    ] {
        let promote_at = (now + TimeDelta::days(1)).max(at(30 * DAY));
        let expected = is_made.then_some(Step::MakeNext { promote_at });
        assert_eq!(steps(&[active()], &policy(), now), Vec::from_iter(expected));
    }
}

/// No process ran for a while: what is published late signs late.
#[test]
fn a_next_key_that_is_made_late_is_published_for_its_whole_time() {
    let promote_at = at(41 * DAY);
    assert_eq!(
        steps(&[active()], &policy(), at(40 * DAY)),
        [Step::MakeNext { promote_at }]
    );
}

/// What the version before this one stored.
#[test]
fn a_key_without_a_note_when_it_began_began_when_it_was_made() {
    let old = key("old", State::Active);
    assert_eq!(
        steps(std::slice::from_ref(&old), &policy(), at(29 * DAY - 1)),
        []
    );
    assert!(steps(&[old], &policy(), at(29 * DAY))[0].makes_a_key());
}

#[test]
fn a_next_key_signs_from_its_time_on() {
    let keys = [active(), next(at(DAY))];
    for (now, expected) in [
        (at(DAY) - TimeDelta::milliseconds(1), vec![]),
        (at(DAY), promotes("next")),
        (at(DAY) + TimeDelta::milliseconds(1), promotes("next")),
    ] {
        assert_eq!(steps(&keys, &policy(), now), expected, "{now}");
    }
}

#[test]
fn a_next_key_signs_at_once_where_no_key_does() {
    assert_eq!(steps(&[next(at(DAY))], &policy(), at(0)), promotes("next"));
}

#[test]
fn a_promotion_waits_for_every_named_verifier_until_the_deadline() {
    let keys = [active(), next(at(DAY))];
    let policy = KeyPolicy {
        verifiers: names(&["gateway", "orders"]),
        ..policy()
    };
    let deadline = at(2 * DAY);
    for (seen, now, is_promoted) in [
        (
            &["gateway", "orders"][..],
            at(DAY) - TimeDelta::milliseconds(1),
            false,
        ),
        (&["gateway", "orders"], at(DAY), true),
        (&["gateway", "orders", "one of before"], at(DAY), true),
        (&["gateway"], at(DAY), false),
        (&[], deadline - TimeDelta::milliseconds(1), false),
        (&[], deadline, true),
        (&[], deadline + TimeDelta::milliseconds(1), true),
    ] {
        let expected = if is_promoted {
            promotes("next")
        } else {
            vec![]
        };
        let found = due(&keys, &names(seen), &policy, now);
        assert_eq!(found, expected, "{seen:?} {now}");
    }
}

#[test]
fn a_retiring_key_is_gone_at_its_time() {
    let retiring = KeyRecord {
        gone_at: Some(at(HOUR)),
        ..key("old", State::Retiring)
    };
    let keys = [active(), retiring];
    let kid = "old".to_owned();
    let removed = vec![Step::Remove { kid }];
    for (now, expected) in [
        (at(HOUR) - TimeDelta::milliseconds(1), vec![]),
        (at(HOUR), removed.clone()),
        (at(HOUR) + TimeDelta::milliseconds(1), removed),
    ] {
        assert_eq!(steps(&keys, &policy(), now), expected, "{now}");
    }
}

/// 600 s of Envoy's cache and 60 s of leeway, unless the settings want more.
#[test]
fn a_key_outlives_the_longest_token_by_eleven_minutes() {
    for (keep_after, expected) in [(1559, 1560), (1560, 1560), (1561, 1561)] {
        let policy = KeyPolicy {
            keep_after: TimeDelta::seconds(keep_after),
            ..policy()
        };
        assert_eq!(policy.gone_at(at(0)), at(expected), "{keep_after}");
    }
}

#[test]
fn another_algorithm_is_a_rotation_of_its_own() {
    let policy = KeyPolicy {
        algorithm: SigningAlgorithm::EdDsa,
        ..policy()
    };
    let wanted = |key: KeyRecord| KeyRecord {
        algorithm: SigningAlgorithm::EdDsa,
        ..key
    };
    let dropped = |kid: Option<&str>, promote_at| {
        let drop = kid.map(str::to_owned);
        Some(Switch { drop, promote_at })
    };
    let soon = at(HOUR) + TimeDelta::days(1);
    for (why, keys, expected) in [
        ("none", vec![], None),
        ("the same", vec![wanted(active())], None),
        ("another", vec![active()], dropped(None, soon)),
        ("under way", vec![active(), wanted(next(at(DAY)))], None),
        (
            "both others",
            vec![active(), next(at(DAY))],
            dropped(Some("next"), soon),
        ),
        (
            "given up",
            vec![wanted(active()), next(at(DAY))],
            dropped(Some("next"), at(30 * DAY)),
        ),
    ] {
        assert_eq!(switch(&keys, &policy, at(HOUR)), expected, "{why}");
        // What is due goes its way whatever the settings of this process are.
        assert!(
            !steps(&keys, &policy, at(HOUR))
                .iter()
                .any(|step| { matches!(step, Step::MakeNext { .. }) })
        );
    }
}
