"""Answers, with network-config-analyzer, whether policies allow connections, or what a change does.

Each line of the input is {"objects": [Namespace, Pod, NetworkPolicy...], "calls": [[client,
server, protocol, port]...]}, where an end is namespace/pod or an address; each line of the
output has a 1 (allowed) or a 0 for each call. With "before", the objects before a change, it has
a + (allowed now), a - (not any more) or a . (as before) for each.
"""

import contextlib
import io
import ipaddress
import json
import os
import re
import sys
import tempfile

from nca import nca_cli

# "x/p0 => y/p1 : All connections" or cubes as {protocols:TCP,UDP,dst_ports:80-90}
LINE = re.compile(r"^(\S.*?) => (\S.*?) : (.*)$")
CUBE = re.compile(r"\{(?:protocols:(?P<protocols>.*?))?,?(?:dst_ports:(?P<ports>[-0-9, ]*))?\}")


def protocols_of(text):
    """A function that tells whether a protocol is among those named."""
    if text is None:
        return lambda protocol: True
    named = re.split(r",\s*", text.removeprefix("all but "))
    return lambda protocol: (protocol in named) != text.startswith("all but ")


def ports_of(text):
    if text is None:
        return lambda port: True
    ranges = [part.strip().split("-") for part in text.split(",")]
    return lambda port: any(int(of[0]) <= port <= int(of[-1]) for of in ranges)


def connections_of(text):
    """A function of protocol and port that tells whether a line's connections have it."""
    if text == "All connections":
        return lambda protocol, port: True
    if text == "No connections":
        return lambda protocol, port: False
    is_complement = text.startswith("All but ")
    cubes = [(protocols_of(cube["protocols"]), ports_of(cube["ports"])) for cube in CUBE.finditer(text)]
    left = CUBE.sub("", text.removeprefix("All but ")).strip(", ")
    if not cubes or left:
        raise ValueError(f"cannot read the connections {text!r}")
    return lambda protocol, port: is_complement != any(
        of_protocol(protocol) and of_port(port) for of_protocol, of_port in cubes
    )


def ends_of(text):
    """A function that tells whether an end, a pod's name or an address, is one of a line's."""
    parts = text.split(",")
    ranges = []
    for part in parts:
        if "/" in part and not part[0].isdigit():
            continue
        first, _, last = part.partition("-")
        network = ipaddress.ip_network(first, strict=False)
        last = ipaddress.ip_address(last) if last else network.broadcast_address
        ranges.append((network.network_address, last))

    def has(end):
        if "/" in end:
            return end in parts
        address = ipaddress.ip_address(end)
        return any(first.version == address.version and first <= address <= last for first, last in ranges)

    return has


def accepted(object_):
    """The object as the analyzer takes it: it refuses policyTypes in another order."""
    types = object_.get("spec", {}).get("policyTypes")
    if types:
        object_["spec"]["policyTypes"] = sorted(types, reverse=True)
    return object_


def run(query, worlds):
    """What a query prints about worlds, the newest first."""
    with tempfile.TemporaryDirectory() as folder:
        output = os.path.join(folder, "output.txt")
        arguments = [query, "-o", "txt_no_fw_rules", "--output_endpoints", "pods", "-f", output]
        for option, objects in zip(["--resource_list", "--base_resource_list"], worlds):
            world = os.path.join(folder, option.strip("-") + ".yaml")
            with open(world, "w", encoding="utf-8") as file:
                file.write("\n---\n".join(json.dumps(accepted(object_)) for object_ in objects))
            arguments += [option, world]
        said = io.StringIO()
        with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(said):
            failed = nca_cli.nca_main(arguments)
        if failed > 1:
            raise RuntimeError(f"network-config-analyzer failed with {failed}: {said.getvalue()}")
        with open(output, encoding="utf-8") as file:
            return file.read().splitlines()


def parsed(lines):
    """Clients, servers and connections of those lines that have them."""
    found = [LINE.match(line) for line in lines if " => " in line]
    if not all(found):
        raise ValueError(f"cannot read all of {lines}")
    return [(ends_of(line[1]), ends_of(line[2]), connections_of(line[3])) for line in found]


def answers(lines, calls):
    """For each call whether some line has it."""
    known = {}
    for client, server, protocol, port in calls:
        pair = (client, server)
        if pair not in known:
            known[pair] = [has for clients, servers, has in lines if clients(client) and servers(server)]
        yield any(has(protocol, port) for has in known[pair])


def difference(question):
    """+, - or . for each call."""
    sections = {"Added": [], "Removed": []}
    section = None
    for line in run("--semantic_diff", [question["objects"], question["before"]]):
        if not LINE.match(line):
            section = sections.get(line.partition(" ")[0], section)
        elif section is not None:
            section.append(line)
    added, removed = (answers(parsed(sections[name]), question["calls"]) for name in ("Added", "Removed"))
    return "".join("+" if is_added else "-" if is_removed else "." for is_added, is_removed in zip(added, removed))


def main():
    for line in sys.stdin:
        question = json.loads(line)
        if "before" in question:
            print(difference(question), flush=True)
            continue
        lines = parsed(run("--connectivity", [question["objects"]]))
        print("".join("01"[is_allowed] for is_allowed in answers(lines, question["calls"])), flush=True)


if __name__ == "__main__":
    main()
