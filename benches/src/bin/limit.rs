//! limit TICKS CANDLES OUT: the floor under a backfill.
//!
//! Decodes the columns that the backfill reads and throws them away, then encodes the candles that it
//! wrote (reading them is not counted), with the product's reader and writer settings; nothing between.
//! Prints `{"cpu": s, "wall": s}` and its two parts.
#![expect(clippy::print_stdout, reason = "a benchmark prints its figures")]

use std::error::Error;
use std::fs::{self, File};
use std::io::BufWriter;
use std::path::{Path, PathBuf};
use std::thread;

use benches::meter::Meter;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use parquet::arrow::arrow_writer::ArrowWriterOptions;
use parquet::arrow::{ArrowWriter, ProjectionMask};
use proto::candle::Candle;
use proto::columns::Names;
use proto::columns::{Detail, candle_schema, candles_of_batch, candles_to_batch};
use proto::series::SeriesTable;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

type Outcome<T> = Result<T, Box<dyn Error + Send + Sync>>;

fn main() -> Outcome<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [ticks, candles, out] = arguments.as_slice() else {
        return Err("expected TICKS CANDLES OUT".into());
    };
    let meter = Meter::start();
    on_two_threads(files(Path::new(ticks))?, |file| decode(file))?;
    let decoded = meter.read();

    let table = SeriesTable::new();
    let mut sets = Vec::new();
    for (number, file) in files(Path::new(candles))?.into_iter().enumerate() {
        sets.push((Path::new(out).join(format!("{number}.parquet")), read(&file, &table)?));
    }
    fs::create_dir_all(out)?;
    let meter = Meter::start();
    on_two_threads(sets, |(file, candles)| encode(file, candles, &table))?;
    let encoded = meter.read();
    let [cpu, wall] = [decoded.cpu + encoded.cpu, decoded.wall + encoded.wall];
    println!(
        "{{\"cpu\": {cpu:.3}, \"wall\": {wall:.3}, \"decode\": {:.3}, \"encode\": {:.3}}}",
        decoded.cpu, encoded.cpu
    );
    Ok(())
}

fn on_two_threads<T: Send>(items: Vec<T>, work: impl Fn(&T) -> Outcome<()> + Sync) -> Outcome<()> {
    let (one, two): (Vec<_>, Vec<_>) = items.into_iter().enumerate().partition(|(n, _)| n % 2 == 0);
    let go = |items: Vec<(usize, T)>| items.iter().try_for_each(|(_, item)| work(item));
    thread::scope(|scope| {
        let other = scope.spawn(|| go(two));
        go(one)?;
        other.join().map_err(|_| "a panic")?
    })
}

fn files(folder: &Path) -> Outcome<Vec<PathBuf>> {
    let mut found = Vec::new();
    let mut folders = vec![folder.to_path_buf()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder)? {
            let path = entry?.path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "parquet") {
                found.push(path);
            }
        }
    }
    found.sort();
    Ok(found)
}

fn decode(file: &Path) -> Outcome<()> {
    let builder = ParquetRecordBatchReaderBuilder::try_new(File::open(file)?)?;
    let wanted = ["source", "instrument", "ts", "bid", "volume"];
    let mask = ProjectionMask::columns(builder.parquet_schema(), wanted);
    let mut rows = 0;
    for batch in builder.with_projection(mask).with_batch_size(8_192).build()? {
        rows += batch?.num_rows();
    }
    if rows == 0 { Err("no rows".into()) } else { Ok(()) }
}

fn read(file: &Path, table: &SeriesTable) -> Outcome<Vec<Candle>> {
    let builder = ParquetRecordBatchReaderBuilder::try_new(File::open(file)?)?;
    let mut candles = Vec::new();
    for batch in builder.with_batch_size(65_536).build()? {
        candles.extend(candles_of_batch(&batch?, table)?);
    }
    Ok(candles)
}

fn encode(file: &Path, candles: &[Candle], table: &SeriesTable) -> Outcome<()> {
    let mut names = Names::new(table.clone());
    names.refresh();
    let options = ArrowWriterOptions::new()
        .with_properties(sinks::archive::writer_properties())
        .with_skip_arrow_metadata(true);
    let to = BufWriter::new(File::create(file)?);
    let mut writer = ArrowWriter::try_new_with_options(to, candle_schema(Detail::Prices), options)?;
    for rows in candles.chunks(8_192) {
        writer.write(&candles_to_batch(&[rows], &names, Detail::Prices)?)?;
    }
    writer.close()?;
    Ok(())
}
