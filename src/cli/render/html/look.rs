//! The page's colours, light and dark, and its style sheet.
//!
//! What always holds: a chart is drawn in the light colours, each role in one of its own; the style sheet finds a role
//! by its colour and gives it the dark one where the reader asks for dark. So a chart reads without the style sheet too.
//! No colour stands alone: lines differ in pattern and are named where they are, severities are words.

use std::fmt::Write as _;

use plotters::style::RGBColor;

/// What a colour stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ink {
    /// Text.
    Text,
    /// Axes and their labels.
    Muted,
    /// Lines behind the data.
    Grid,
    /// The first series.
    First,
    /// The second series.
    Second,
    /// A hard limit.
    Limit,
    /// An objective, or a mark of caution.
    Objective,
    /// Minutes with rejected or throttled work; failures.
    Trouble,
    /// A finding that is critical.
    Critical,
    /// A finding that is a warning.
    Warning,
    /// A change that was made.
    Decision,
}

impl Ink {
    /// All of them.
    pub const ALL: [Self; 11] = [
        Self::Text,
        Self::Muted,
        Self::Grid,
        Self::First,
        Self::Second,
        Self::Limit,
        Self::Objective,
        Self::Trouble,
        Self::Critical,
        Self::Warning,
        Self::Decision,
    ];

    /// Light and dark, each checked against its background: text 4.5 to 1, lines 3 to 1 (WCAG 2.2, 1.4.3 and 1.4.11).
    fn colors(self) -> ([u8; 3], [u8; 3]) {
        match self {
            Self::Text => ([0x1c, 0x1e, 0x21], [0xe8, 0xea, 0xed]),
            Self::Muted => ([0x5b, 0x60, 0x67], [0xa5, 0xab, 0xb3]),
            Self::Grid => ([0xe3, 0xe5, 0xe8], [0x33, 0x38, 0x3f]),
            Self::First => ([0x1d, 0x63, 0xc4], [0x6d, 0xae, 0xf7]),
            Self::Second => ([0x8a, 0x4b, 0x9e], [0xcf, 0x9a, 0xe0]),
            Self::Limit => ([0xb4, 0x23, 0x18], [0xff, 0x8a, 0x80]),
            Self::Objective => ([0x2f, 0x75, 0x45], [0x7f, 0xcf, 0x96]),
            Self::Trouble => ([0xd6, 0x3a, 0x2f], [0xff, 0x6f, 0x61]),
            Self::Critical => ([0xc9, 0x2a, 0x1e], [0xff, 0x7a, 0x6e]),
            Self::Warning => ([0xb2, 0x6a, 0x00], [0xf2, 0xb0, 0x4a]),
            Self::Decision => ([0x00, 0x6d, 0x77], [0x5f, 0xd3, 0xdc]),
        }
    }

    /// The colour it is drawn in.
    pub fn rgb(self) -> RGBColor {
        let [red, green, blue] = self.colors().0;
        RGBColor(red, green, blue)
    }

    /// Its name in the style sheet.
    pub fn name(self) -> String {
        format!("--{self:?}").to_lowercase()
    }

    /// The pattern of its lines.
    fn dashes(self) -> Option<&'static str> {
        match self {
            Self::Limit => Some("7 4"),
            Self::Objective => Some("2 4"),
            Self::Decision => Some("3 3"),
            Self::Second => Some("5 2"),
            _ => None,
        }
    }
}

fn hex([red, green, blue]: [u8; 3]) -> String {
    // As plotters writes it.
    format!("#{red:02X}{green:02X}{blue:02X}")
}

/// The style sheet of a page.
pub fn css() -> String {
    let (names, roles) = colors();
    format!("{names}{BASE}{roles}")
}

/// The style sheet of a picture that stands alone, on a card of its own.
pub fn picture_css() -> String {
    let (names, roles) = colors();
    format!("{names}svg{{background:var(--card)}}{roles}")
}

/// The colours' names, light and dark, and who wears them.
fn colors() -> (String, String) {
    let (mut light, mut dark, mut roles) = (String::new(), String::new(), String::new());
    for ink in Ink::ALL {
        let (name, (day, night)) = (ink.name(), ink.colors());
        let _ = write!(light, "{name}:{};", hex(day));
        let _ = write!(dark, "{name}:{};", hex(night));
        let dashes = ink.dashes().map_or(String::new(), |dashes| format!(";stroke-dasharray:{dashes}"));
        let drawn = hex(day);
        let _ = write!(
            roles,
            "svg [stroke=\"{drawn}\"]{{stroke:var({name}){dashes}}}svg [fill=\"{drawn}\"]{{fill:var({name})}}"
        );
    }
    let names = format!(
        ":root{{color-scheme:light dark;--page:#F6F7F8;--card:#FFFFFF;{light}}}\
         @media(prefers-color-scheme:dark){{:root{{--page:#14161A;--card:#1D2025;{dark}}}}}"
    );
    (names, roles)
}

