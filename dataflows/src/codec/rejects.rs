//! Rejects: a group of lengths, the texts, and the tick where there is one.

use proto::event_time::EventTime;
use proto::reject::Reject;
use proto::series::SeriesId;

use super::pack::{GROUP_BYTES_MIN, Packer, unzigzag, zigzag};
use super::read::{Bad, Reader};
use super::ticks::Ticks;

/// The fewest bytes of a reject.
pub(super) const BYTES_MIN: usize = GROUP_BYTES_MIN;

/// Appends rejects; `local` gives the number of a series in the dictionary.
pub(super) fn write(
    rejects: &[Reject],
    series: usize,
    local: impl Fn(SeriesId) -> u32,
    packer: &mut Packer<'_>,
) {
    let mut ticks = Ticks::new(series);
    for reject in rejects {
        let place = reject.place.as_deref();
        packer.group(&[
            reject.component.len() as u64,
            reject.reason.len() as u64,
            reject.detail.len() as u64,
            place.map_or(0, |place| place.len() as u64 + 1),
            zigzag(reject.clock.ns()),
            u64::from(reject.tick.is_some()),
            reject.payload.len() as u64,
            0,
        ]);
        for text in [&reject.component, &reject.reason, &reject.detail] {
            packer.bytes(text.as_bytes());
        }
        packer.bytes(place.unwrap_or_default().as_bytes());
        packer.bytes(&reject.payload);
        if let Some(tick) = &reject.tick {
            packer.group(&ticks.write(tick, local(tick.series)));
        }
    }
}

/// Reads so many rejects.
pub(super) fn read(
    count: usize,
    dictionary: &[SeriesId],
    reader: &mut Reader<'_>,
) -> Result<Vec<Reject>, Bad> {
    let mut ticks = Ticks::new(dictionary.len());
    let mut rejects = Vec::with_capacity(count);
    for _ in 0..count {
        let group = reader.group()?;
        let [component, reason, detail, place, clock, has_tick @ 0..=1, payload, 0] = group else {
            return Err("expected the lengths of a reject");
        };
        rejects.push(Reject {
            component: reader.text(component)?.to_owned(),
            reason: reader.text(reason)?.to_owned(),
            detail: reader.text(detail)?.to_owned(),
            place: match place.checked_sub(1) {
                Some(length) => Some(reader.text(length)?.to_owned()),
                None => None,
            },
            clock: EventTime::from_ns(unzigzag(clock)),
            payload: reader.take(payload)?.to_vec(),
            tick: match has_tick {
                0 => None,
                _ => Some(ticks.read(reader.group()?, dictionary)?),
            },
        });
    }
    Ok(rejects)
}
