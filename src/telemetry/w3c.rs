//! W3C Trace Context: which trace a call belongs to, as its headers tell
//! (<https://www.w3.org/TR/trace-context/>, read 2026-12-01).

use opentelemetry::trace::{SpanContext, SpanId, TraceFlags, TraceId, TraceState};

/// The header that names a trace and the span that calls.
pub const TRACEPARENT: &str = "traceparent";
/// The header that goes with it, in which each tracing system keeps what is its own.
pub const TRACESTATE: &str = "tracestate";

/// Length of a `traceparent` of version 00, in bytes.
const LENGTH: usize = 55;
/// Longest `tracestate` that is passed on, in bytes: section 3.3.1.5 asks for at least that.
const STATE_LENGTH: usize = 512;
/// Most members of one: section 3.3.1.1.
const STATE_MEMBERS: usize = 32;

/// The span that calls, of the values of both headers as they came. `None` for a `traceparent` that is missing,
/// given twice or not in its form; a `tracestate` that is not is left out alone.
pub fn parent<'a>(
    traceparents: impl IntoIterator<Item = &'a [u8]>,
    tracestates: impl IntoIterator<Item = &'a [u8]>,
) -> Option<SpanContext> {
    let mut traceparents = traceparents.into_iter();
    let (first, second) = (traceparents.next()?, traceparents.next());
    let (trace, span, flags) = parts(std::str::from_utf8(first).ok()?)?;
    if second.is_some() {
        return None;
    }
    let state = state(tracestates).unwrap_or_default();
    Some(SpanContext::new(trace, span, flags, true, state))
}

/// What `traceparent` says. A version that we do not know is read as far as ours goes (section 4.3).
fn parts(text: &str) -> Option<(TraceId, SpanId, TraceFlags)> {
    let (known, rest) = text.split_at_checked(LENGTH)?;
    let mut fields = known.split('-');
    let mut field = |length| {
        let field = fields.next().filter(|field| field.len() == length)?;
        field.bytes().all(is_hex).then_some(field)
    };
    let (version, trace, span, flags) = (field(2)?, field(32)?, field(16)?, field(2)?);
    let fits = match version {
        "00" => rest.is_empty(),
        "ff" => false,
        _ => rest.is_empty() || rest.starts_with('-'),
    };
    let trace = TraceId::from_hex(trace).ok()?;
    let span = SpanId::from_hex(span).ok()?;
    let flags = u8::from_str_radix(flags, 16).ok()?;
    let is_valid = fits && trace != TraceId::INVALID && span != SpanId::INVALID;
    // Of the flags we know one.
    let sampled = TraceFlags::default().with_sampled(flags & 1 == 1);
    is_valid.then_some((trace, span, sampled))
}

/// Small letters only.
fn is_hex(byte: u8) -> bool {
    byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte)
}

/// The members of all lines of `tracestate`, in their order.
fn state<'a>(lines: impl IntoIterator<Item = &'a [u8]>) -> Option<TraceState> {
    let mut members = Vec::new();
    let mut length = 0;
    for line in lines {
        length += line.len() + 1;
        let is_printable = line.iter().all(|byte| matches!(byte, b'\t' | b' '..=b'~'));
        if !is_printable || length > STATE_LENGTH + 1 {
            return None;
        }
        let line = std::str::from_utf8(line).ok()?;
        let some = line.split(',').map(str::trim);
        for member in some.filter(|member| !member.is_empty()) {
            let (key, value) = member.split_once('=')?;
            if key.is_empty() || members.len() == STATE_MEMBERS {
                return None;
            }
            members.push((key, value));
        }
    }
    TraceState::from_key_value(members).ok()
}

/// The headers that tell the next one which span calls.
pub fn headers(span: &SpanContext) -> Vec<(&'static str, String)> {
    let sampled = u8::from(span.is_sampled());
    let parent = format!("00-{}-{}-{sampled:02x}", span.trace_id(), span.span_id());
    let state = span.trace_state().header();
    let mut headers = vec![(TRACEPARENT, parent)];
    if !state.is_empty() {
        headers.push((TRACESTATE, state));
    }
    headers
}

#[cfg(test)]
mod tests {
    use super::*;

    const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";
    const SPAN: &str = "b7ad6b7169203331";

    fn read(parents: &[&str], states: &[&str]) -> Option<SpanContext> {
        parent(
            parents.iter().map(|text| text.as_bytes()),
            states.iter().map(|text| text.as_bytes()),
        )
    }

    fn is_read(text: &str) -> bool {
        read(&[text], &[]).is_some()
    }

