//! Machines: what an operator is once timely, threads and clocks are taken away.
//!
//! A machine is handed the batches of an epoch, then the epoch's [`Moment`]; epochs come strictly
//! in order, each only when all of its input is there. What it emits may depend on the order of
//! records within one series (which is the order of the source), and on nothing else that batching
//! or the number of workers could change.

use std::fmt;

use proto::candle::Candle;
use proto::feed_status::FeedStatus;
use proto::payload::Payload;
use proto::reject::Reject;
use proto::series::KeyGroup;
use proto::tick::Tick;

use crate::batch::{Record, Rows};
use crate::fault::Fault;
use crate::kind::{Kind, each_kind};
use crate::moment::Moment;

/// Where a machine puts what it makes: one run of rows per output, by the output's number.
#[derive(Debug)]
pub struct Emit {
    outputs: Vec<Rows>,
    /// By output: room that a run of candles starts with, by the length of the one before, so that
    /// a steady stream is written in place instead of being moved as it grows.
    room: Vec<usize>,
}

impl Emit {
    /// Makes empty runs of these kinds.
    pub fn new(kinds: &[Kind]) -> Self {
        let outputs = kinds.iter().map(|kind| Rows::empty(*kind)).collect();
        Self { outputs, room: vec![0; kinds.len()] }
    }

    /// The run of ticks of output `number`.
    ///
    /// # Panics
    /// When the output is not there or carries something else: a mistake in the operator.
    #[expect(clippy::panic, reason = "an operator's own table of outputs decides, no input can")]
    pub fn ticks(&mut self, number: usize) -> &mut Vec<Tick> {
        match self.outputs.get_mut(number) {
            Some(Rows::Ticks(rows)) => rows,
            other => panic!("output {number} carries {:?}, not ticks", other.map(|o| o.kind())),
        }
    }

    /// The run of candles of output `number`.
    ///
    /// # Panics
    /// When the output is not there or carries something else: a mistake in the operator.
    #[expect(clippy::panic, reason = "an operator's own table of outputs decides, no input can")]
    #[inline]
    pub fn candles(&mut self, number: usize) -> &mut Vec<Candle> {
        match self.outputs.get_mut(number) {
            Some(Rows::Candles(rows)) => {
                if rows.capacity() == 0 {
                    *rows = Candle::spare().take(self.room.get(number).copied().unwrap_or(0));
                }
                rows
            }
            other => panic!("output {number} carries {:?}, not candles", other.map(|o| o.kind())),
        }
    }

    /// The run of rejects of output `number`.
    ///
    /// # Panics
    /// When the output is not there or carries something else: a mistake in the operator.
    #[expect(clippy::panic, reason = "an operator's own table of outputs decides, no input can")]
    pub fn rejects(&mut self, number: usize) -> &mut Vec<Reject> {
        match self.outputs.get_mut(number) {
            Some(Rows::Rejects(rows)) => rows,
            other => panic!("output {number} carries {:?}, not rejects", other.map(|o| o.kind())),
        }
    }

    /// The run of payloads of output `number`.
    ///
    /// # Panics
    /// When the output is not there or carries something else: a mistake in the operator.
    #[expect(clippy::panic, reason = "an operator's own table of outputs decides, no input can")]
    pub fn payloads(&mut self, number: usize) -> &mut Vec<Payload> {
        match self.outputs.get_mut(number) {
            Some(Rows::Payloads(rows)) => rows,
            other => panic!("output {number} carries {:?}, not payloads", other.map(|o| o.kind())),
        }
    }

    /// The run of statuses of output `number`.
    ///
    /// # Panics
    /// When the output is not there or carries something else: a mistake in the operator.
    #[expect(clippy::panic, reason = "an operator's own table of outputs decides, no input can")]
    pub fn statuses(&mut self, number: usize) -> &mut Vec<FeedStatus> {
        match self.outputs.get_mut(number) {
            Some(Rows::Statuses(rows)) => rows,
            other => panic!("output {number} carries {:?}, not statuses", other.map(|o| o.kind())),
        }
    }

    /// Takes what output `number` has, leaving it empty.
    pub fn take(&mut self, number: usize) -> Rows {
        self.outputs.get_mut(number).map_or(Rows::Rejects(Vec::new()), |rows| {
            if let Some(room) = self.room.get_mut(number) {
                *room = rows.len() + rows.len() / 8;
            }
            let kind = rows.kind();
            std::mem::replace(rows, Rows::empty(kind))
        })
    }

    /// How many outputs there are.
    pub fn outputs(&self) -> usize {
        self.outputs.len()
    }
}

/// A deterministic state machine over records of type `T`, whose state is cut into key groups.
pub trait Machine<T>: Send {
    /// Takes records of the epoch under way. May leave anything in `rows` (the buffer is dropped
    /// or reused), and may take the whole vector to pass it on.
    fn apply(&mut self, rows: &mut Vec<T>, emit: &mut Emit);
    /// The epoch closes: all of its records have been applied.
    fn seal(&mut self, moment: &Moment, emit: &mut Emit);
    /// The version of the layout that [`Machine::snapshot`] writes.
    fn state_version(&self) -> u16;
    /// Appends the state of one key group, after the last sealed epoch; nothing if it is empty.
    /// Series are written by name. The same state gives the same bytes.
    ///
    /// # Errors
    /// When it cannot be encoded.
    fn snapshot(&self, group: KeyGroup, out: &mut Vec<u8>) -> Result<(), Fault>;
    /// Takes over the state of one key group, before any record, whichever worker wrote it.
    ///
    /// # Errors
    /// When the bytes are not what `snapshot` of that version wrote.
    fn restore(&mut self, group: KeyGroup, version: u16, bytes: &[u8]) -> Result<(), Fault>;
}

macro_rules! any_machine {
    ($($kind:ident: $type:ty,)*) => {
        /// A machine over any kind of record, as definitions hand it to the engine.
        pub enum AnyMachine {
            $(
                #[doc = concat!("Over [`", stringify!($type), "`].")]
                $kind(Box<dyn Machine<$type>>),
            )*
        }

        impl AnyMachine {
            /// Tells what it takes.
            pub const fn kind(&self) -> Kind {
                match self {
                    $(Self::$kind(_) => Kind::$kind,)*
                }
            }

            /// As [`Machine::restore`].
            ///
            /// # Errors
            /// As the machine says.
            pub fn restore(
                &mut self,
                group: KeyGroup,
                version: u16,
                bytes: &[u8],
            ) -> Result<(), Fault> {
                match self {
                    $(Self::$kind(machine) => machine.restore(group, version, bytes),)*
                }
            }
        }
    };
}

each_kind!(any_machine);

impl fmt::Debug for AnyMachine {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "Machine({})", self.kind())
    }
}
