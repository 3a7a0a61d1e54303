//! Where boxes and arrows go: layers from left to right, few crossings, short ways.
//!
//! The classical way (Sugiyama): layers by longest path, points where a long arrow passes a
//! layer, barycentres against crossings, then heights as near to the neighbours as fits.

/// A box or the point where a long arrow passes a layer.
#[derive(Debug, Clone)]
pub(super) struct Place {
    pub(super) layer: usize,
    /// The middle, from the top.
    pub(super) y: f64,
    pub(super) height: f64,
}

/// Everything placed: the boxes first, by their numbers, then the points.
#[derive(Debug)]
pub(super) struct Layout {
    pub(super) places: Vec<Place>,
    /// Per arrow the places on its way, from its first to its last.
    pub(super) ways: Vec<Vec<usize>>,
    pub(super) layers: usize,
}

/// What is to be laid out.
#[derive(Debug)]
pub(super) struct Input<'a> {
    /// The height of each box.
    pub(super) heights: &'a [f64],
    /// Arrows between boxes; they go from a box to a later one.
    pub(super) arrows: &'a [(usize, usize)],
    /// Boxes that stand in the last layer.
    pub(super) is_last: &'a [bool],
    /// Between two places of a layer.
    pub(super) gap: f64,
}

const SWEEPS: usize = 12;
/// The height of a point.
const POINT_HEIGHT: f64 = 6.0;

/// Lays out.
pub(super) fn layout(input: &Input<'_>) -> Layout {
    let layers = layers(input);
    let count = layers.iter().copied().max().map_or(0, |last| last + 1);
    let mut places: Vec<Place> = layers
        .iter()
        .zip(input.heights)
        .map(|(layer, height)| Place { layer: *layer, y: 0.0, height: *height })
        .collect();
    let mut ways = Vec::new();
    for (from, to) in input.arrows {
        let (first, last) = (layer_of(&places, *from), layer_of(&places, *to));
        let mut way = vec![*from];
        for layer in first + 1..last {
            way.push(places.len());
            places.push(Place { layer, y: 0.0, height: POINT_HEIGHT });
        }
        way.push(*to);
        ways.push(way);
    }
    let mut rows: Vec<Vec<usize>> = vec![Vec::new(); count];
    for (at, place) in places.iter().enumerate() {
        if let Some(row) = rows.get_mut(place.layer) {
            row.push(at);
        }
    }
    let neighbours = Neighbours::new(places.len(), &ways);
    untangle(&mut rows, &neighbours);
    settle(&mut places, &rows, &neighbours, input.gap);
    Layout { places, ways, layers: count }
}

fn layer_of(places: &[Place], at: usize) -> usize {
    places.get(at).map_or(0, |place| place.layer)
}

/// Puts each box one layer behind the last that it reads from.
fn layers(input: &Input<'_>) -> Vec<usize> {
    let mut layers = vec![0_usize; input.heights.len()];
    // Sources stand before operators, operators in their order: by their last ends, one pass do.
    let mut arrows: Vec<_> = input.arrows.to_vec();
    arrows.sort_by_key(|(from, to)| (*to, *from));
    for (from, to) in arrows {
        let behind = layers.get(from).map_or(0, |layer| layer + 1);
        if let Some(layer) = layers.get_mut(to) {
            *layer = (*layer).max(behind);
        }
    }
    let last = layers.iter().copied().max().unwrap_or_default();
    for (layer, is_last) in layers.iter_mut().zip(input.is_last) {
        if *is_last {
            *layer = last;
        }
    }
    layers
}

/// Who is joined to whom, to the left and to the right.
struct Neighbours {
    left: Vec<Vec<usize>>,
    right: Vec<Vec<usize>>,
}

impl Neighbours {
    fn new(count: usize, ways: &[Vec<usize>]) -> Self {
        let (mut left, mut right) = (vec![Vec::new(); count], vec![Vec::new(); count]);
        for way in ways {
            for (from, to) in way.iter().zip(way.iter().skip(1)) {
                if let Some(list) = left.get_mut(*to) {
                    list.push(*from);
                }
                if let Some(list) = right.get_mut(*from) {
                    list.push(*to);
                }
            }
        }
        Self { left, right }
    }
}

