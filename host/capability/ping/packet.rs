//! ICMP echo as bytes: requests made, whatever comes in understood. Pure: no socket, no clock.

/// Head and payload of a request, as ping(8) sends them: some devices drop what looks odd.
const BYTES: usize = 64;
/// Type, code and checksum.
const HEAD: usize = 4;
/// ICMP's and ICMPv6's numbers in an IP header.
const ICMP: u8 = 1;
const ICMPV6: u8 = 58;

/// Which of the two protocols.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Family {
    V4,
    V6,
}

/// What a request carries and its answer brings back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Mark {
    /// The kernel's to choose on a datagram socket.
    pub identifier: u16,
    pub sequence: u16,
    /// Not to be guessed: nobody who didn't see the request can answer it.
    pub cookie: u64,
}

/// What came in, as far as it is about a request of somebody's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Heard {
    Reply(Mark),
    /// Somebody on the way says that it can't be delivered.
    Undeliverable(Mark),
}

impl Family {
    /// (request, reply, can't be delivered, time exceeded)
    fn types(self) -> (u8, u8, u8, u8) {
        match self {
            Self::V4 => (8, 0, 3, 11),
            Self::V6 => (128, 129, 1, 3),
        }
    }
}

/// An echo request, ready to send.
pub fn request(family: Family, mark: Mark) -> Vec<u8> {
    let mut packet = Vec::with_capacity(BYTES);
    packet.extend([family.types().0, 0, 0, 0]);
    packet.extend(mark.identifier.to_be_bytes());
    packet.extend(mark.sequence.to_be_bytes());
    packet.extend(mark.cookie.to_be_bytes());
    packet.resize(BYTES, 0);
    // ICMPv6's covers the addresses too, which only the kernel knows: it fills that one in.
    if family == Family::V4 {
        let sum = checksum(&packet).to_be_bytes();
        if let Some(place) = packet.get_mut(2..HEAD) {
            place.copy_from_slice(&sum);
        }
    }
    packet
}

/// Understands what a socket received; `raw`: an IPv4 packet comes with its IP header.
pub fn read(family: Family, raw: bool, bytes: &[u8]) -> Option<Heard> {
    let message = if raw && family == Family::V4 { inside(family, bytes)? } else { bytes };
    let (_, reply, unreachable, exceeded) = family.types();
    match *message.first()? {
        kind if kind == reply => Some(Heard::Reply(mark(message)?)),
        kind if kind == unreachable || kind == exceeded => {
            // Four bytes of its own, then the packet it is about, as far as it is quoted.
            let quoted = inside(family, message.get(HEAD + 4..)?)?;
            (*quoted.first()? == family.types().0).then_some(())?;
            Some(Heard::Undeliverable(mark(quoted)?))
        }
        _ => None,
    }
}

/// The ICMP message in an IP packet.
fn inside(family: Family, packet: &[u8]) -> Option<&[u8]> {
    let (protocol_at, expected, length) = match family {
        Family::V4 => (9, ICMP, usize::from(*packet.first()? & 0x0f) * 4),
        Family::V6 => (6, ICMPV6, 40),
    };
    (*packet.get(protocol_at)? == expected).then_some(())?;
    packet.get(length..)
}

fn mark(message: &[u8]) -> Option<Mark> {
    let (identifier, rest) = message.get(HEAD..)?.split_first_chunk()?;
    let (sequence, rest) = rest.split_first_chunk()?;
    let (cookie, _) = rest.split_first_chunk()?;
    Some(Mark { identifier: u16::from_be_bytes(*identifier), sequence: u16::from_be_bytes(*sequence), cookie: u64::from_be_bytes(*cookie) })
}

/// The internet checksum (RFC 1071).
fn checksum(bytes: &[u8]) -> u16 {
    let words = bytes.chunks(2).map(|pair| match *pair {
        [high, low] => u16::from_be_bytes([high, low]),
        [high] => u16::from_be_bytes([high, 0]),
        _ => 0,
    });
    let sum = words.fold(0_u32, |sum, word| sum + u32::from(word));
    let folded = (sum & 0xffff) + (sum >> 16);
    !(((folded & 0xffff) + (folded >> 16)) as u16)
}
