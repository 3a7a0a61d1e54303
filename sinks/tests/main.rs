//! Sinks against real databases, real files and the programs that read them.

#[cfg(test)]
mod archive;
#[cfg(test)]
mod durable;
#[cfg(test)]
mod file;
#[cfg(test)]
mod files_durable;
#[cfg(test)]
mod readers;
#[cfg(test)]
mod support;
#[cfg(test)]
mod table;
#[cfg(test)]
mod table_durable;
