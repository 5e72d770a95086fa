//! Loop: the only place where threads, clock, broker and flow meet.
