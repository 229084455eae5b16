# SPDX-License-Identifier: BSD-3-Clause
"""Frames as bytes, to and from pcap files for the net_pcap driver."""

import contextlib
import logging

logging.getLogger("scapy").setLevel(logging.ERROR)

from scapy.layers.inet import IP, UDP  # noqa: E402 (the log level comes first)
from scapy.layers.l2 import Ether  # noqa: E402
from scapy.utils import RawPcapReader, RawPcapWriter  # noqa: E402

_LINKTYPE_ETHERNET = 1


def udp_frame(number, size=64, source="02:11:11:11:11:11", destination="02:22:22:22:22:22"):
    """A frame of `size` bytes (without checksum of the wire) that carries its number."""
    head = (Ether(src=source, dst=destination)
            / IP(src="10.0.0.1", dst="10.0.0.2", id=number & 0xffff)
            / UDP(sport=1024, dport=1024))
    payload = number.to_bytes(4, "big")
    return bytes(head / (payload + bytes(max(0, size - len(head) - len(payload)))))


def write_pcap(path, frames):
    """Write frames (bytes) for --vdev=net_pcapN,rx_pcap=PATH."""
    with RawPcapWriter(str(path), linktype=_LINKTYPE_ETHERNET) as writer:
        writer.write_header(None)
        for frame in frames:
            writer.write_packet(frame)
    return path


def read_pcap(path):
    """Frames (bytes) of --vdev=net_pcapN,tx_pcap=PATH; complete once the forwarder has ended."""
    with contextlib.closing(RawPcapReader(str(path))) as reader:
        return [frame for frame, _ in reader]


def rewritten(frame, tx_port, tx_mac):
    """What the forwarder must make of a frame: tx_mac is the port's address, as bytes."""
    destination = bytes([2, 0, 0, 0, tx_port >> 8, tx_port & 0xff])
    return destination + tx_mac + frame[12:]
