//! Svg: a picture of the rules that needs nothing else, with a row for each.
//!
//! Rules stand below one another and their columns beside one another, so that nothing overlaps however
//! many there are.

use std::fmt::Write as _;

use super::rates::Rate;
use super::words::Row;

/// Columns: title, left edge, width in pixels.
const COLUMNS: [(&str, usize, usize); 5] = [
    ("hears", 120, 330),
    ("when it speaks", 480, 330),
    ("to whom", 840, 330),
    ("how", 1_200, 200),
    ("by which account", 1_430, 170),
];
const WIDTH: usize = 1_620;
const LINE: usize = 16;
const HEAD: usize = 56;
const GAP: usize = 14;
/// Letters of a line of 12 pixels that fit a pixel, about.
const LETTER: usize = 7;

const STYLE: &str = "text{font:12px system-ui,sans-serif;fill:#1c2733}.t{font-weight:600}.s{font-size:14px;font-weight:700}\
.m{fill:#5b6875}.r{fill:#0b6e4f;font-weight:600}.b{fill:#f4f7fa;stroke:#c5d0da}.l{stroke:#8fa3b5;fill:none}\
@media(prefers-color-scheme:dark){svg{background:#10161c}text{fill:#e4ebf2}.m{fill:#9fb0c0}.r{fill:#6fd3ae}.b{fill:#1a232c;stroke:#34424f}.l{stroke:#5f7386}}";

/// A rule's lines, broken to the width of their columns.
struct Cells([Vec<String>; COLUMNS.len()]);

// === impl Cells ===

impl Cells {
    fn of(row: &Row) -> Self {
        let ways = row.ways.iter().map(|way| way.lines().join(", ")).collect();
        let texts = [&row.hears, &row.when, &row.whom, &row.how, &ways];
        let broken = |at: usize| {
            let most = COLUMNS[at].2 / LETTER - 2;
            let mut lines: Vec<String> = texts[at].iter().flat_map(|text| broken(text, most)).collect();
            if at == 0 {
                lines.insert(0, row.id.clone());
                lines.extend(row.rate.iter().map(Rate::to_string));
            }
            lines
        };
        Self(std::array::from_fn(broken))
    }

    fn height(&self) -> usize {
        let lines = self.0.iter().map(Vec::len).max().unwrap_or(0);
        lines * LINE + 12
    }
}

/// Where each row begins, and how high it is.
pub(super) fn places(rows: &[Row]) -> Vec<(usize, usize)> {
    let mut top = HEAD;
    let mut places = Vec::with_capacity(rows.len());
    for row in rows {
        let height = Cells::of(row).height();
        places.push((top, height));
        top += height + GAP;
    }
    places
}

/// The picture; `caption` says which time its rates are of.
pub(super) fn draw(rows: &[Row], caption: Option<&str>) -> String {
    let places = places(rows);
    let height = places.last().map_or(HEAD, |(top, height)| top + height + GAP);
    let mut out = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{WIDTH}\" height=\"{height}\" viewBox=\"0 0 {WIDTH} {height}\">\n\
         <title>Bugle: {} rules</title>\n<style>{STYLE}</style>\n",
        rows.len()
    );
    if let Some(caption) = caption {
        let _ = writeln!(out, "<text x=\"12\" y=\"14\" class=\"m\">{}</text>", escaped(caption));
    }
    for (title, left, _) in COLUMNS {
        let _ = writeln!(out, "<text x=\"{left}\" y=\"40\" class=\"m\">{title}</text>");
    }
    let mut source = "";
    for (row, (top, height)) in rows.iter().zip(&places) {
        let mut line = top + 18;
        if row.source != source {
            source = &row.source;
            let _ = writeln!(out, "<text x=\"12\" y=\"{line}\" class=\"s\">{}</text>", escaped(source));
            line += LINE;
        }
        let _ = writeln!(out, "<text x=\"12\" y=\"{line}\" class=\"m\">{}</text>", escaped(&row.use_case));
        let middle = top + height / 2;
        for (at, lines) in Cells::of(row).0.iter().enumerate() {
            let (_, left, width) = COLUMNS[at];
            let x = left - 8;
            let _ = writeln!(
                out,
                "<rect x=\"{x}\" y=\"{top}\" width=\"{width}\" height=\"{height}\" rx=\"6\" class=\"b\"/>"
            );
            for (number, line) in lines.iter().enumerate() {
                let class = match (at, number) {
                    (0, 0) => " class=\"t\"",
                    (0, number) if number + 1 == lines.len() => match row.rate {
                        Some(Rate::Spoke(_)) => " class=\"r\"",
                        Some(Rate::Silent(_)) => " class=\"m\"",
                        None => "",
                    },
                    _ => "",
                };
                let y = top + 18 + number * LINE;
                let _ = writeln!(out, "<text x=\"{left}\" y=\"{y}\"{class}>{}</text>", escaped(line));
            }
            if let Some((_, next, _)) = COLUMNS.get(at + 1) {
                let (from, to) = (x + width, next - 8);
                let _ = writeln!(out, "<path d=\"M{from} {middle}H{to}\" class=\"l\"/>");
            }
        }
    }
    out.push_str("</svg>");
    out
}

/// A text in lines of at most so many letters, broken between words where there are some.
fn broken(text: &str, most: usize) -> Vec<String> {
    let mut lines = vec![String::new()];
    for word in text.split(' ') {
        let letters: Vec<char> = word.chars().collect();
        for part in letters.chunks(most) {
            let part: String = part.iter().collect();
            let last = lines.last_mut().map_or(0, |line| line.chars().count());
            if last > 0 && last + 1 + part.chars().count() > most {
                lines.push(String::new());
            }
            if let Some(line) = lines.last_mut() {
                if !line.is_empty() {
                    line.push(' ');
                }
                line.push_str(&part);
            }
        }
    }
    lines
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}
