#!/usr/bin/env python3
"""Writes the seed corpora of fuzz_decode and fuzz_capture: one small input for each thing the code knows.
usage: seeds_packets.py FOLDER      (FOLDER/decode and FOLDER/capture are filled)"""
import struct
import sys
from pathlib import Path

IP, ETHERNET, NULL, SLL, SLL2, PPP, PPPOE = range(7)
LONGER, EGRESS, SUPER = 0x08, 0x10, 0x20


def be(*words):
    return b''.join(struct.pack('>H', w) for w in words)


def udp(payload=b''):
    return be(1000, 53, 8 + len(payload), 0) + payload


def tcp(flags, words=5):
    return be(1000, 443, 0, 1, 0, 2, words << 12 | flags, 512, 0, 0) + bytes(4 * (words - 5))


def ipv4(protocol, payload, fragment=0, options=b'', length=None):
    header = 20 + len(options)
    total = header + len(payload) if length is None else length
    return (bytes([0x40 | header // 4, 0]) + be(total, 7, fragment) + bytes([64, protocol]) + be(0)
            + bytes([10, 0, 0, 1, 10, 0, 0, 2]) + options + payload)


def ipv6(following, payload, length=None):
    return (b'\x60\0\0\0' + be(len(payload) if length is None else length) + bytes([following, 64])
            + bytes.fromhex('20010db8000000000000000000000001') + bytes.fromhex('20010db8000000000000000000000002')
            + payload)


def extension(following, words=0, body=b''):
    return bytes([following, words]) + body.ljust(6 + 8 * words, b'\0')


def ethernet(kind, payload):
    return bytes.fromhex('020000000001020000000002') + be(kind) + payload


def label(number, bottom, payload):
    return struct.pack('>I', number << 12 | bottom << 8 | 64) + payload


U4, U6 = ipv4(17, udp(b'x')), ipv6(17, udp(b'x'))
T4, T6 = ipv4(6, tcp(0x012)), ipv6(6, tcp(0x012))


def decode_seeds():
    pppoe = b'\x11\0\0\1\0\x20'
    yield 'raw_udp4', IP, U4
    yield 'raw_tcp6_egress', IP | EGRESS, T6
    yield 'super_tcp4', IP | SUPER, ipv4(6, tcp(0x10) + bytes(50))
    yield 'super_tcp6', IP | SUPER, ipv6(6, tcp(0x10, 8) + bytes(50))
    yield 'big_tcp4', IP | SUPER | LONGER, ipv4(6, tcp(0x10), length=0)
    yield 'big_tcp6', IP | SUPER | LONGER, ipv6(6, tcp(0x10), length=0)
    yield 'jumbogram', IP | LONGER, ipv6(0, extension(17, 0, b'\xc2\x04' + struct.pack('>I', 90000)) + udp(), length=0)
    yield 'icmp', IP, ipv4(1, b'\x08\0\0\0\0\1\0\1')
    yield 'icmp6', IP, ipv6(58, b'\x80\0\0\0\0\1\0\1')
    yield 'sctp', IP, ipv4(132, be(5000, 5001, 0, 1, 0, 0))
    yield 'gre', IP, ipv4(47, be(0, 0x800) + U4)
    yield 'options', IP, ipv4(6, tcp(2), options=b'\x83\x07\x04\x0a\0\0\3\0')
    yield 'header_length', IP, b'\x44' + U4[1:]
    yield 'total_length', IP, ipv4(17, udp(), length=19)
    yield 'snapped', IP | LONGER, T4[:23]
    yield 'fragment_first', IP, ipv4(17, udp(bytes(16)), fragment=0x2000)
    yield 'fragment_later', IP, ipv4(17, bytes(24), fragment=3)
    yield 'fragment6_first', IP, ipv6(44, b'\x11\0\0\1\0\0\0\7' + udp(bytes(8)))
    yield 'fragment6_later', IP, ipv6(44, b'\x11\0\0\x18\0\0\0\7' + bytes(16))
    yield 'extensions', IP, ipv6(0, extension(43) + extension(60, 1) + extension(51) + extension(6, 2) + bytes(0) + tcp(2))
    yield 'ethernet', ETHERNET, ethernet(0x800, T4)
    yield 'arp', ETHERNET, ethernet(0x806, bytes(28))
    yield 'vlan', ETHERNET, ethernet(0x8100, be(5, 0x86dd) + U6)
    yield 'qinq', ETHERNET, ethernet(0x88a8, be(5, 0x9100, 6, 0x9200, 7, 0x8100, 8, 0x800) + U4)
    yield 'vlan_deep', ETHERNET, ethernet(0x8100, be(5, 0x8100) * 10 + U4)
    yield 'mpls', ETHERNET, ethernet(0x8847, label(100, 0, label(200, 1, U4)))
    yield 'mpls_null6', ETHERNET, ethernet(0x8848, label(2, 1, U6))
    yield 'mpls_deep', ETHERNET, ethernet(0x8847, label(9, 0, b'') * 20)
    yield 'pseudowire', ETHERNET, ethernet(0x8847, label(100, 1, bytes(4) + ethernet(0x8847, label(7, 1, U6))))
    yield 'pppoe', ETHERNET, ethernet(0x8864, pppoe + be(0x21) + U4)
    yield 'snap', ETHERNET, ethernet(40, bytes.fromhex('aaaa030000000800') + U4)
    yield 'llc_ip', ETHERNET, ethernet(32, b'\6\6\3' + U4)
    yield 'null', NULL, b'\2\0\0\0' + U4
    yield 'loop6', NULL, b'\0\0\0\x1e' + U6
    yield 'sll', SLL, be(4, 1, 6, 0x200, 0, 1, 0, 0x800) + U4
    yield 'sll2', SLL2, be(0x86dd, 0, 0, 2, 1, 0x406, 0x200, 0, 1, 0) + U6
    yield 'ppp', PPP, b'\0\x21' + U4
    yield 'ppp_hdlc6', PPP, b'\xff\3\0\x57' + U6
    yield 'ppp_compressed', PPP, b'\x21' + U4
    yield 'ppp_mpls', PPP, b'\xff\3\2\x81' + label(5, 1, U4)
    yield 'cisco_hdlc', PPP, b'\x0f\0\x08\0' + U4
    yield 'pppoe_link', PPPOE, pppoe + be(0x57) + U6


def pcap(order, magic, link, *records, extra=b''):
    out = struct.pack(order + 'IHHIIII', magic, 2, 4, 0, 0, 65535, link)
    for n, data in enumerate(records):
        out += struct.pack(order + 'IIII', 1700000000 + n, n, len(data), len(data) + 5) + extra + data
    return out


class Pcapng:
    def __init__(self, order):
        self.order = order
        self.section = self.block(0x0a0d0d0a, self.pack('IHHq', 0x1a2b3c4d, 1, 0, -1))

    def pack(self, form, *values):
        return struct.pack(self.order + form, *values)

    def block(self, kind, body):
        body += bytes(-len(body) % 4)
        length = self.pack('I', len(body) + 12)
        return self.pack('I', kind) + length + body + length

    def option(self, code, value):
        return self.pack('HH', code, len(value)) + value + bytes(-len(value) % 4)

    def interface(self, link, *options, snap=0):
        return self.block(1, self.pack('HHI', link, 0, snap) + b''.join(options))

    def packet(self, interface, stamp, data, *options):
        return self.block(6, self.pack('IIIII', interface, stamp >> 32, stamp & 0xffffffff, len(data), len(data))
                          + data + bytes(-len(data) % 4) + b''.join(options))


def capture_seeds():
    for name, order in (('little', '<'), ('big', '>')):
        yield f'micro_{name}', pcap(order, 0xa1b2c3d4, 101, U4, T6)
        yield f'nano_{name}', pcap(order, 0xa1b23c4d, 1, ethernet(0x800, U4))
        yield f'kuznetzov_{name}', pcap(order, 0xa1b2cd34, 101, U4, extra=bytes(8))
        yield f'sll_{name}', pcap(order, 0xa1b2c3d4, 113, be(4, 1, 6, 0x200, 0, 1, 0, 0x800) + U4)
        yield f'cut_{name}', pcap(order, 0xa1b2c3d4, 101, U4, U4)[:-3]
        f = Pcapng(order)
        yield f'pcapng_{name}', (f.section + f.interface(1, f.option(2, b'eth0'), f.option(3, b'text'), f.option(9, b'\t'))
                                 + f.packet(0, 1700000000123456789, ethernet(0x800, U4), f.option(2, f.pack('I', 2)))
                                 + f.block(5, bytes(12)) + f.packet(0, 1700000000223456789, ethernet(0x800, U4)))
        yield f'blocks_{name}', (f.section + f.interface(101, f.option(14, f.pack('q', 1600000000)), f.option(9, b'\x8a'), snap=24)
                                 + f.block(3, f.pack('I', len(U4)) + U4[:24])
                                 + f.block(2, f.pack('HHIIII', 0, 0, 0, 5, len(U4), len(U4)) + U4))
        other = Pcapng('<' if order == '>' else '>')
        yield f'sections_{name}', (f.section + f.interface(101) + f.packet(0, 1, U4)
                                   + other.section + other.interface(105) + other.interface(1, other.option(2, b'wg0'))
                                   + other.packet(1, 2, ethernet(0x86dd, U6)) + other.packet(0, 3, U4))
    yield 'link_unknown', pcap('<', 0xa1b2c3d4, 147, U4)
    yield 'gzip', b'\x1f\x8b\x08\0'
    yield 'length_lies', pcap('<', 0xa1b2c3d4, 101, U4)[:-len(U4) - 8] + b'\xff' * 8 + U4


def main(folder):
    for name, first, frame in decode_seeds():
        path = Path(folder) / 'decode' / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(bytes([first]) + frame)
    for name, octets in capture_seeds():
        path = Path(folder) / 'capture' / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(octets)


if __name__ == '__main__':
    main(sys.argv[1])
