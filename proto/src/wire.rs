//! The types that prost makes of the schemas. They stay in this crate.
#![expect(unreachable_pub, reason = "prost writes `pub` whatever the module")]

include!(concat!(env!("OUT_DIR"), "/tapeflow.v1.rs"));
