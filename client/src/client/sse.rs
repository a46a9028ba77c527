//! Server-sent events, line by line (WHATWG HTML, 9.2.6). It takes bytes as they come, cut anywhere.

/// More than any signal has; a stream that goes on without a line's end is not ours.
const BUFFER_BYTES_MAX: usize = 8 << 20;

#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Event {
    /// `message` when the stream names none; here: empty.
    pub name: String,
    /// The last id of the stream so far.
    pub id: Option<String>,
    pub data: String,
}

#[derive(Debug, PartialEq, Eq)]
pub(super) struct TooLong;

#[derive(Debug, Default)]
pub(super) struct Parser {
    buffer: Vec<u8>,
    /// How much of the buffer is known to hold no line's end.
    searched: usize,
    last_id: Option<String>,
    name: String,
    data: String,
    has_data: bool,
}

impl Parser {
    /// The events that these bytes complete.
    pub fn push(&mut self, bytes: &[u8]) -> Result<Vec<Event>, TooLong> {
        self.buffer.extend_from_slice(bytes);
        let mut events = Vec::new();
        let mut start = 0;
        while let Some((end, next)) = self.line_end(start) {
            let line = String::from_utf8_lossy(&self.buffer[start..end]).into_owned();
            events.extend(self.line(&line));
            start = next;
            self.searched = next;
        }
        self.buffer.drain(..start);
        // A trailing CR is looked at again: it may be the first half of CR LF.
        self.searched = self.buffer.len().saturating_sub(1);
        if self.buffer.len() + self.data.len() > BUFFER_BYTES_MAX { Err(TooLong) } else { Ok(events) }
    }

    /// Where the line ends and where the next begins: after LF, CR LF or CR.
    fn line_end(&self, start: usize) -> Option<(usize, usize)> {
        let from = self.searched.max(start);
        let end = from + self.buffer[from..].iter().position(|byte| matches!(byte, b'\n' | b'\r'))?;
        match (self.buffer[end], self.buffer.get(end + 1)) {
            (b'\n', _) => Some((end, end + 1)),
            (_, Some(b'\n')) => Some((end, end + 2)),
            (_, Some(_)) => Some((end, end + 1)),
            (_, None) => None,
        }
    }

    fn line(&mut self, line: &str) -> Option<Event> {
        if line.is_empty() {
            return self.dispatch();
        }
        let (field, value) = line.split_once(':').unwrap_or((line, ""));
        let value = value.strip_prefix(' ').unwrap_or(value);
        match field {
            "event" => self.name = value.to_owned(),
            "id" if !value.contains('\0') => self.last_id = Some(value.to_owned()),
            "data" => {
                if self.has_data {
                    self.data.push('\n');
                }
                self.has_data = true;
                self.data.push_str(value);
            }
            // A comment (the heartbeat), `retry`, or a field that does not exist.
            _ => {}
        }
        None
    }

    fn dispatch(&mut self) -> Option<Event> {
        let (name, data) = (std::mem::take(&mut self.name), std::mem::take(&mut self.data));
        // An event without data is none, but for those whose name says it all.
        let is_event = std::mem::take(&mut self.has_data) || !name.is_empty();
        is_event.then(|| Event { name, id: self.last_id.clone(), data })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const STREAM: &str = "retry: 100\n: heartbeat\n\nid: sig_1\nevent: signal\ndata: {\"a\":\ndata: 1}\n\n\
                          id:2\r\ndata:ä\r\n\r\nevent: end\n\nevent: unfinished\ndata: x\n";

    fn events(chunks: impl Iterator<Item = Vec<u8>>) -> Vec<Event> {
        let mut parser = Parser::default();
        chunks.flat_map(|chunk| parser.push(&chunk).expect("short lines")).collect()
    }

    #[test]
    fn events_are_the_same_wherever_the_bytes_are_cut() {
        let event =
            |name: &str, id: &str, data: &str| Event { name: name.into(), id: Some(id.into()), data: data.into() };
        let expected = vec![event("signal", "sig_1", "{\"a\":\n1}"), event("", "2", "ä"), event("end", "2", "")];
        for size in [1, 2, 3, 7, 1000] {
            assert_eq!(events(STREAM.as_bytes().chunks(size).map(<[u8]>::to_vec)), expected, "chunks of {size}");
        }
    }

    #[test]
    fn a_line_without_end_is_given_up() {
        let mut parser = Parser::default();
        let chunk = vec![b'x'; 1 << 20];
        let refused = (0..20).any(|_| parser.push(&chunk) == Err(TooLong));
        assert!(refused);
    }
}
