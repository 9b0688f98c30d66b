//! Walking over text in the dialect, token by token.

use std::borrow::Cow;

/// How deep objects and arrays may nest.
pub(crate) const MAX_DEPTH: usize = 64;

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

    fn byte(&self) -> Option<u8> {
        self.bytes.get(self.at).copied()
    }

    /// The first byte of the next token.
    pub(crate) fn peek(&mut self) -> Option<u8> {
        while matches!(self.byte(), Some(b' ' | b'\t' | b'\r' | b'\n' | 0x0C | 0x08)) {
            self.step_to(self.at + 1);
        }
        self.byte()
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

    /// Goes to the next item of a list that was entered, past commas; false if the list ends here, and then its end is
    /// passed over.
    pub(crate) fn next_item(&mut self, first: bool, close: u8) -> Result<bool, Fault> {
        if self.take(close) {
            return Ok(false);
        }
        if !first {
            self.expect(b',', "a comma or the list's end")?;
            // A comma may stand before the end.
            if self.take(close) {
                return Ok(false);
            }
        }
        if self.peek().is_none() { self.fail("the list's end") } else { Ok(true) }
    }

    /// Enters an array, whether it is called `Set` or not; false if the next token is none.
    pub(crate) fn enter_array(&mut self) -> bool {
        let start = self.at;
        if matches!(self.peek(), Some(b'S' | b'T')) && matches!(self.word(), b"Set" | b"TreeSet") {
            if self.take(b'[') {
                return true;
            }
            self.at = start;
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
            _ if self.word().is_empty() => self.fail("a value"),
            _ => Ok(()),
        }
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

    /// A key without quotes: a number.
    fn bare_key(&mut self) -> Result<&'a [u8], Fault> {
        match self.peek() {
            Some(b'-' | b'0'..=b'9') => Ok(self.word()),
            _ => self.fail("a key"),
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
                Some(b'\\') if self.at + 1 < self.bytes.len() => self.step_to(self.at + 2),
                byte if byte == quote => break,
                Some(_) => self.step_to(self.at + 1),
            }
        }
        self.step_to(self.at + 1);
        Ok(())
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
                    self.step_to(self.at + 1);
                    self.escape(&mut text)?;
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

    fn escape(&mut self, text: &mut Vec<u8>) -> Result<(), Fault> {
        let plain = match self.byte() {
            Some(kind @ (b'"' | b'\\' | b'/' | b'\'')) => kind,
            Some(b'b') => 0x08,
            Some(b'f' | b'F') => 0x0C,
            Some(b'n') => b'\n',
            Some(b'r') => b'\r',
            Some(b't') => b'\t',
            Some(b'v') => 0x0B,
            Some(digit @ b'0'..=b'7') => digit - b'0',
            Some(b'x') => return self.hex_escape(text),
            Some(b'u') => return self.unicode_escape(text),
            _ => return self.fail("an escape"),
        };
        self.step_to(self.at + 1);
        text.push(plain);
        Ok(())
    }

    fn hex_escape(&mut self, text: &mut Vec<u8>) -> Result<(), Fault> {
        self.step_to(self.at + 1);
        let unit = self.hex_unit(2)?;
        push_units(text, [unit]);
        Ok(())
    }

    fn unicode_escape(&mut self, text: &mut Vec<u8>) -> Result<(), Fault> {
        self.step_to(self.at + 1);
        let unit = self.hex_unit(4)?;
        // The first half of a surrogate pair wants its second.
        if (0xD800..0xDC00).contains(&unit) && self.bytes[self.at..].starts_with(b"\\u") {
            self.step_to(self.at + 2);
            push_units(text, [unit, self.hex_unit(4)?]);
        } else {
            push_units(text, [unit]);
        }
        Ok(())
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

fn push_units<const N: usize>(text: &mut Vec<u8>, units: [u16; N]) {
    for character in char::decode_utf16(units) {
        let character = character.unwrap_or(char::REPLACEMENT_CHARACTER);
        text.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes());
    }
}
