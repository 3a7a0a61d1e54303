//! Where the source stands: behind a delivery of a connection, or at an offset of a stream.

use dataflows::component::source::Position;
use dataflows::fault::Fault;

/// A place in a queue or a stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    /// Nothing was read yet.
    Start,
    /// Everything up to this delivery of this connection was handed in.
    Delivery {
        /// The number of the connection.
        generation: u64,
        /// The tag on it.
        tag: u64,
    },
    /// Everything before this offset was handed in.
    Offset(u64),
}

const DELIVERY: u8 = 1;
const OFFSET: u8 = 2;

impl Place {
    pub(super) fn write(self) -> Position {
        let mut bytes = Vec::with_capacity(17);
        match self {
            Self::Start => {}
            Self::Delivery { generation, tag } => {
                bytes.push(DELIVERY);
                bytes.extend(generation.to_le_bytes());
                bytes.extend(tag.to_le_bytes());
            }
            Self::Offset(offset) => {
                bytes.push(OFFSET);
                bytes.extend(offset.to_le_bytes());
            }
        }
        Position(bytes)
    }

    pub(super) fn read(position: &Position) -> Result<Self, Fault> {
        let wrong = || Fault::defect("the source `amqp`", "a position that it did not write");
        let number = |bytes: &[u8]| bytes.try_into().map(u64::from_le_bytes).map_err(|_| wrong());
        match position.0.split_first() {
            None => Ok(Self::Start),
            Some((&DELIVERY, rest)) if rest.len() == 16 => {
                let (generation, tag) = rest.split_at(8);
                Ok(Self::Delivery { generation: number(generation)?, tag: number(tag)? })
            }
            Some((&OFFSET, rest)) => Ok(Self::Offset(number(rest)?)),
            Some(_) => Err(wrong()),
        }
    }
}

#[cfg(test)]
mod tests {
    use dataflows::component::source::Position;

    use super::Place;

    #[test]
    fn places_come_back_and_foreign_bytes_are_refused() {
        for place in
            [Place::Start, Place::Delivery { generation: 3, tag: u64::MAX }, Place::Offset(1 << 40)]
        {
            assert_eq!(Place::read(&place.write()).unwrap(), place);
        }
        for bytes in [vec![1], vec![1; 16], vec![2; 10], vec![9; 17]] {
            assert!(Place::read(&Position(bytes)).is_err());
        }
    }
}
