//! Sinks against real databases, real files and the programs that read them.

mod archive;
mod file;
mod readers;
mod support;
mod table;
