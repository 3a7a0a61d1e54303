//! The driver: sources on threads of their own, one coordinator that mints epochs, timely workers,
//! sinks on threads of their own.
