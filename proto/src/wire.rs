//! The types that prost makes of the schemas. They stay in this crate.
#![expect(unreachable_pub, reason = "prost writes `pub` whatever the module")]
#![cfg_attr(not(test), expect(dead_code, reason = "ticks are read and written by hand"))]

include!(concat!(env!("OUT_DIR"), "/tapeflow.v1.rs"));
