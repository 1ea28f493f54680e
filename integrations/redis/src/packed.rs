//! Commands in the form in which they are sent: `*2\r\n$3\r\nGET\r\n$1\r\nk\r\n`.
//!
//! The library wrote it, so whatever does not fit is only the end of what can be read.

/// Reads the commands of a pipeline one after the other.
#[derive(Clone, Debug)]
pub(crate) struct Packed<'a> {
    rest: &'a [u8],
}

impl<'a> Packed<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }

    /// Reads a command into `arguments`. False at the end.
    pub(crate) fn read(&mut self, arguments: &mut Vec<&'a [u8]>) -> bool {
        arguments.clear();
        let Some(count) = self.number(b'*') else {
            return false;
        };
        for _ in 0..count {
            match self.argument() {
                Some(argument) => arguments.push(argument),
                None => break,
            }
        }
        !arguments.is_empty()
    }

    fn argument(&mut self) -> Option<&'a [u8]> {
        let length = self.number(b'$')?;
        let (argument, rest) = self.rest.split_at_checked(length)?;
        self.rest = rest.strip_prefix(b"\r\n")?;
        Some(argument)
    }

    /// A line of a sign and a number.
    fn number(&mut self, sign: u8) -> Option<usize> {
        let line = self.rest.strip_prefix(&[sign])?;
        let end = line.iter().position(|byte| *byte == b'\r')?;
        let number = std::str::from_utf8(&line[..end]).ok()?.parse().ok()?;
        self.rest = line[end..].strip_prefix(b"\r\n")?;
        Some(number)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn all(bytes: &[u8]) -> Vec<Vec<Vec<u8>>> {
        let (mut packed, mut arguments) = (Packed::new(bytes), Vec::new());
        let mut commands = Vec::new();
        while packed.read(&mut arguments) {
            commands.push(arguments.iter().map(|argument| argument.to_vec()).collect());
        }
        commands
    }

    proptest! {
        #[test]
        fn what_the_library_writes_is_read_back(
            commands in prop::collection::vec(
                prop::collection::vec(prop::collection::vec(any::<u8>(), 0..20), 1..5), 0..5)
        ) {
            let mut bytes = Vec::new();
            for command in &commands {
                bytes.extend(redis::pack_command(command));
            }
            prop_assert_eq!(all(&bytes), commands);
        }

        #[test]
        fn no_bytes_panic(bytes in prop::collection::vec(any::<u8>(), 0..64), text in "[*$0-9\r\n]{0,40}") {
            all(&bytes);
            all(text.as_bytes());
        }
    }
}