/// What does not depend on a colour's role.
const BASE: &str = "\
*{box-sizing:border-box}\
body{margin:0 auto;max-width:76rem;padding:1rem;background:var(--page);color:var(--text);\
font:15px/1.45 system-ui,-apple-system,'Segoe UI',Roboto,'Liberation Sans',sans-serif}\
h1,h2,h3,h4{margin:0;line-height:1.25}h1{font-size:1.1rem;color:var(--muted)}h2{font-size:1.25rem;margin:1.6rem 0 .5rem}h3{font-size:1rem}\
p{margin:.35rem 0}a{color:var(--first)}.note{color:var(--muted);font-size:.87rem}\
header,article,figure,.panel{background:var(--card);border-radius:6px;padding:.8rem 1rem;margin:0 0 .8rem}\
header,article{border-left:6px solid var(--objective)}\
.critical{border-left-color:var(--critical)}.warning{border-left-color:var(--warning)}.info{border-left-color:var(--muted)}\
.verdict{font-size:1.35rem;font-weight:650;line-height:1.25}\
nav{display:flex;flex-wrap:wrap;gap:.2rem 1rem;padding:0 .2rem .2rem;font-size:.9rem}\
.cards{display:grid;grid-template-columns:repeat(auto-fill,minmax(min(23rem,100%),1fr));gap:0 .8rem;align-items:start}\
.badge{display:inline-block;border:1.5px solid;border-radius:4px;padding:0 .4em;font-size:.8rem;font-weight:650;margin-right:.5em}\
.critical .badge{color:var(--critical)}.warning .badge{color:var(--warning)}.info .badge{color:var(--muted)}\
dl{display:grid;grid-template-columns:max-content 1fr;gap:.2rem .8rem;margin:.5rem 0 0}dt{color:var(--muted)}dd{margin:0;font-weight:600;overflow-wrap:anywhere}\
.charts{display:grid;grid-template-columns:repeat(auto-fill,minmax(min(34rem,100%),1fr));gap:.8rem}\
figure{margin:0;min-width:0}figcaption{display:flex;flex-wrap:wrap;gap:0 1rem;align-items:baseline;margin-bottom:.3rem}\
.key{font-size:.82rem;color:var(--muted);white-space:nowrap}.key i{display:inline-block;width:1.4em;margin-right:.35em;vertical-align:middle}\
svg{display:block;width:100%;height:auto}svg text{font-family:inherit;paint-order:stroke;stroke:var(--card);stroke-width:3px;stroke-linejoin:round}\
table{border-collapse:collapse;font-size:.85rem;font-variant-numeric:tabular-nums}\
th,td{text-align:right;padding:.1rem .6rem;border-bottom:1px solid var(--grid)}th:first-child,td:first-child{text-align:left}\
details{font-size:.87rem;margin-top:.3rem}summary{cursor:pointer;color:var(--muted)}.wide{overflow-x:auto}\
li{margin:.2rem 0}code{font-size:.92em}\
@media print{body{max-width:none;background:none}nav,figure details{display:none}article,figure,.panel{break-inside:avoid;border:1px solid var(--grid)}}";

#[cfg(test)]
mod tests {
    use super::*;

    /// Relative luminance (WCAG 2.2, "relative luminance").
    fn luminance(color: [u8; 3]) -> f64 {
        let linear = color.map(|part| {
            let part = f64::from(part) / 255.0;
            if part <= 0.04045 { part / 12.92 } else { ((part + 0.055) / 1.055).powf(2.4) }
        });
        0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]
    }

    fn contrast(one: [u8; 3], other: [u8; 3]) -> f64 {
        let (one, other) = (luminance(one), luminance(other));
        (one.max(other) + 0.05) / (one.min(other) + 0.05)
    }

    #[test]
    fn every_role_stands_out_by_day_and_by_night() {
        for ink in Ink::ALL {
            let least = match ink {
                Ink::Grid => 1.0,
                Ink::Text | Ink::Muted | Ink::Limit | Ink::Objective | Ink::Decision => 4.5,
                _ => 3.0,
            };
            let (day, night) = ink.colors();
            for (color, card, page) in
                [(day, [0xff; 3], [0xf6, 0xf7, 0xf8]), (night, [0x1d, 0x20, 0x25], [0x14, 0x16, 0x1a])]
            {
                assert!(contrast(color, card) >= least, "{ink:?} on a card: {}", contrast(color, card));
                assert!(contrast(color, page) >= least, "{ink:?} on the page: {}", contrast(color, page));
            }
        }
    }

    #[test]
    fn every_role_has_a_colour_of_its_own() {
        for ink in Ink::ALL {
            assert_eq!(Ink::ALL.iter().filter(|other| other.colors().0 == ink.colors().0).count(), 1, "{ink:?}");
        }
    }
}
