//! Columns of words, run by run.
//!
//! Rows of a file come series by series, so that a column of words is a few long runs. Parquet's own
//! writer looks every row's word up in a hash table; here the runs go straight into a dictionary page
//! and one data page of run lengths. The bytes depend on the rows alone, not on how they were cut.

use std::collections::BTreeMap;

use arrow::array::{Array, ArrayRef, AsArray};
use arrow::datatypes::{DataType, Field, Int32Type};
use bytes::Bytes;
use parquet::basic::{Compression, Encoding};
use parquet::column::page::{CompressedPage, Page, PageWriter};
use parquet::column::writer::ColumnCloseResult;
use parquet::data_type::ByteArray;
use parquet::errors::{ParquetError, Result};
use parquet::file::metadata::{ColumnChunkMetaData, OffsetIndexBuilder};
use parquet::file::statistics::Statistics;
use parquet::file::writer::{SerializedPageWriter, TrackedWrite};
use parquet::schema::types::ColumnDescPtr;

/// The words of one row group.
#[derive(Debug)]
pub(super) struct Words {
    column: ColumnDescPtr,
    has_statistics: bool,
    /// In the order in which they were met.
    words: Vec<String>,
    numbers: BTreeMap<String, u32>,
    /// (word, rows)
    runs: Vec<(u32, u64)>,
    rows: u64,
    /// What the keys of the last array stand for, if they were met.
    known: Vec<Option<u32>>,
    values: Option<ArrayRef>,
}

/// Tells whether a column can be written by [`Words`].
pub(super) fn are_words(field: &Field) -> bool {
    let key = |kind: &DataType| *kind == DataType::Int32;
    let word = |kind: &DataType| *kind == DataType::Utf8;
    let kind = field.data_type();
    !field.is_nullable() && matches!(kind, DataType::Dictionary(k, w) if key(k) && word(w))
}

impl Words {
    /// Starts a column.
    pub(super) const fn new(column: ColumnDescPtr, has_statistics: bool) -> Self {
        Self {
            column,
            has_statistics,
            words: Vec::new(),
            numbers: BTreeMap::new(),
            runs: Vec::new(),
            rows: 0,
            known: Vec::new(),
            values: None,
        }
    }

    /// Adds the rows of an array.
    pub(super) fn push(&mut self, array: &ArrayRef) -> Result<()> {
        let none = || ParquetError::General("expected words without nulls".to_owned());
        let array = array.as_dictionary_opt::<Int32Type>().ok_or_else(none)?;
        if array.null_count() > 0 {
            return Err(none());
        }
        if !self
            .values
            .as_ref()
            .is_some_and(|values| std::ptr::addr_eq(&**values, &**array.values()))
        {
            self.values = Some(array.values().clone());
            self.known.clear();
            self.known.resize(array.values().len(), None);
        }
        let words = array.values().as_string_opt::<i32>().ok_or_else(none)?;
        let mut known = std::mem::take(&mut self.known);
        for run in array.keys().values().chunk_by(|left, right| left == right) {
            let key = run.first().and_then(|key| usize::try_from(*key).ok()).ok_or_else(none)?;
            let known = known.get_mut(key).ok_or_else(none)?;
            let word = match *known {
                Some(word) => word,
                None => *known.insert(self.number(words.value(key))?),
            };
            let rows = run.len() as u64;
            self.rows += rows;
            match self.runs.last_mut() {
                Some((last, count)) if *last == word => *count += rows,
                _ => self.runs.push((word, rows)),
            }
        }
        self.known = known;
        Ok(())
    }

    /// Arrays bring dictionaries of their own, so a word may have another key than before.
    fn number(&mut self, word: &str) -> Result<u32> {
        if let Some(number) = self.numbers.get(word) {
            return Ok(*number);
        }
        let number = u32::try_from(self.words.len())?;
        self.words.push(word.to_owned());
        self.numbers.insert(word.to_owned(), number);
        Ok(number)
    }

    /// Gives the column's bytes and what the footer says of them.
    pub(super) fn finish(self) -> Result<(Bytes, ColumnCloseResult)> {
        let rows = u32::try_from(self.rows)?;
        let mut sink = TrackedWrite::new(Vec::new());
        let mut pages = SerializedPageWriter::new(&mut sink);
        let dictionary = pages.write_page(whole(Page::DictionaryPage {
            buf: self.dictionary().into(),
            num_values: u32::try_from(self.words.len())?,
            encoding: Encoding::PLAIN,
            is_sorted: false,
        }))?;
        let data = pages.write_page(whole(Page::DataPage {
            buf: self.lengths().into(),
            num_values: rows,
            encoding: Encoding::RLE_DICTIONARY,
            def_level_encoding: Encoding::RLE,
            rep_level_encoding: Encoding::RLE,
            statistics: None,
        }))?;
        pages.close()?;
        let mut builder = ColumnChunkMetaData::builder(self.column.clone())
            .set_encodings(vec![Encoding::PLAIN, Encoding::RLE, Encoding::RLE_DICTIONARY])
            .set_compression(Compression::UNCOMPRESSED)
            .set_num_values(i64::from(rows))
            .set_total_compressed_size((dictionary.compressed_size + data.compressed_size) as i64)
            .set_total_uncompressed_size(
                (dictionary.uncompressed_size + data.uncompressed_size) as i64,
            )
            .set_dictionary_page_offset(Some(dictionary.offset as i64))
            .set_data_page_offset(data.offset as i64);
        if self.has_statistics {
            let word = |word: Option<&String>| word.map(|word| ByteArray::from(word.as_str()));
            let (least, greatest) = (self.words.iter().min(), self.words.iter().max());
            builder = builder.set_statistics(Statistics::byte_array(
                word(least),
                word(greatest),
                None,
                Some(0),
                false,
            ));
        }
        let mut index = OffsetIndexBuilder::new();
        index.append_row_count(i64::from(rows));
        index.append_offset_and_size(data.offset as i64, i32::try_from(data.compressed_size)?);
        let close = ColumnCloseResult {
            bytes_written: sink.bytes_written() as u64,
            rows_written: self.rows,
            metadata: builder.build()?,
            bloom_filter: None,
            column_index: None,
            offset_index: Some(index.build()),
        };
        Ok((sink.into_inner()?.into(), close))
    }

    /// The words, each behind its length.
    fn dictionary(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        for word in &self.words {
            bytes.extend_from_slice(&(word.len() as u32).to_le_bytes());
            bytes.extend_from_slice(word.as_bytes());
        }
        bytes
    }

    /// How many bits a number has, then the runs: twice the length as a varint, the number.
    fn lengths(&self) -> Vec<u8> {
        let greatest = self.words.len().saturating_sub(1) as u64;
        let bits = u64::BITS - greatest.leading_zeros();
        let mut bytes = vec![bits as u8];
        for (word, rows) in &self.runs {
            let mut header = rows << 1;
            while header >= 0x80 {
                bytes.push(header as u8 | 0x80);
                header >>= 7;
            }
            bytes.push(header as u8);
            bytes.extend(word.to_le_bytes().iter().take(bits.div_ceil(8) as usize));
        }
        bytes
    }
}

/// A page that is as it is: runs leave nothing to compress.
fn whole(page: Page) -> CompressedPage {
    let size = page.buffer().len();
    CompressedPage::new(page, size)
}