#[expect(clippy::cast_precision_loss, reason = "a position in a picture")]
fn mean(values: impl Iterator<Item = f64>) -> Option<f64> {
    let (sum, count) = values.fold((0.0, 0_usize), |(sum, count), v| (sum + v, count + 1));
    (count > 0).then(|| sum / count as f64)
}

/// Orders each layer by the mean position of its neighbours, back and forth, and keeps the order
/// with the fewest crossings.
#[expect(clippy::cast_precision_loss, reason = "a position in a picture")]
fn untangle(rows: &mut Vec<Vec<usize>>, neighbours: &Neighbours) {
    let mut best = (crossings(rows, neighbours), rows.clone());
    for sweep in 0..SWEEPS {
        let forward = sweep % 2 == 0;
        let order: Vec<usize> =
            if forward { (0..rows.len()).collect() } else { (0..rows.len()).rev().collect() };
        for layer in order {
            let ranks = ranks(rows);
            let side = if forward { &neighbours.left } else { &neighbours.right };
            let Some(row) = rows.get_mut(layer) else { continue };
            let weight = |at: usize, rank: usize| {
                let of = side.get(at).into_iter().flatten();
                mean(of.filter_map(|n| ranks.get(*n)).map(|rank| *rank as f64))
                    .unwrap_or(rank as f64)
            };
            let mut weighed: Vec<_> =
                row.iter().enumerate().map(|(rank, at)| (weight(*at, rank), *at)).collect();
            weighed.sort_by(|a, b| a.0.total_cmp(&b.0));
            *row = weighed.into_iter().map(|(_, at)| at).collect();
        }
        let found = crossings(rows, neighbours);
        if found < best.0 {
            best = (found, rows.clone());
        }
    }
    *rows = best.1;
    swap(rows, neighbours, best.0);
}

/// Beyond so many places the last crossings are not worth the time.
const SWAP_PLACES_MAX: usize = 200;

/// Swaps two that stand side by side wherever that takes a crossing away.
fn swap(rows: &mut [Vec<usize>], neighbours: &Neighbours, mut least: usize) {
    if rows.iter().map(Vec::len).sum::<usize>() > SWAP_PLACES_MAX {
        return;
    }
    for _ in 0..SWEEPS {
        let before = least;
        for layer in 0..rows.len() {
            for at in 1..rows.get(layer).map_or(0, Vec::len) {
                if let Some(row) = rows.get_mut(layer) {
                    row.swap(at - 1, at);
                }
                let found = crossings(rows, neighbours);
                if found < least {
                    least = found;
                } else if let Some(row) = rows.get_mut(layer) {
                    row.swap(at - 1, at);
                }
            }
        }
        if least == before {
            break;
        }
    }
}

/// Gives the position of each place in its layer.
fn ranks(rows: &[Vec<usize>]) -> Vec<usize> {
    let count = rows.iter().flatten().copied().max().map_or(0, |most| most + 1);
    let mut ranks = vec![0; count];
    for row in rows {
        for (rank, at) in row.iter().enumerate() {
            if let Some(slot) = ranks.get_mut(*at) {
                *slot = rank;
            }
        }
    }
    ranks
}

fn crossings(rows: &[Vec<usize>], neighbours: &Neighbours) -> usize {
    let ranks = ranks(rows);
    let rank = |at: &usize| ranks.get(*at).copied().unwrap_or_default();
    let mut crossings = 0;
    for row in rows {
        // In the order of the left ends, every later arrow with a lesser right end crosses.
        let mut ends: Vec<usize> = Vec::new();
        for at in row {
            let mut right: Vec<_> =
                neighbours.right.get(*at).into_iter().flatten().map(rank).collect();
            right.sort_unstable();
            crossings +=
                right.iter().map(|end| ends.iter().filter(|e| *e > end).count()).sum::<usize>();
            ends.extend(right);
        }
    }
    crossings
}

