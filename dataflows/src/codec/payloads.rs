//! Payloads: a group of lengths and numbers, the texts, and the bytes as they are.

use std::sync::Arc;

use proto::event_time::EventTime;
use proto::payload::Payload;
use proto::series::SeriesId;
use proto::traceparent::Traceparent;

use super::pack::{GROUP_BYTES_MIN, Packer, unzigzag, zigzag};
use super::read::{Bad, Reader};

/// The fewest bytes of a payload.
pub(super) const BYTES_MIN: usize = GROUP_BYTES_MIN;

/// Appends payloads; `local` gives the number of a series in the dictionary.
pub(super) fn write(
    payloads: &[Payload],
    local: impl Fn(SeriesId) -> u32,
    packer: &mut Packer<'_>,
) {
    let mut time = 0;
    for payload in payloads {
        let content_type = payload.content_type.as_deref();
        let trace = payload.traceparent;
        let trace_id = trace.map_or(0, |trace| trace.trace_id());
        packer.group(&[
            u64::from(local(payload.series)),
            zigzag(payload.time.ns().wrapping_sub(time)),
            content_type.map_or(0, |text| text.len() as u64 + 1),
            payload.bytes.len() as u64,
            (trace_id >> 64) as u64,
            trace_id as u64,
            trace.map_or(0, |trace| trace.parent_id()),
            trace.map_or(0, |trace| u64::from(trace.flags()) + 1),
        ]);
        time = payload.time.ns();
        packer.bytes(content_type.unwrap_or_default().as_bytes());
        packer.bytes(&payload.bytes);
    }
}

/// Reads so many payloads.
pub(super) fn read(
    count: usize,
    dictionary: &[SeriesId],
    reader: &mut Reader<'_>,
) -> Result<Vec<Payload>, Bad> {
    let mut payloads = Vec::with_capacity(count);
    let mut before = 0_i64;
    let mut known: Vec<Arc<str>> = Vec::new();
    for _ in 0..count {
        let [series, time, content_type, length, upper, lower, parent, flags] = reader.group()?;
        let index = usize::try_from(series).map_err(|_| "no such series")?;
        let series = *dictionary.get(index).ok_or("no such series")?;
        before = before.wrapping_add(unzigzag(time));
        let content_type = match content_type.checked_sub(1) {
            Some(length) => Some(shared(reader.text(length)?, &mut known)),
            None => None,
        };
        let trace_id = u128::from(upper) << 64 | u128::from(lower);
        let traceparent = match flags.checked_sub(1).map(u8::try_from) {
            Some(Ok(flags)) => Some(
                Traceparent::new(trace_id, parent, flags).map_err(|_| "expected a traceparent")?,
            ),
            Some(Err(_)) => return Err("expected the flags of a traceparent"),
            None => None,
        };
        payloads.push(Payload {
            series,
            time: EventTime::from_ns(before),
            content_type,
            traceparent,
            bytes: reader.take(length)?.to_vec(),
        });
    }
    Ok(payloads)
}

/// Words that are few are made once.
fn shared(text: &str, known: &mut Vec<Arc<str>>) -> Arc<str> {
    const KNOWN_MAX: usize = 16;
    if let Some(found) = known.iter().find(|word| ***word == *text) {
        return found.clone();
    }
    let word: Arc<str> = text.into();
    if known.len() < KNOWN_MAX {
        known.push(word.clone());
    }
    word
}
