//! Memory: maps that know their deadlines.
