//! Walking over text in the dialect, token by token.

use std::borrow::Cow;

/// How deep objects and arrays may nest.
pub(crate) const MAX_DEPTH: usize = 64;

/// The mark that some editors put before text.
const BOM: &[u8] = b"\xEF\xBB\xBF";
const BOM_FIRST: u8 = BOM[0];

/// Why text is not of the dialect.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Fault {
    /// The byte at which it shows.
    pub(crate) at: usize,
    /// What was expected there.
    pub(crate) wanted: &'static str,
}

/// Reads from the front; white space is skipped before every token. Every step forward goes through
/// [`step_to`](Self::step_to), so that a test can count them.
#[derive(Clone)]
pub(crate) struct Scanner<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Scanner<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, at: 0 }
    }

    /// A scanner at another place of the same text.
    pub(crate) fn at_place(&self, at: usize) -> Self {
        Self { bytes: self.bytes, at }
    }

    /// The place of the next byte.
    pub(crate) fn place(&self) -> usize {
        self.at
    }

    /// The text between two places.
    pub(crate) fn slice(&self, from: usize, to: usize) -> &'a [u8] {
        &self.bytes[from..to]
    }

    fn step_to(&mut self, at: usize) {
        #[cfg(test)]
        super::tests::count_steps(at - self.at);
        self.at = at;
    }

    pub(crate) fn fail<T>(&self, wanted: &'static str) -> Result<T, Fault> {
        Err(Fault { at: self.at, wanted })
    }

    /// The next byte, white space or not.
    pub(crate) fn byte(&self) -> Option<u8> {
        self.bytes.get(self.at).copied()
    }

    /// The first byte of the next token.
    pub(crate) fn peek(&mut self) -> Option<u8> {
        loop {
            match self.byte()? {
                b' ' | b'\t' | b'\r' | b'\n' | 0x0C | 0x08 | 0 => self.step_to(self.at + 1),
                b'/' if self.skip_comment() => {}
                BOM_FIRST if self.at == 0 && self.bytes.starts_with(BOM) => self.step_to(BOM.len()),
                token => return Some(token),
            }
        }
    }

    fn skip_comment(&mut self) -> bool {
        let rest = &self.bytes[self.at + 1..];
        let length = match rest.first() {
            Some(b'/') => Some(rest.iter().position(|byte| *byte == b'\n').unwrap_or(rest.len())),
            Some(b'*') => rest[1..].windows(2).position(|pair| pair == b"*/").map(|length| length + 3),
            _ => None,
        };
        match length {
            Some(length) => self.step_to(self.at + 1 + length),
            None => return false,
        }
        true
    }

    /// Passes over the byte if it is the next token.
    pub(crate) fn take(&mut self, byte: u8) -> bool {
        let found = self.peek() == Some(byte);
        if found {
            self.step_to(self.at + 1);
        }
        found
    }

    pub(crate) fn expect(&mut self, byte: u8, wanted: &'static str) -> Result<(), Fault> {
        if self.take(byte) { Ok(()) } else { self.fail(wanted) }
    }

    /// Nothing but white space follows.
    pub(crate) fn end(&mut self) -> Result<(), Fault> {
        if self.peek().is_none() { Ok(()) } else { self.fail("the end of the text") }
    }

    /// Goes to the next item of an array or object that was entered, past commas; false if it ends here, and then its end
    /// is passed over. As in fastjson, an object's members may have any number of commas between them, an array's
    /// elements may have none.
    pub(crate) fn next_item(&mut self, first: bool, close: u8) -> Result<bool, Fault> {
        if self.take(close) {
            return Ok(false);
        }
        if close == b'}' {
            let mut apart = first;
            while self.take(b',') {
                apart = true;
            }
            if !apart {
                return self.fail("a comma or the object's end");
            }
        } else if !first {
            self.take(b',');
        }
        // A comma may stand before the end.
        if self.take(close) {
            return Ok(false);
        }
        if self.peek().is_none() { self.fail("the list's end") } else { Ok(true) }
    }

    /// Enters an array, whether it is called `Set` or not; false if the next token is none.
    pub(crate) fn enter_array(&mut self) -> bool {
        if self.peek() == Some(b'S') {
            let mut ahead = self.clone();
            if ahead.word() == b"Set" && ahead.take(b'[') {
                *self = ahead;
                return true;
            }
        }
        self.take(b'[')
    }

    /// Passes over a value.
    pub(crate) fn skip_value(&mut self, depth: usize) -> Result<(), Fault> {
        self.skip(depth, true)
    }

    /// `keys_nest`: an object may stand as a key. It may not inside of one that is a key already.
    fn skip(&mut self, depth: usize, keys_nest: bool) -> Result<(), Fault> {
        match self.peek() {
            Some(b'"' | b'\'') => self.skip_string(),
            Some(b'{') => self.skip_object(depth, keys_nest),
            _ if self.enter_array() => self.skip_array(depth, keys_nest),
            _ => self.bare_value().map(drop),
        }
    }

    /// A number, or the name of a value.
    fn bare_value(&mut self) -> Result<&'a [u8], Fault> {
        let at = self.at;
        let word = self.word();
        let named = matches!(word, b"null" | b"true" | b"false" | b"undefined" | b"NaN");
        if named || is_number(word) { Ok(word) } else { Err(Fault { at, wanted: "a value" }) }
    }

    /// A string, number, truth value or null as text; an object or array as the text it is.
    pub(crate) fn text(&mut self, depth: usize) -> Result<Cow<'a, str>, Fault> {
        if let Some(b'"' | b'\'') = self.peek() {
            return self.string();
        }
        let from = self.at;
        self.skip_value(depth)?;
        Ok(String::from_utf8_lossy(self.slice(from, self.at)))
    }

    fn skip_array(&mut self, depth: usize, keys_nest: bool) -> Result<(), Fault> {
        if depth >= MAX_DEPTH {
            return self.fail("a value that nests less");
        }
        let mut first = true;
        while self.next_item(first, b']')? {
            first = false;
            self.skip(depth + 1, keys_nest)?;
        }
        Ok(())
    }

    fn skip_object(&mut self, depth: usize, keys_nest: bool) -> Result<(), Fault> {
        if depth >= MAX_DEPTH {
            return self.fail("a value that nests less");
        }
        self.expect(b'{', "an object")?;
        let mut first = true;
        while self.next_item(first, b'}')? {
            first = false;
            match self.peek() {
                Some(b'{') if keys_nest => self.skip_object(depth + 1, false)?,
                Some(b'{') => return self.fail("a key that is no object"),
                _ => self.skip_plain_key()?,
            }
            self.expect(b':', "a colon")?;
            self.skip(depth + 1, keys_nest)?;
        }
        Ok(())
    }

    fn skip_plain_key(&mut self) -> Result<(), Fault> {
        match self.peek() {
            Some(b'"' | b'\'') => self.skip_string(),
            _ => self.bare_key().map(drop),
        }
    }

    /// A key without quotes: a name or a number.
    fn bare_key(&mut self) -> Result<&'a [u8], Fault> {
        let word = self.word();
        let is_name = |word: &[u8]| {
            !word.is_empty()
                && word.iter().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'$'))
        };
        if is_name(word) || is_number(word) { Ok(word) } else { self.fail("a key") }
    }

    /// The name of an object's next member: not a number, unless it stands in quotes.
    pub(crate) fn name(&mut self) -> Result<Cow<'a, str>, Fault> {
        match self.peek() {
            Some(b'"' | b'\'') => self.string(),
            Some(b'a'..=b'z' | b'A'..=b'Z' | b'_' | b'$') => Ok(String::from_utf8_lossy(self.bare_key()?)),
            _ => self.fail("a member's name"),
        }
    }

    /// An object's next key as text: an object that stands as a key is its own text.
    pub(crate) fn key(&mut self) -> Result<Cow<'a, str>, Fault> {
        match self.peek() {
            Some(b'"' | b'\'') => self.string(),
            Some(b'{') => {
                let from = self.at;
                self.skip_object(0, false)?;
                Ok(String::from_utf8_lossy(self.slice(from, self.at)))
            }
            _ => Ok(String::from_utf8_lossy(self.bare_key()?)),
        }
    }

    /// A number, `true`, `false`, `null`, or a name without quotes; empty if none stands here.
    pub(crate) fn word(&mut self) -> &'a [u8] {
        self.peek();
        let rest = &self.bytes[self.at..];
        let is_part =
            |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'+' | b'.' | b'_' | b'$');
        let length = rest.iter().position(|byte| !is_part(byte)).unwrap_or(rest.len());
        self.step_to(self.at + length);
        &rest[..length]
    }

    fn skip_string(&mut self) -> Result<(), Fault> {
        let quote = self.byte();
        self.step_to(self.at + 1);
        loop {
            match self.byte() {
                None => return self.fail("the string's end"),
                Some(b'\\') => drop(self.escape()?),
                byte => {
                    self.step_to(self.at + 1);
                    if byte == quote {
                        return Ok(());
                    }
                }
            }
        }
    }

    /// A string; bytes that are not UTF-8 become U+FFFD, as in Java.
    pub(crate) fn string(&mut self) -> Result<Cow<'a, str>, Fault> {
        let Some(quote @ (b'"' | b'\'')) = self.peek() else { return self.fail("a string") };
        self.step_to(self.at + 1);
        let rest = &self.bytes[self.at..];
        let Some(length) = rest.iter().position(|byte| *byte == quote || *byte == b'\\') else {
            return self.fail("the string's end");
        };
        self.step_to(self.at + length);
        if rest[length] == b'\\' {
            return self.string_with_escapes(quote, &rest[..length]);
        }
        self.step_to(self.at + 1);
        Ok(String::from_utf8_lossy(&rest[..length]))
    }

    fn string_with_escapes(&mut self, quote: u8, before: &[u8]) -> Result<Cow<'a, str>, Fault> {
        let mut text = before.to_vec();
        loop {
            match self.byte() {
                None => return self.fail("the string's end"),
                Some(b'\\') => {
                    let character = self.escape()?;
                    text.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes());
                }
                Some(byte) => {
                    self.step_to(self.at + 1);
                    if byte == quote {
                        break;
                    }
                    text.push(byte);
                }
            }
        }
        Ok(Cow::Owned(match String::from_utf8(text) {
            Ok(text) => text,
            Err(error) => String::from_utf8_lossy(error.as_bytes()).into_owned(),
        }))
    }

    /// An escape, from its backslash on; a half of a surrogate pair alone is U+FFFD.
    fn escape(&mut self) -> Result<char, Fault> {
        self.step_to(self.at + 1);
        let Some(kind) = self.byte() else { return self.fail("an escape") };
        let character = match kind {
            b'"' | b'\\' | b'/' | b'\'' => char::from(kind),
            b'b' => '\u{8}',
            b'f' | b'F' => '\u{C}',
            b'n' => '\n',
            b'r' => '\r',
            b't' => '\t',
            b'v' => '\u{B}',
            b'0'..=b'7' => char::from(kind - b'0'),
            b'x' | b'u' => {
                self.step_to(self.at + 1);
                return self.hex_escape(if kind == b'x' { 2 } else { 4 });
            }
            _ => return self.fail("an escape"),
        };
        self.step_to(self.at + 1);
        Ok(character)
    }

    fn hex_escape(&mut self, digits: usize) -> Result<char, Fault> {
        let unit = self.hex_unit(digits)?;
        // The first half of a surrogate pair wants its second.
        if (0xD800..0xDC00).contains(&unit) && self.bytes[self.at..].starts_with(b"\\u") {
            self.step_to(self.at + 2);
            return Ok(character([unit, self.hex_unit(4)?]));
        }
        Ok(character([unit]))
    }

    fn hex_unit(&mut self, digits: usize) -> Result<u16, Fault> {
        let text = self.bytes.get(self.at..self.at + digits);
        let text = text.filter(|text| text.iter().all(u8::is_ascii_hexdigit));
        let text = text.and_then(|text| std::str::from_utf8(text).ok());
        let Some(unit) = text.and_then(|text| u16::from_str_radix(text, 16).ok()) else {
            return self.fail("hexadecimal digits");
        };
        self.step_to(self.at + digits);
        Ok(unit)
    }
}

