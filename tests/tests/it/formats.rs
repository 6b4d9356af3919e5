//! Formats of entries: changing them on live data, compressing them, and their bytes as they are for ever.

mod changed;

mod compressed;

mod damaged;

mod documents;

mod golden;
