//! Messages written, for tests and load generators. Nothing is checked: what does
//! not make sense can be written too, which is what tests want.

use std::net::IpAddr;

use crate::template::Field;

/// One NetFlow v5 datagram.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct NetFlow5 {
    /// Exporter's uptime, ms.
    pub uptime_ms: u32,
    /// Seconds since the epoch.
    pub unix_secs: u32,
    /// And the nanoseconds after.
    pub unix_nsecs: u32,
    /// Flow sequence number.
    pub sequence: u32,
    /// Engine type.
    pub engine_type: u8,
    /// Engine id.
    pub engine_id: u8,
    /// Two bits of mode, 14 bits of interval.
    pub sampling: u16,
    /// At most 30 for a datagram that makes sense.
    pub flows: Vec<Flow5>,
}

/// One flow of a NetFlow v5 datagram. What OVS leaves zero is zero here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Flow5 {
    /// Source address.
    pub src: [u8; 4],
    /// Destination address.
    pub dst: [u8; 4],
    /// Input interface.
    pub input: u16,
    /// Output interface.
    pub output: u16,
    /// Packets.
    pub packets: u32,
    /// Octets.
    pub bytes: u32,
    /// Uptime at the first packet, ms.
    pub first_ms: u32,
    /// Uptime at the last packet, ms.
    pub last_ms: u32,
    /// Source port.
    pub src_port: u16,
    /// Destination port, or ICMP type and code.
    pub dst_port: u16,
    /// TCP flags.
    pub tcp_flags: u8,
    /// IP protocol.
    pub protocol: u8,
    /// Type of service.
    pub tos: u8,
}

impl NetFlow5 {
    /// The datagram.
    pub fn encode(&self) -> Vec<u8> {
        let mut body = Body::default();
        body.u16(5)
            .u16(low16(self.flows.len()))
            .u32(self.uptime_ms)
            .u32(self.unix_secs);
        body.u32(self.unix_nsecs)
            .u32(self.sequence)
            .u8(self.engine_type)
            .u8(self.engine_id)
            .u16(self.sampling);
        for flow in &self.flows {
            body.bytes(&flow.src)
                .bytes(&flow.dst)
                .u32(0)
                .u16(flow.input)
                .u16(flow.output);
            body.u32(flow.packets)
                .u32(flow.bytes)
                .u32(flow.first_ms)
                .u32(flow.last_ms);
            body.u16(flow.src_port)
                .u16(flow.dst_port)
                .u8(0)
                .u8(flow.tcp_flags)
                .u8(flow.protocol);
            body.u8(flow.tos).bytes(&[0; 8]);
        }
        body.into_bytes()
    }
}

/// Values one after another, big-endian.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Body(Vec<u8>);

impl Body {
    /// Appends octets.
    pub fn bytes(&mut self, bytes: &[u8]) -> &mut Self {
        self.0.extend_from_slice(bytes);
        self
    }

    /// Appends 8 bits.
    pub fn u8(&mut self, value: u8) -> &mut Self {
        self.bytes(&[value])
    }

    /// Appends 16 bits.
    pub fn u16(&mut self, value: u16) -> &mut Self {
        self.bytes(&value.to_be_bytes())
    }

    /// Appends 32 bits.
    pub fn u32(&mut self, value: u32) -> &mut Self {
        self.bytes(&value.to_be_bytes())
    }

    /// Appends 64 bits.
    pub fn u64(&mut self, value: u64) -> &mut Self {
        self.bytes(&value.to_be_bytes())
    }

    /// Appends an address in 4 or 16 octets.
    pub fn addr(&mut self, address: IpAddr) -> &mut Self {
        match address {
            IpAddr::V4(address) => self.bytes(&address.octets()),
            IpAddr::V6(address) => self.bytes(&address.octets()),
        }
    }

    /// Appends a value with its length before it (RFC 7011 §7): one octet of length
    /// below 255 octets, else three.
    pub fn variable(&mut self, value: &[u8]) -> &mut Self {
        match u8::try_from(value.len()) {
            Ok(length) if length < u8::MAX => self.u8(length),
            _ => self.u8(u8::MAX).u16(low16(value.len())),
        };
        self.bytes(value)
    }