/// The character that stands for these UTF-16 units.
fn character<const N: usize>(units: [u16; N]) -> char {
    let mut decoded = char::decode_utf16(units);
    match (decoded.next(), decoded.next()) {
        (Some(Ok(character)), None) => character,
        _ => char::REPLACEMENT_CHARACTER,
    }
}

/// `+1`, `01`, `1.`, `1.5e3`, `1L`: a number as fastjson reads it.
fn is_number(word: &[u8]) -> bool {
    let digits = |text: &mut &[u8]| {
        let length = text.iter().take_while(|byte| byte.is_ascii_digit()).count();
        *text = &text[length..];
        length > 0
    };
    let mut rest = word.strip_prefix(b"-").or_else(|| word.strip_prefix(b"+")).unwrap_or(word);
    if !digits(&mut rest) {
        return false;
    }
    if let Some(fraction) = rest.strip_prefix(b".") {
        rest = fraction;
        digits(&mut rest);
    }
    if let [b'e' | b'E', exponent @ ..] = rest {
        rest = exponent.strip_prefix(b"-").or_else(|| exponent.strip_prefix(b"+")).unwrap_or(exponent);
        if !digits(&mut rest) {
            return false;
        }
    }
    matches!(rest, b"" | b"L" | b"S" | b"B" | b"F" | b"D")
}