    #[test]
    fn a_traceparent_is_read_as_the_recommendation_writes_it() {
        for (text, sampled) in [
            (format!("00-{TRACE}-{SPAN}-00"), false),
            (format!("00-{TRACE}-{SPAN}-01"), true),
            // Other flags are none of ours.
            (format!("00-{TRACE}-{SPAN}-02"), false),
            (format!("00-{TRACE}-{SPAN}-ff"), true),
            // Of a later version, what we know of it.
            (format!("01-{TRACE}-{SPAN}-01"), true),
            (
                format!("cc-{TRACE}-{SPAN}-01-what-the-future-will-bring"),
                true,
            ),
            (format!("cc-{TRACE}-{SPAN}-01-"), true),
        ] {
            let span = read(&[&text], &[]).expect(&text);
            assert_eq!(span.trace_id().to_string(), TRACE, "{text}");
            assert_eq!(span.span_id().to_string(), SPAN, "{text}");
            assert_eq!(span.is_sampled(), sampled, "{text}");
            assert!(span.is_remote());
        }
    }

    #[test]
    fn whatever_else_is_no_traceparent() {
        for text in [
            String::new(),
            format!("00-{TRACE}-{SPAN}"),
            format!("00-{TRACE}-{SPAN}-1"),
            format!("00-{TRACE}-{SPAN}-011"),
            format!("00-{TRACE}-{SPAN}-01-"),
            format!("00-{TRACE}-{SPAN}-01-more"),
            format!("00-{TRACE}-{SPAN}-01 "),
            format!(" 00-{TRACE}-{SPAN}-01"),
            format!("cc-{TRACE}-{SPAN}-01.more"),
            format!("ff-{TRACE}-{SPAN}-01"),
            format!("0-{TRACE}-{SPAN}-01"),
            format!("0x-{TRACE}-{SPAN}-01"),
            format!("00-{}-{SPAN}-01", TRACE.to_uppercase()),
            format!("00-{TRACE}-{}-01", SPAN.to_uppercase()),
            format!("00-{TRACE}-{SPAN}-0A"),
            format!("00-{TRACE}-{SPAN}-.0"),
            format!("00-{}-{SPAN}-01", "0".repeat(32)),
            format!("00-{TRACE}-{}-01", "0".repeat(16)),
            format!("00-{}-{SPAN}-01", "g".repeat(32)),
            format!("00_{TRACE}_{SPAN}_01"),
            format!("00-{TRACE}{SPAN}-01--"),
            format!("00-{SPAN}-{TRACE}-01"),
            format!("00-{TRACE}-{SPAN}-0\u{661}"),
            "\u{661}".repeat(40),
        ] {
            assert!(!is_read(&text), "{text:?}");
        }
        let good = format!("00-{TRACE}-{SPAN}-01");
        assert!(is_read(&good));
        assert!(read(&[], &["a=b"]).is_none());
        assert!(read(&[&good, &good], &[]).is_none(), "given twice");
        assert!(parent([&b"\xff"[..]], []).is_none());
    }

    #[test]
    fn a_tracestate_is_passed_on_or_left_out_alone() {
        let longest = format!("a={}", "x".repeat(254));
        let two = format!("{longest},b={}", "x".repeat(253));
        assert_eq!(two.len(), 512);
        let too_long = format!("{two}x");
        let most: Vec<String> = (0..32).map(|n| format!("k{n}=v")).collect();
        let too_many = format!("{},more=v", most.join(","));
        for (lines, expected) in [
            (vec![], ""),
            (vec!["a=1"], "a=1"),
            (vec!["a=1,b=2", "c=3"], "a=1,b=2,c=3"),
            (
                vec!["tenant@vendor=x y", ", ,b=2 "],
                "tenant@vendor=x y,b=2",
            ),
            (vec!["a="], "a="),
            (vec![two.as_str()], two.as_str()),
            (vec![too_long.as_str()], ""),
            (vec![too_many.as_str()], ""),
            (vec!["a"], ""),
            (vec!["=1"], ""),
            (vec!["A=1"], ""),
            (vec!["a=1=2"], ""),
            (vec!["a=\u{1f600}"], ""),
            (vec!["a=\u{7f}"], ""),
            (vec!["a=1", "B"], ""),
        ] {
            let span = read(&[&format!("00-{TRACE}-{SPAN}-01")], &lines).unwrap();
            assert_eq!(span.trace_state().header(), expected, "{lines:?}");
        }
    }

    #[test]
    fn what_is_written_reads_back() {
        for (flags, states) in [("00", vec![]), ("01", vec!["a=1,b=2"])] {
            let text = format!("00-{TRACE}-{SPAN}-{flags}");
            let span = read(&[&text], &states).unwrap();
            let mut expected = vec![(TRACEPARENT, text)];
            expected.extend(states.iter().map(|state| (TRACESTATE, (*state).to_owned())));
            assert_eq!(headers(&span), expected);
        }
    }
}
