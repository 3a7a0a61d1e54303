//! Stop loss and take profit of a copy.

use proto::decimal::Price;
use proto::specification::Specification;

/// Stop loss and take profit; an absent one is none.
pub type Stops = (Option<Price>, Option<Price>);

/// Gives the follower's stops: the leader's, and with `is_turned` each in the place of the other.
/// What limits the loss of one side is where the other side wins. They are rounded to the digits of
/// the follower's instrument, to the nearest point, from the middle away from zero.
pub fn mirrored(leader: Stops, is_turned: bool, specification: &Specification) -> Stops {
    let (stop_loss, take_profit) = if is_turned { (leader.1, leader.0) } else { leader };
    let round = |price: Option<Price>| nearest(price?, specification.point());
    (round(stop_loss), round(take_profit))
}

/// None where nothing is left of it, since a price of zero stands for none.
fn nearest(price: Price, point: i64) -> Option<Price> {
    let half = if price < Price::ZERO { -point / 2 } else { point / 2 };
    let rounded = (price.units() + half) / point * point;
    (rounded != 0).then_some(Price::from_units(rounded))
}

#[cfg(test)]
mod tests {
    use super::nearest;
    use proto::decimal::Price;

    #[test]
    fn a_stop_is_rounded_to_the_nearest_point() {
        for (price, digits, rounded) in [
            ("1.17345", 5, "1.17345"),
            ("1.173455", 5, "1.17346"),
            ("1.173454999", 5, "1.17345"),
            ("-37.635", 2, "-37.64"),
            ("24921.5", 0, "24922"),
            ("1.123456789", 9, "1.123456789"),
        ] {
            let price: Price = price.parse().unwrap();
            let point = 10_i64.pow(9 - digits);
            assert_eq!(nearest(price, point).unwrap().to_string(), rounded);
        }
        assert_eq!(nearest("0.4".parse().unwrap(), 1_000_000_000), None);
    }
}
