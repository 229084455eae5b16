# SPDX-License-Identifier: BSD-3-Clause
"""Network namespaces, and paths through the forwarder between two of them."""

import json
import re
import subprocess

from .deadline import wait_until

# Addresses of the two ends of a path; the forwarder is a wire between them.
ADDRESSES = ("10.99.0.1", "10.99.0.2")


def run(*argv, check=True, timeout=60):
    """Run a command to its end; its CompletedProcess. A failure shows what the command said."""
    argv = [str(arg) for arg in argv]
    done = subprocess.run(argv, capture_output=True, text=True, timeout=timeout,
                          stdin=subprocess.DEVNULL)
    if check and done.returncode != 0:
        raise AssertionError(
            f"$ {' '.join(argv)}\nexit {done.returncode}\n{done.stdout}{done.stderr}")
    return done


def mac_of_port(port):
    """The destination that the forwarder gives to frames that leave by a port."""
    return f"02:00:00:00:{port >> 8:02x}:{port & 0xff:02x}"


def link(name, namespace=None):
    """What `ip link` knows of an interface, as a dictionary; None if there is no such one."""
    where = ["-n", namespace] if namespace else []
    done = run("ip", *where, "-j", "link", "show", "dev", name, check=False)
    return json.loads(done.stdout)[0] if done.returncode == 0 else None


class Namespace:
    """A network namespace with lo up."""

    def __init__(self, name):
        self.name = name
        run("ip", "netns", "add", name)
        self.run("sysctl", "-qw", "net.ipv6.conf.all.disable_ipv6=1",
                 "net.ipv6.conf.default.disable_ipv6=1", check=False)
        self.ip("link", "set", "lo", "up")

    def close(self):
        run("ip", "netns", "del", self.name, check=False)

    def command(self, *argv):
        """The command line that runs argv inside."""
        return ["ip", "netns", "exec", self.name, *(str(arg) for arg in argv)]

    def run(self, *argv, check=True, timeout=60):
        return run(*self.command(*argv), check=check, timeout=timeout)

    def ip(self, *argv):
        return run("ip", "-n", self.name, *argv)

    def adopt(self, interface, mac, address):
        """Move an interface in and make it an end of a path."""
        run("ip", "link", "set", "dev", interface, "netns", self.name)
        self.configure(interface, mac, address)

    def configure(self, interface, mac, address):
        self.ip("link", "set", "dev", interface, "address", mac)
        self.ip("address", "add", f"{address}/24", "dev", interface)
        self.ip("link", "set", "dev", interface, "up")


class Path:
    """Two namespaces, `a` at port 0 and `b` at port 1, with the forwarder between them."""

    def __init__(self, tag):
        self.a = Namespace(f"a{tag}")
        self.b = Namespace(f"b{tag}")
        self.address_a, self.address_b = ADDRESSES

    def close(self):
        self.a.close()
        self.b.close()

    def ends(self):
        return zip((self.a, self.b), ADDRESSES, range(2))

    def ping(self, count=3, interval=0.01, size=56, timeout=10):
        """Ping b from a; (sent, received): the count, and how many of these were answered.

        With -w, ping waits that many whole seconds for the last answer. Without, it would wait for
        no longer than some round trips, and a moment without a CPU would look like a lost frame.
        """
        done = self.a.run("ping", "-n", "-c", count, "-i", interval, "-s", size, "-w", timeout,
                          self.address_b, check=False)
        answered = {int(number) for number in re.findall(r"icmp_seq=(\d+) ttl=", done.stdout)}
        return count, sum(number <= count for number in answered)

    def is_open(self):
        """Whether a ping crosses now."""
        return self.a.run("ping", "-n", "-c", 1, "-W", 0.2, "-q", self.address_b,
                          check=False).returncode == 0

    def wait_open(self):
        """Wait until a ping crosses."""
        wait_until(self.is_open, "a ping across")


class TapPath(Path):
    """Path through two net_tap ports. Needs a running forwarder: attach() takes its taps."""

    def __init__(self, tag):
        super().__init__(tag)
        self.interfaces = [f"tap{tag}x{port}" for port in range(2)]

    @property
    def vdevs(self):
        return [f"net_tap{port},iface={name}" for port, name in enumerate(self.interfaces)]

    def attach(self):
        for (namespace, address, port), name in zip(self.ends(), self.interfaces):
            wait_until(lambda name=name: link(name), f"interface {name}")
            namespace.adopt(name, mac_of_port(port), address)
        self.wait_open()


class VethPath(Path):
    """Path through two net_af_packet ports on veth pairs, which are there before the forwarder."""

    def __init__(self, tag):
        super().__init__(tag)
        self.interfaces = [f"veth{tag}x{port}" for port in range(2)]
        for (namespace, address, port), name in zip(self.ends(), self.interfaces):
            run("ip", "link", "add", name, "type", "veth", "peer", "name", "far",
                "netns", namespace.name)
            namespace.configure("far", mac_of_port(port), address)
            # The packet socket must see frames as a wire would carry them.
            run("ethtool", "-K", name, "gro", "off", "gso", "off", "tso", "off", "tx", "off")
            namespace.run("ethtool", "-K", "far", "gro", "off", "gso", "off", "tso", "off",
                          "tx", "off")
            run("ip", "link", "set", "dev", name, "up")

    @property
    def vdevs(self):
        return [f"net_af_packet{port},iface={name}" for port, name in enumerate(self.interfaces)]

    def close(self):
        for name in self.interfaces:
            run("ip", "link", "del", name, check=False)
        super().close()
