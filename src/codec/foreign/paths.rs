//! Paths: which values of a payload are wanted, so that one pass over it finds all of them.
//!
//! A tree of names: what no path goes through is stepped over unread.

use std::fmt;

use dashmap::DashMap;

use super::avro::Known;

/// One step of a path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// The member of this name.
    Name(String),
    /// Every item of the list.
    Each,
}

/// The wanted values of a payload, each with a number.
pub struct Paths {
    nodes: Vec<Node>,
    /// For each value, whether its path goes through a list, so that there may be many.
    many: Vec<bool>,
    /// What is known of the schemas payloads were written with, by their id.
    pub(super) known: DashMap<u32, Known>,
}

/// What is wanted of one place in a payload.
#[derive(Debug, Default)]
pub(super) struct Node {
    /// Members something is wanted of.
    pub(super) names: Vec<(String, usize)>,
    /// Items, when something is wanted of each.
    pub(super) each: Option<usize>,
    /// Whether it is an item of a list.
    is_item: bool,
    /// The number of the value that stands here.
    pub(super) value: Option<usize>,
}

/// What stands at a place of a payload, unless it is null.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum There {
    List,
    Members,
    Scalar,
}

// === impl Paths ===

impl Default for Paths {
    fn default() -> Self {
        Self { nodes: vec![Node::default(), Node::default()], many: Vec::new(), known: DashMap::new() }
    }
}

impl fmt::Debug for Paths {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Paths").field("nodes", &self.nodes).finish_non_exhaustive()
    }
}

impl Paths {
    /// The whole payload.
    pub(super) const ROOT: usize = 0;
    /// A place of which nothing but its own value is wanted.
    pub(super) const LEAF: usize = 1;

    /// Wants the value at a path; its number, which is the same for the same path.
    pub fn want(&mut self, path: &[Step]) -> usize {
        let mut at = Self::ROOT;
        for step in path {
            at = match (self.child(at, step), step) {
                (Some(child), _) => child,
                (None, step) => {
                    let child = self.nodes.len();
                    self.nodes.push(Node { is_item: *step == Step::Each, ..Node::default() });
                    match step {
                        Step::Name(name) => self.nodes[at].names.push((name.clone(), child)),
                        Step::Each => self.nodes[at].each = Some(child),
                    }
                    child
                }
            };
        }
        let next = self.many.len();
        let number = *self.nodes[at].value.get_or_insert(next);
        if number == next {
            self.many.push(path.contains(&Step::Each));
        }
        number
    }

    /// How many values are wanted.
    #[must_use]
    pub fn len(&self) -> usize {
        self.many.len()
    }

    /// Whether nothing is wanted.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.many.is_empty()
    }

    pub(super) fn node(&self, at: usize) -> &Node {
        &self.nodes[at]
    }

    pub(super) fn is_many(&self, value: usize) -> bool {
        self.many.get(value).copied().unwrap_or_default()
    }

    /// The values that cannot be found where such a thing stands at a place: those of items where there is no
    /// list, and members of an item that has none. Anywhere else what is not there is only absent.
    pub(super) fn misfits(&self, at: usize, there: There) -> Vec<usize> {
        let (node, mut values) = (self.node(at), Vec::new());
        if let Some(each) = node.each.filter(|_| there != There::List) {
            self.values_under(each, &mut values);
        }
        if node.is_item && there != There::Members {
            node.names.iter().for_each(|(_, member)| self.values_under(*member, &mut values));
        }
        values
    }

    fn values_under(&self, at: usize, into: &mut Vec<usize>) {
        let node = self.node(at);
        into.extend(node.value);
        let below = node.names.iter().map(|(_, member)| *member).chain(node.each);
        below.for_each(|below| self.values_under(below, into));
    }

    fn child(&self, at: usize, step: &Step) -> Option<usize> {
        match step {
            Step::Name(name) => self.nodes[at].named(name).map(|(_, child)| child),
            Step::Each => self.nodes[at].each,
        }
    }
}

// === impl Node ===

impl Node {
    /// The member of this name: which of them it is, and its place.
    pub(super) fn named(&self, name: &str) -> Option<(usize, usize)> {
        let found = self.names.iter().position(|(known, _)| known == name)?;
        Some((found, self.names[found].1))
    }
}
