//! The order in which a batch is applied: series by series, so that a series is fetched from memory
//! once for all of its ticks, and not once for each. Within a series the order stays.

use proto::tick::Tick;

/// A batch with fewer ticks to a series than this is not worth the sorting.
const TICKS_PER_SERIES_MIN: usize = 2;

/// A batch with fewer ticks than this is applied as it stands.
const TICKS_MIN: usize = 512;

/// Orders batches; keeps its memory from one to the next.
#[derive(Debug, Default)]
pub(super) struct Order {
    /// By series: where its next tick goes.
    places: Vec<u32>,
    ticks: Vec<u32>,
}

impl Order {
    /// Gives the places of `rows` in the order in which to apply them (a counting sort); none if
    /// that is the order in which they stand.
    pub(super) fn of(&mut self, rows: &[Tick]) -> Option<&[u32]> {
        if rows.len() < TICKS_MIN {
            return None;
        }
        let greatest = rows.iter().map(|tick| tick.series.index()).max()?;
        if greatest >= rows.len() / TICKS_PER_SERIES_MIN {
            return None;
        }
        let count = u32::try_from(rows.len()).ok()?;
        self.places.clear();
        self.places.resize(greatest + 1, 0);
        for tick in rows {
            if let Some(place) = self.places.get_mut(tick.series.index()) {
                *place += 1;
            }
        }
        let mut sum = 0;
        for place in &mut self.places {
            sum += std::mem::replace(place, sum);
        }
        self.ticks.clear();
        self.ticks.resize(rows.len(), 0);
        for (number, tick) in (0..count).zip(rows) {
            let Some(place) = self.places.get_mut(tick.series.index()) else { continue };
            if let Some(slot) = self.ticks.get_mut(*place as usize) {
                *slot = number;
            }
            *place += 1;
        }
        Some(&self.ticks)
    }
}

#[cfg(test)]
mod tests {
    use proto::series::SeriesId;
    use proto::tick::Tick;

    use super::Order;

    fn rows(count: u32, series: impl Fn(u32) -> u32) -> Vec<Tick> {
        let tick = |n| Tick { series: SeriesId(series(n)), ..Tick::default() };
        (0..count).map(tick).collect()
    }

    #[test]
    fn ticks_come_series_by_series_and_in_their_order_within_one() {
        let rows = rows(2_000, |n| n * 7 % 5);
        let mut order = Order::default();
        for _ in 0..2 {
            let places = order.of(&rows).unwrap().to_vec();
            let mut expected: Vec<u32> = (0..2_000).collect();
            expected.sort_by_key(|n| n * 7 % 5);
            assert_eq!(places, expected);
        }
    }

    #[test]
    fn few_ticks_and_ticks_of_many_series_stay_as_they_stand() {
        let mut order = Order::default();
        assert_eq!(order.of(&[]), None);
        assert_eq!(order.of(&rows(100, |_| 0)), None);
        assert_eq!(order.of(&rows(2_000, |n| n)), None);
        assert_eq!(order.of(&rows(2_000, |_| u32::MAX)), None);
    }
}