/// Moves places as near to the mean of their neighbours as their order and the gap allow.
fn settle(places: &mut [Place], rows: &[Vec<usize>], neighbours: &Neighbours, gap: f64) {
    for row in rows {
        let mut top = 0.0;
        for at in row {
            if let Some(place) = places.get_mut(*at) {
                place.y = top + place.height / 2.0;
                top += place.height + gap;
            }
        }
    }
    for sweep in 0..SWEEPS {
        let order: Vec<&Vec<usize>> =
            if sweep % 2 == 0 { rows.iter().collect() } else { rows.iter().rev().collect() };
        for row in order {
            let wishes: Vec<f64> = row.iter().map(|at| wish(places, neighbours, *at)).collect();
            let heights: Vec<f64> =
                row.iter().map(|at| places.get(*at).map_or(0.0, |p| p.height)).collect();
            let settled = spread(&wishes, &heights, gap);
            for (at, y) in row.iter().zip(settled) {
                if let Some(place) = places.get_mut(*at) {
                    place.y = y;
                }
            }
        }
    }
    let top = places.iter().map(|p| p.y - p.height / 2.0).fold(f64::INFINITY, f64::min);
    for place in places {
        place.y -= top;
    }
}

fn wish(places: &[Place], neighbours: &Neighbours, at: usize) -> f64 {
    let of = |side: &[Vec<usize>]| side.get(at).cloned().unwrap_or_default();
    let all = of(&neighbours.left).into_iter().chain(of(&neighbours.right));
    let own = places.get(at).map_or(0.0, |place| place.y);
    mean(all.filter_map(|n| places.get(n)).map(|place| place.y)).unwrap_or(own)
}

/// Places a row as near to its wishes as the heights allow (least squares): blocks that would
/// overlap are joined and share the mean of what they wish.
fn spread(wishes: &[f64], heights: &[f64], gap: f64) -> Vec<f64> {
    // Without the room that those before need, a wish is a number that may not fall.
    let mut offset = 0.0;
    let mut offsets = Vec::new();
    for height in heights {
        offsets.push(offset + height / 2.0);
        offset += height + gap;
    }
    let mut blocks: Vec<(f64, f64)> = Vec::new();
    for (wish, offset) in wishes.iter().zip(&offsets) {
        let mut block = (wish - offset, 1.0);
        while let Some((mean, count)) = blocks.last().copied() {
            if mean <= block.0 {
                break;
            }
            let whole = count + block.1;
            block = ((mean * count + block.0 * block.1) / whole, whole);
            blocks.pop();
        }
        blocks.push(block);
    }
    let mut settled = Vec::new();
    let mut offsets = offsets.into_iter();
    for (mean, mut count) in blocks {
        while count > 0.5 {
            settled.extend(offsets.next().map(|offset| mean + offset));
            count -= 1.0;
        }
    }
    settled
}

#[cfg(test)]
mod tests {
    use super::{Input, layout, spread};

    #[test]
    fn places_of_a_layer_never_overlap_and_stand_where_they_wish_if_there_is_room() {
        assert_eq!(spread(&[10.0, 50.0], &[10.0, 10.0], 5.0), [10.0, 50.0]);
        assert_eq!(spread(&[20.0, 20.0], &[10.0, 10.0], 5.0), [12.5, 27.5]);
    }

    #[test]
    fn two_arrows_that_cross_in_the_file_do_not_cross_in_the_picture() {
        let input = Input {
            heights: &[10.0; 4],
            arrows: &[(0, 3), (1, 2)],
            is_last: &[false, false, true, true],
            gap: 5.0,
        };
        let places = layout(&input).places;
        assert_eq!(places[0].y < places[1].y, places[3].y < places[2].y);
    }

    #[test]
    fn an_arrow_over_several_layers_has_a_point_in_each() {
        let input = Input {
            heights: &[10.0; 4],
            arrows: &[(0, 1), (1, 2), (2, 3), (0, 3)],
            is_last: &[false, false, false, true],
            gap: 5.0,
        };
        let layout = layout(&input);
        assert_eq!(layout.layers, 4);
        assert_eq!(layout.ways[3].len(), 4);
    }
}
