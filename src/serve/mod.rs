//! Window to the street: the listening sockets.
