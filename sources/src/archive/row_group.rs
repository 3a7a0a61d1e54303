//! One row group: its compressed bytes in memory, with no file kept open, and its decoder.

use std::fs::File;
use std::io::{Cursor, Read, Seek, SeekFrom};
use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

use arrow::array::ArrayRef;
use bytes::Bytes;
use dataflows::fault::Fault;
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::{
    ArrowReaderMetadata, ParquetRecordBatchReader, ParquetRecordBatchReaderBuilder,
};
use parquet::errors::ParquetError;
use parquet::file::reader::{ChunkReader, Length};

use super::plan::Opened;

/// How many rows of a lone column are read at once.
const COLUMN_BATCH: usize = 32_768;

/// The bytes of some column chunks of a file.
#[derive(Debug)]
struct Chunks {
    file_length: u64,
    chunks: Vec<(Range<u64>, Bytes)>,
}

impl Chunks {
    /// Reads the columns of `mask`; neighbours in one go.
    fn read(
        path: &Path,
        metadata: &ArrowReaderMetadata,
        group: usize,
        mask: &ProjectionMask,
    ) -> Result<Self, Fault> {
        let mut file = File::open(path).map_err(|error| Fault::file(path, error))?;
        let file_length = file.metadata().map_err(|error| Fault::file(path, error))?.len();
        let mut ranges: Vec<Range<u64>> = Vec::new();
        let columns = metadata.metadata().row_group(group).columns().iter().enumerate();
        for (_, column) in columns.filter(|(leaf, _)| mask.leaf_included(*leaf)) {
            let start = column.dictionary_page_offset().unwrap_or(column.data_page_offset());
            let start = start.min(column.data_page_offset());
            let (start, length) = (u64::try_from(start), u64::try_from(column.compressed_size()));
            let end = start.ok().zip(length.ok()).and_then(|(s, l)| Some((s, s.checked_add(l)?)));
            let Some((start, end)) = end.filter(|(_, end)| *end <= file_length) else {
                return Err(Fault::file(
                    path,
                    format!(
                        "row group {group}: column `{}` should lie at byte {}, {} bytes long, but \
                         the file has {file_length} bytes; it is damaged: write it again, or take \
                         it out of the path",
                        column.column_path().string(),
                        column.data_page_offset(),
                        column.compressed_size(),
                    ),
                ));
            };
            match ranges.last_mut() {
                Some(last) if last.end == start => last.end = end,
                _ => ranges.push(start..end),
            }
        }
        let mut chunks = Vec::with_capacity(ranges.len());
        for range in ranges {
            let length = usize::try_from(range.end - range.start).unwrap_or(usize::MAX);
            let mut buffer = vec![0; length];
            let read = file
                .seek(SeekFrom::Start(range.start))
                .and_then(|_| file.read_exact(&mut buffer))
                .map_err(|error| {
                    Fault::file(path, format!("row group {group}, byte {}: {error}", range.start))
                });
            read?;
            chunks.push((range, Bytes::from(buffer)));
        }
        Ok(Self { file_length, chunks })
    }

    fn from(&self, start: u64) -> Result<Bytes, ParquetError> {
        let outside =
            || ParquetError::EOF(format!("byte {start} is outside of the column's pages"));
        let (range, bytes) =
            self.chunks.iter().find(|(range, _)| range.contains(&start)).ok_or_else(outside)?;
        let skip = usize::try_from(start - range.start).map_err(|_| outside())?;
        Ok(bytes.slice(skip..))
    }
}

impl Length for Chunks {
    fn len(&self) -> u64 {
        self.file_length
    }
}

impl ChunkReader for Chunks {
    type T = Cursor<Bytes>;

    fn get_read(&self, start: u64) -> Result<Self::T, ParquetError> {
        Ok(Cursor::new(self.from(start)?))
    }

    fn get_bytes(&self, start: u64, length: usize) -> Result<Bytes, ParquetError> {
        let bytes = self.from(start)?;
        if bytes.len() < length {
            return Err(ParquetError::EOF(format!(
                "a page at byte {start} should have {length} bytes, {} are left",
                bytes.len()
            )));
        }
        Ok(bytes.slice(..length))
    }
}

/// Opens a row group for the columns at `places`, behind `skip` rows.
///
/// # Errors
/// When the file cannot be read or is damaged.
pub(super) fn open(
    path: &Path,
    opened: &Opened,
    group: usize,
    places: Vec<usize>,
    (batch, skip): (usize, usize),
) -> Result<ParquetRecordBatchReader, Fault> {
    let metadata = &opened.metadata;
    let mask = ProjectionMask::roots(metadata.parquet_schema(), places);
    let chunks = Chunks::read(path, metadata, group, &mask)?;
    guarded(|| {
        let builder = ParquetRecordBatchReaderBuilder::new_with_metadata(chunks, metadata.clone())
            .with_row_groups(vec![group])
            .with_projection(mask)
            .with_batch_size(batch);
        if skip > 0 { builder.with_offset(skip).build() } else { builder.build() }
    })
    .map_err(|error| damaged(path, group, &error))
}

/// Reads one column of a row group.
///
/// # Errors
/// See [`open`].
pub(super) fn read_column(
    path: &Path,
    opened: &Opened,
    group: usize,
    place: usize,
) -> Result<Vec<ArrayRef>, Fault> {
    let mut reader = open(path, opened, group, vec![place], (COLUMN_BATCH, 0))?;
    let mut arrays = Vec::new();
    while let Some(batch) =
        guarded(|| reader.next().transpose()).map_err(|error| damaged(path, group, &error))?
    {
        arrays.extend(batch.columns().first().cloned());
    }
    Ok(arrays)
}

/// Makes the fault of a row group that cannot be decoded.
pub(super) fn damaged(path: &Path, group: usize, error: &impl ToString) -> Fault {
    Fault::file(
        path,
        format!(
            "row group {group} cannot be decoded: {}; the file is damaged: write it again, or take \
             it out of the path",
            error.to_string()
        ),
    )
}

/// Runs a decoder on bytes that may be damaged: if it panics, that is an error, too.
///
/// # Errors
/// Those of `work`, and its panics.
pub(super) fn guarded<T, E: ToString>(work: impl FnOnce() -> Result<T, E>) -> Result<T, String> {
    match catch_unwind(AssertUnwindSafe(work)) {
        Ok(Ok(done)) => Ok(done),
        Ok(Err(error)) => Err(error.to_string()),
        Err(panic) => {
            let text = panic.downcast_ref::<String>().map(String::as_str);
            let text = text.or_else(|| panic.downcast_ref::<&str>().copied());
            Err(format!("the bytes make no sense ({})", text.unwrap_or("the decoder gave up")))
        }
    }
}
