//! Percent-encoded text.

/// Query or form parameters, percent-decoded, in order.
pub(super) fn parameters(text: &str) -> impl Iterator<Item = (String, String)> {
    let pairs = text.split('&').filter(|pair| !pair.is_empty());
    pairs.map(|pair| {
        let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
        (percent_decode(&key.replace('+', " ")), percent_decode(&value.replace('+', " ")))
    })
}

pub(in crate::twin) fn percent_decode(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, tail @ ..] = rest {
        let hex = if *first == b'%' { tail.get(..2).and_then(|pair| std::str::from_utf8(pair).ok()) } else { None };
        let plain = hex.filter(|pair| pair.bytes().all(|digit| digit.is_ascii_hexdigit()));
        if let Some(byte) = plain.and_then(|pair| u8::from_str_radix(pair, 16).ok()) {
            bytes.push(byte);
            rest = tail.get(2..).unwrap_or_default();
        } else {
            bytes.push(*first);
            rest = tail;
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escapes_are_read_and_half_ones_stay() {
        assert_eq!(percent_decode("a%20b%2fc%"), "a b/c%");
        assert_eq!(percent_decode("%+1%zz%é"), "%+1%zz%é");
        let pairs: Vec<_> = parameters("a=1+2&&b&c=d=e").collect();
        assert_eq!(pairs, [("a", "1 2"), ("b", ""), ("c", "d=e")].map(|(a, b)| (a.to_owned(), b.to_owned())));
    }
}
