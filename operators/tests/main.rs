//! Promises of the operators, held against independent models and real data.

#[cfg(test)]
mod calendars;
#[cfg(test)]
mod copy;
#[cfg(test)]
mod naive;
#[cfg(test)]
mod oracles;
#[cfg(test)]
mod property;
#[cfg(test)]
mod real;
#[cfg(test)]
mod semantics;
#[cfg(test)]
mod small;
#[cfg(test)]
mod support;
