//! The close queue: which series have a window that closes when, feed by feed.
//!
//! Sealing an epoch looks at what is due and at nothing else, so that an epoch of one tick costs
//! the same with ten series as with ten thousand.

use proto::series::{FeedId, SeriesId};

/// Per feed, series by the time at which the first of their windows may close.
///
/// Windows lie on a grid, so most series share a few times: one bucket each, the earliest last.
#[derive(Debug, Default)]
pub(super) struct Queue {
    feeds: Vec<Vec<Bucket>>,
    spare: Vec<Vec<SeriesId>>,
}

#[derive(Debug)]
struct Bucket {
    at: i64,
    series: Vec<SeriesId>,
}

impl Queue {
    /// Notes that `series` has a window that may close at `at`.
    pub(super) fn push(&mut self, feed: FeedId, at: i64, series: SeriesId) {
        if self.feeds.len() <= feed.index() {
            self.feeds.resize_with(feed.index() + 1, Vec::new);
        }
        let Some(buckets) = self.feeds.get_mut(feed.index()) else { return };
        // Nearly always one of the earliest few.
        let behind = buckets.iter().rev().take(4).position(|bucket| bucket.at >= at);
        let place = match behind {
            Some(behind) => buckets.len() - behind,
            None => buckets.partition_point(|bucket| bucket.at >= at),
        };
        if let Some(bucket) = place.checked_sub(1).and_then(|place| buckets.get_mut(place))
            && bucket.at == at
        {
            bucket.series.push(series);
            return;
        }
        let mut members = self.spare.pop().unwrap_or_default();
        members.push(series);
        buckets.insert(place, Bucket { at, series: members });
    }

    /// Takes the earliest bucket of `feed` that is due at `horizon`.
    pub(super) fn pop(&mut self, feed: FeedId, horizon: i64) -> Option<(i64, Vec<SeriesId>)> {
        let buckets = self.feeds.get_mut(feed.index())?;
        let bucket = buckets.pop_if(|bucket| bucket.at <= horizon)?;
        Some((bucket.at, bucket.series))
    }

    /// Gives the vector of a bucket back for another one.
    pub(super) fn recycle(&mut self, mut series: Vec<SeriesId>) {
        if self.spare.len() < 8 {
            series.clear();
            self.spare.push(series);
        }
    }

    /// The feeds that may have something in it.
    pub(super) fn feeds(&self) -> impl Iterator<Item = FeedId> + use<> {
        (0..u32::try_from(self.feeds.len()).unwrap_or(u32::MAX)).map(FeedId)
    }
}

#[cfg(test)]
mod tests {
    use proto::series::{FeedId, SeriesId};

    use super::Queue;

    #[test]
    fn buckets_come_out_in_the_order_of_time() {
        let mut queue = Queue::default();
        let times = [50, 10, 90, 10, 70, 30, 20, 60, 80, 10, 5, 100];
        for (number, at) in (0..).zip(times) {
            queue.push(FeedId(1), at, SeriesId(number));
        }
        let mut out = Vec::new();
        while let Some((at, series)) = queue.pop(FeedId(1), 80) {
            out.push((at, series.len()));
        }
        let expected = [(5, 1), (10, 3), (20, 1), (30, 1), (50, 1), (60, 1), (70, 1), (80, 1)];
        assert_eq!(out, expected);
        assert_eq!(queue.pop(FeedId(0), i64::MAX), None);
        assert_eq!(queue.pop(FeedId(1), i64::MAX).unwrap().0, 90);
    }
}
