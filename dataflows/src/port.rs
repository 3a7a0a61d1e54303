//! Ports: an edge of the graph under construction, typed by its kind and opened once at wiring.

use timely::dataflow::StreamVec;

use crate::batch::Batch;
use crate::kind::{Kind, each_kind};
use crate::moment::Epoch;

/// A stream of batches of `T`.
pub type Edge<'scope, T> = StreamVec<'scope, Epoch, Batch<T>>;

macro_rules! port {
    ($($kind:ident: $type:ty,)*) => {
        /// An edge of any kind.
        #[derive(Clone)]
        pub enum Port<'scope> {
            $(
                #[doc = concat!("Of [`", stringify!($type), "`].")]
                $kind(Edge<'scope, $type>),
            )*
        }

        impl Port<'_> {
            /// Tells what it carries.
            pub const fn kind(&self) -> Kind {
                match self {
                    $(Self::$kind(_) => Kind::$kind,)*
                }
            }
        }

        $(
            impl<'scope> TryFrom<Port<'scope>> for Edge<'scope, $type> {
                type Error = Kind;
                fn try_from(port: Port<'scope>) -> Result<Self, Kind> {
                    if let Port::$kind(edge) = port { Ok(edge) } else { Err(port.kind()) }
                }
            }
        )*
    };
}

each_kind!(port);

impl std::fmt::Debug for Port<'_> {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "Port({})", self.kind())
    }
}
