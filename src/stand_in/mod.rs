//! Stage set: the local push service with inboxes.