    /// Appends a value with the three-octet length that is allowed for short ones too.
    pub fn variable_long(&mut self, value: &[u8]) -> &mut Self {
        self.u8(u8::MAX).u16(low16(value.len())).bytes(value)
    }

    /// The octets.
    pub fn into_bytes(self) -> Vec<u8> {
        self.0
    }
}

/// An IPFIX message in the making.
#[derive(Debug, Clone)]
pub struct Ipfix(Body);

impl Ipfix {
    /// A message without sets.
    pub fn new(export_secs: u32, sequence: u32, domain: u32) -> Self {
        let mut body = Body::default();
        body.u16(10).u16(0).u32(export_secs).u32(sequence).u32(domain);
        Self(body)
    }

    /// Adds a set with any id and content.
    #[must_use]
    pub fn set(mut self, id: u16, content: &[u8]) -> Self {
        append_set(&mut self.0, id, content);
        self
    }

    /// Adds a template set with one template.
    #[must_use]
    pub fn template(self, id: u16, fields: &[Field]) -> Self {
        let mut body = Body::default();
        body.u16(id).u16(low16(fields.len()));
        append_specifiers(&mut body, fields);
        self.set(2, &body.0)
    }

    /// Adds an options template set with one template, whose first `scope` fields
    /// are its scope.
    #[must_use]
    pub fn options_template(self, id: u16, scope: u16, fields: &[Field]) -> Self {
        let mut body = Body::default();
        body.u16(id).u16(low16(fields.len())).u16(scope);
        append_specifiers(&mut body, fields);
        self.set(3, &body.0)
    }

    /// The message, its length filled in.
    pub fn encode(self) -> Vec<u8> {
        let mut bytes = self.0.into_bytes();
        let length = low16(bytes.len()).to_be_bytes();
        for (place, octet) in bytes.iter_mut().skip(2).zip(length) {
            *place = octet;
        }
        bytes
    }
}

/// A NetFlow v9 message in the making.
#[derive(Debug, Clone)]
pub struct NetFlow9(Body);

impl NetFlow9 {
    /// A message without flowsets that claims `count` records.
    pub fn new(count: u16, uptime_ms: u32, unix_secs: u32, sequence: u32, source: u32) -> Self {
        let mut body = Body::default();
        body.u16(9)
            .u16(count)
            .u32(uptime_ms)
            .u32(unix_secs)
            .u32(sequence)
            .u32(source);
        Self(body)
    }

    /// Adds a flowset with any id and content.
    #[must_use]
    pub fn set(mut self, id: u16, content: &[u8]) -> Self {
        append_set(&mut self.0, id, content);
        self
    }

    /// Adds a template flowset with one template.
    #[must_use]
    pub fn template(self, id: u16, fields: &[Field]) -> Self {
        let mut body = Body::default();
        body.u16(id).u16(low16(fields.len()));
        append_specifiers(&mut body, fields);
        self.set(0, &body.0)
    }

    /// Adds an options template flowset with one template.
    #[must_use]
    pub fn options_template(self, id: u16, scope: &[Field], options: &[Field]) -> Self {
        let mut body = Body::default();
        body.u16(id)
            .u16(low16(scope.len() * 4))
            .u16(low16(options.len() * 4));
        append_specifiers(&mut body, scope);
        append_specifiers(&mut body, options);
        self.set(1, &body.0)
    }

    /// The message.
    pub fn encode(self) -> Vec<u8> {
        self.0.into_bytes()
    }
}

fn append_set(body: &mut Body, id: u16, content: &[u8]) {
    body.u16(id).u16(low16(content.len() + 4)).bytes(content);
}

fn append_specifiers(body: &mut Body, fields: &[Field]) {
    for field in fields {
        if field.enterprise == 0 {
            body.u16(field.id).u16(field.width);
        } else {
            body.u16(field.id | 0x8000).u16(field.width).u32(field.enterprise);
        }
    }
}

/// Lengths that do not fit their field are written modulo 65,536.
fn low16(length: usize) -> u16 {
    (length & 0xffff) as u16
}
