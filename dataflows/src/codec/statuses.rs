//! Feed statuses: a group of numbers each.

use proto::event_time::EventTime;
use proto::feed_status::{Activity, FeedStatus};
use proto::series::SeriesId;

use super::pack::{GROUP_BYTES_MIN, Packer, unzigzag, zigzag};
use super::read::{Bad, Reader};

/// The fewest bytes of a status.
pub(super) const BYTES_MIN: usize = GROUP_BYTES_MIN;

/// Appends statuses; `local` gives the number of a series in the dictionary.
pub(super) fn write(
    statuses: &[FeedStatus],
    local: impl Fn(SeriesId) -> u32,
    packer: &mut Packer<'_>,
) {
    for status in statuses {
        let behind = |time: EventTime| zigzag(status.clock.ns().wrapping_sub(time.ns()));
        packer.group(&[
            u64::from(local(status.series)),
            zigzag(status.clock.ns()),
            status.status as u64,
            behind(status.last),
            behind(status.feed_last),
            0,
            0,
            0,
        ]);
    }
}

/// Reads so many statuses.
pub(super) fn read(
    count: usize,
    dictionary: &[SeriesId],
    reader: &mut Reader<'_>,
) -> Result<Vec<FeedStatus>, Bad> {
    let mut statuses = Vec::with_capacity(count);
    for _ in 0..count {
        let [series, clock, status, last, feed_last, ..] = reader.group()?;
        let index = usize::try_from(series).map_err(|_| "no such series")?;
        let series = *dictionary.get(index).ok_or("no such series")?;
        let clock = unzigzag(clock);
        let status = usize::try_from(status).ok().and_then(|status| Activity::ALL.get(status));
        let behind = |by: u64| EventTime::from_ns(clock.wrapping_sub(unzigzag(by)));
        statuses.push(FeedStatus {
            series,
            clock: EventTime::from_ns(clock),
            status: *status.ok_or("no such status")?,
            last: behind(last),
            feed_last: behind(feed_last),
        });
    }
    Ok(statuses)
}
