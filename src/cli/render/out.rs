//! Lines of text for a terminal: wrapped, indented, coloured.
//!
//! What always holds: no line is wider than [`WIDTH`] columns unless one word is.

use std::fmt::Write as _;

use anstyle::Style;

/// Columns that every terminal has.
pub(super) const WIDTH: usize = 80;

/// The text so far.
pub(super) struct Out {
    pub(super) text: String,
    pub(super) color: bool,
}

impl Out {
    /// One entry: `head` in its style, then `body`, wrapped at [`WIDTH`] with `indent` on every line but a head's.
    pub(super) fn line(&mut self, head: &str, body: &str, style: Option<Style>, indent: usize) {
        let margin = " ".repeat(indent);
        let start = if head.is_empty() { margin.as_str() } else { head };
        let (mut lines, mut line) = (Vec::new(), String::new());
        let mut room = WIDTH.saturating_sub(start.chars().count());
        for word in body.split(' ') {
            let space = usize::from(!line.is_empty());
            if !line.is_empty() && line.chars().count() + space + word.chars().count() > room {
                lines.push(std::mem::take(&mut line));
                room = WIDTH.saturating_sub(indent);
            } else if space > 0 {
                line.push(' ');
            }
            line.push_str(word);
        }
        lines.push(line);
        for (at, line) in lines.iter().enumerate() {
            let start = if at == 0 { start } else { margin.as_str() };
            let line = line.trim_end();
            match style.filter(|_| self.color) {
                Some(style) if head.is_empty() => {
                    let _ = write!(self.text, "{style}{start}{line}{style:#}");
                }
                Some(style) if at == 0 => {
                    let _ = write!(self.text, "{style}{start}{style:#}{line}");
                }
                _ => {
                    let _ = write!(self.text, "{start}{line}");
                }
            }
            self.text.push('\n');
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_wrap_at_eighty_columns_and_keep_every_word() {
        let mut out = Out { text: String::new(), color: false };
        let body = "word ".repeat(60);
        out.line("  + head ", body.trim(), None, 9);
        assert!(out.text.lines().all(|line| line.chars().count() <= WIDTH));
        assert_eq!(out.text.split_whitespace().filter(|word| *word == "word").count(), 60);
    }
}
