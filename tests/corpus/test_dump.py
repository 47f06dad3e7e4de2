#!/usr/bin/env python3
"""weir dump over every flow-export case of the corpus, against the decode of tshark that lies beside each capture.

Every record must be there, in the same order, and every field must have the same value, both ways: a field that
only one of the two shows is an error unless a table below says why."""
import gzip
import json
import os
import re
import struct
import subprocess
import sys
from datetime import datetime, timezone
from decimal import Decimal
from ipaddress import ip_address
from pathlib import Path

# IANA element -> where tshark shows it. Elements with the same key share its values in the order of the template.
KEYS = {
    "VRFname": "vrfname",
    "bgpDestinationAsNumber": "dstas",
    "bgpNextAdjacentAsNumber": "peer_dstas",
    "bgpNextHopIPv4Address": "bgpnexthop",
    "bgpNextHopIPv6Address": "bgpnexthopv6",
    "bgpPrevAdjacentAsNumber": "peer_srcas",
    "bgpSourceAsNumber": "srcas",
    "biflowDirection": "biflow_direction",
    "connectionSumDurationSeconds": "connection_sum_duration_seconds",
    "dataLinkFrameSection": "data_link_frame_section",
    "dataLinkFrameSize": "data_link_frame_size",
    "destinationIPv4Address": "dstaddr",
    "destinationIPv4PrefixLength": "dstmask",
    "destinationIPv6Address": "dstaddrv6",
    "destinationIPv6PrefixLength": "dstmaskv6",
    "destinationMacAddress": "dstmac",
    "destinationTransportPort": "dstport",
    "dot1qCustomerVlanId": "dot1q_customer_vlan_id",
    "dot1qPriority": "dot1q_priority",
    "dot1qVlanId": "dot1q_vlan_id",
    "droppedPacketTotalCount": "drop_total_packets",
    "egressInterface": "outputint",
    "egressVRFID": "egress_vrfid",
    "ethernetType": "ethernet_type",
    "exportProtocolVersion": "export_protocol_version",
    "exportTransportProtocol": "exporter_protocol",
    "exportedFlowRecordTotalCount": "flowsexp",
    "exportedMessageTotalCount": "packetsexp",
    "exportedOctetTotalCount": "octetsexp",
    "exporterIPv4Address": "exporter_addr",
    "exporterIPv6Address": "exporter_addr_v6",
    "exportingProcessId": "flow_exporter",
    "firewallEvent": "firewall_event",
    "flowActiveTimeout": "flow_active_timeout",
    "flowDirection": "direction",
    "flowEndMicroseconds": "abstimeend",
    "flowEndMilliseconds": "abstimeend",
    "flowEndReason": "flow_end_reason",
    "flowEndSeconds": "abstimeend",
    "flowId": "flow_id",
    "flowIdleTimeout": "flow_inactive_timeout",
    "flowLabelIPv6": "ipv6flowlabel",
    "flowSelectorAlgorithm": "flow_selector_algorithm",
    "flowStartMicroseconds": "abstimestart",
    "flowStartMilliseconds": "abstimestart",
    "flowStartSeconds": "abstimestart",
    "fragmentIdentification": "frag_ident",
    "icmpTypeCodeIPv4": "icmp_type_code_ipv4",
    "ignoredPacketTotalCount": "ignore_packets",
    "ingressInterface": "inputint",
    "ingressVRFID": "ingress_vrfid",
    "initiatorOctets": "initiator_octets",
    "initiatorPackets": "initiator_packets",
    "interfaceDescription": "if_descr",
    "interfaceName": "if_name",
    "ipClassOfService": "tos",
    "ipDiffServCodePoint": "ip_dscp",
    "ipNextHopIPv4Address": "nexthop",
    "ipNextHopIPv6Address": "nexthopv6",
    "ipPrecedence": "ip_precedence",
    "ipTTL": "ip_ttl",
    "ipVersion": "ip_version",
    "ipv6ExtensionHeaders": "ipv6_exthdr",
    "isMulticast": "is_multicast",
    "layer2SegmentId": "layer2_segment_id",
    "maximumIpTotalLength": "length_max",
    "maximumTTL": "ttl_max",
    "meteringProcessId": "mp_id",
    "minimumIpTotalLength": "length_min",
    "minimumTTL": "ttl_min",
    "mplsTopLabelIPv4Address": "toplabeladdr",
    "mplsTopLabelIPv6Address": "toplabeladdr_v6",
    "mplsTopLabelPrefixLength": "mpls_top_label_prefix_length",
    "mplsTopLabelType": "toplabeltype",
    "mplsVpnRouteDistinguisher": "mpls_vpn_rd",
    "multicastReplicationFactor": "multicast_replication_factor",
    "newConnectionDeltaCount": "new_connection_delta_count",
    "nextHeaderIPv6": "ipv6_next_hdr",
    "notSentPacketTotalCount": "notsent_packets",
    "observationDomainId": "od_id",
    "observationPointId": "observation_point_id",
    "observationTimeSeconds": "observation_time_seconds",
    "octetDeltaCount": "octets",
    "octetDeltaSumOfSquares": "delta_octets_squared",
    "octetTotalCount": "permanent_octets",
    "packetDeltaCount": "packets",
    "packetTotalCount": "permanent_packets",
    "paddingOctets": "padding",
    "postDestinationMacAddress": "post_dstmac",
    "postIpClassOfService": "post_tos",
    "postNAPTDestinationTransportPort": "post_naptdestination_transport_port",
    "postNAPTSourceTransportPort": "post_naptsource_transport_port",
    "postNATDestinationIPv4Address": "post_natdestination_ipv4_address",
    "postNATSourceIPv4Address": "post_natsource_ipv4_address",
    "protocolIdentifier": "protocol",
    "responderOctets": "responder_octets",
    "responderPackets": "responder_packets",
    "samplerId": "sampler_id",
    "samplerName": "sampler_name",
    "samplingAlgorithm": "sampling_algorithm",
    "samplingInterval": "sampling_interval",
    "samplingPacketInterval": "sampling_packet_interval",
    "samplingPacketSpace": "sampling_packet_space",
    "samplingPopulation": "sampling_population",
    "samplingSize": "sampling_size",
    "selectorAlgorithm": "selector_algorithm",
    "selectorId": "selector_id",
    "selectorName": "selector_name",
    "sourceIPv4Address": "srcaddr",
    "sourceIPv4PrefixLength": "srcmask",
    "sourceIPv6Address": "srcaddrv6",
    "sourceIPv6PrefixLength": "srcmaskv6",
    "sourceMacAddress": "srcmac",
    "sourceTransportPort": "srcport",
    "systemInitTimeMilliseconds": "sys_init_time",
    "tcpControlBits": "tcpflags",
    "templateId": "template_id",
    "vlanId": "vlanid",
}

# What tshark shows beside the fields of the record.
DERIVED = {
    "cflow.timedelta": "end minus start, computed",
}

# tshark 4.0 reads no lists (RFC 6313): it shows octets. This is what their elements were on the wire.
SEMANTICS = {"noneOf": 0, "exactlyOneOf": 1, "oneOrMoreOf": 2, "allOf": 3, "ordered": 4, "undefined": 255}
LIST_SIZES = {"tcpSequenceNumber": 4, "reverseTcpSequenceNumber": 4}

# Data sets that are left out on both sides: (export time, domain, set id).
LEFT_OUT = {
    "mikemiles-dev+netflow_parser/from-test-source/replay.pcap": {
        (16909060, 16909060, 256): "another layout for a live template over UDP: tshark keeps the old one",
        (1744871721, 0, 1): "set id 1 is not IPFIX; tshark reads it as NetFlow 9 does",
        (1744871721, 0, 1256): "its template came in set 1",
        (1412166683, 0, 258): "another layout for a live template over UDP: tshark keeps the old one",
    },
}

# Captures whose statistics must name these reasons: what the origin says is wrong with them.
MALFORMED = {
    "CESNET+ipfixcol/bad-length-in-set/replay.pcap": {"length_over": 1},
    "CESNET+ipfixcol/bad-template-field-count/replay.pcap": {"template_cut": 1},
}


def fail(where, text):
    print(f"{where}: {text}")
    return 1


def pairs(value):
    """tshark's objects have keys more than once, so they are read as lists of pairs."""
    return isinstance(value, list) and bool(value) and isinstance(value[0], tuple)


def objects(value):
    return [value] if pairs(value) else [v for v in value if pairs(v)] if isinstance(value, list) else []


def fields(flow):
    """One flow of tshark -> {key: [values in order]}, without what is only a breakdown of another value."""
    out = {}
    for key, value in flow:
        if key.startswith("Observation Cloud Level"):  # Juniper's element 137 taken apart: 6 bits say what, the rest its value
            for part in objects(value):
                out.setdefault("cpid", []).append(tuple(int(v, 0) for _, v in part))
        elif key == "cflow.timedelta_tree" or key.startswith("Forwarding Status"):
            for part in objects(value):
                for k, values in fields(part).items():
                    out.setdefault(k, []).extend(values)
        elif key.startswith("MPLS-Label"):
            for part in objects(value):
                part = dict(part)
                number = int(part["cflow.mpls_label"]) << 4 | int(part["cflow.mpls_exp"]) << 1
                out.setdefault("mpls", []).append(f"{number | int(part['cflow.mpls_bos']):06x}")
        elif not key.endswith("_tree") and not pairs(value):
            values = value if isinstance(value, list) else [value]
            out.setdefault(key, []).extend(v for v in values if isinstance(v, str))
    return {k: v for k, v in out.items() if not re.fullmatch(r"cflow\.pie\.[a-z]+", k)}  # those are headings


def tshark_flows(path):
    """(export time, domain, set id, fields) of every data record that tshark found in IPFIX messages."""
    opener = gzip.open if path.suffix == ".gz" else open
    with opener(path, "rt", encoding="utf-8") as f:
        frames = json.load(f, object_pairs_hook=lambda p: p)
    for frame in frames:
        for layer, value in dict(frame)["layers"]:
            if layer != "cflow":
                continue
            for message in objects(value):
                head = {k: v for k, v in message if isinstance(v, str)}
                if head.get("cflow.version") != "10":
                    continue
                time = int(dict(dict(message)["cflow.timestamp_tree"])["cflow.exporttime"])
                domain = int(head.get("cflow.od_id", 0))
                for key, sets in message:
                    found = re.match(r"Set \d+ \[id=(\d+)\]", key)
                    for part in objects(sets) if found else []:
                        for name, flow in part:
                            if re.match(r"Flow \d+", name):
                                for one in objects(flow):
                                    yield time, domain, int(found[1]), fields(one)


def epoch(text):
    return int(datetime.strptime(text, "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=timezone.utc).timestamp())


def nanoseconds(text):
    """Both notations: 2009-10-05T06:06:10.695115Z and Oct  5, 2009 06:06:10.695114999 UTC."""
    if text.endswith("Z"):
        whole, _, fraction = text[:-1].partition(".")
        seconds = epoch(whole + "Z")
    else:
        whole, _, fraction = text.removesuffix(" UTC").partition(".")
        at = datetime.strptime(" ".join(whole.split()), "%b %d, %Y %H:%M:%S").replace(tzinfo=timezone.utc)
        seconds = int(at.timestamp())
    return seconds * 10**9 + int((fraction or "0").ljust(9, "0"))


def same_octets(ours, theirs):
    """Octets that weir gives in hexadecimal, against whatever type tshark knows them to have."""
    octets = bytes.fromhex(ours[2:])
    if octets.hex() == theirs.replace(":", "").lower() or octets.rstrip(b"\0") == theirs.encode():
        return True
    try:
        if int(theirs, 0) in (int.from_bytes(octets, "big"), int.from_bytes(octets, "big", signed=True)):
            return True
    except ValueError:
        pass
    if len(octets) in (4, 8) and re.fullmatch(r"-?\d+\.\d+(e[-+]?\d+)?", theirs):
        number = struct.unpack(">f" if len(octets) == 4 else ">d", octets)[0]
        return abs(number - float(theirs)) <= 1e-5 * abs(number)
    try:
        return ip_address(theirs).packed == octets
    except ValueError:
        return False


def same(name, ours, theirs):
    if isinstance(ours, bool):
        return theirs in (("1", "True") if ours else ("0", "2", "False"))
    if isinstance(ours, int):
        return int(theirs, 0) == ours
    if isinstance(ours, float):
        return float(theirs) == ours
    if re.fullmatch(r"\d{4}-\d\d-\d\dT.*Z", ours):
        # tshark cuts the fraction of NTP times off, weir rounds it to the unit of the type.
        return abs(nanoseconds(ours) - nanoseconds(theirs)) <= (1000 if "Microseconds" in name else 1)
    if ours.startswith("0x"):
        return same_octets(ours, theirs)
    try:
        return ip_address(ours) == ip_address(theirs)
    except ValueError:
        return ours == theirs


def flatten(record):
    """(name, value) in the order of the template, arrays taken apart; the scope comes first."""
    for part in (record.get("scope", {}), record):
        for name, value in part.items():
            if part is record and name in ("exportTime", "observationDomainId", "templateId", "scope"):
                continue
            for one in value if isinstance(value, list) else [value]:
                yield {"e0.149": "observationDomainId", "e0.145": "templateId"}.get(name, name), one


def take(left, key, accept):
    """Remove the first value of the key that is accepted."""
    for i, value in enumerate(left.get(key, [])):
        if accept(value):
            left[key].pop(i)
            return True
        return False
    return False


def multi_list(value):
    """A subTemplateMultiList as octets again."""
    out = bytes([SEMANTICS[value["semantic"]]])
    for block in value["lists"]:
        records = b""
        for record in block["records"]:
            for name, v in record.items():
                records += v.to_bytes(LIST_SIZES[name], "big") if isinstance(v, int) else bytes.fromhex(v[2:])
        out += struct.pack(">HH", block["templateId"], 4 + len(records)) + records
    return out


def take_special(left, name, value):
    """Elements that tshark shows in more than one piece. None: it is no such element."""
    if name == "icmpTypeCodeIPv6" or (name == "icmpTypeCodeIPv4" and not left.get("cflow.icmp_type_code_ipv4")):
        family = name[-4:].lower()
        return take(left, f"cflow.icmp_{family}_type", lambda v: int(v) == value >> 8) and take(
            left, f"cflow.icmp_{family}_code", lambda v: int(v) == value & 255
        )
    if name == "forwardingStatus":
        code = next((k for k in left if k.startswith("cflow.forwarding_status_")), None)
        return take(left, "cflow.forwarding_status", lambda v: int(v) == value >> 6) and (
            code is not None and take(left, code, lambda v: int(v) == value & 63)
        )
    if name in ("flowStartSysUpTime", "flowEndSysUpTime"):
        key = "cflow.timestart" if "Start" in name else "cflow.timeend"
        if value == 0 and take(left, key.replace("time", "abstime"), lambda v: nanoseconds(v) == 0):
            return True  # tshark 4.0 shows an uptime of 0 as 1970
        return take(left, key, lambda v: Decimal(v) * 1000 == value)
    if name == "flowDurationMilliseconds":  # shown under the same key as the computed difference
        return any(Decimal(v) * 1000 == value for v in left.get("cflow.timedelta", []))
    if name == "subTemplateMultiList":
        return take(left, "cflow.enterprise_private_entry", lambda v: bytes.fromhex(v.replace(":", "")) == multi_list(value))
    if name == "e9.9357":  # Cisco's URI: text, a zero octet, a count
        uri = bytes.fromhex(value[2:])[:-3]
        return take(left, "cflow.pie.cisco.application_http_uri_statistics", lambda v: v.encode() == uri)
    if name == "e9.12235":  # Cisco's host: two numbers of 6 octets together, then text
        host = bytes.fromhex(value[2:])[6:]
        return take(left, "cflow.pie.cisco.application_http_host", lambda v: v.encode() == host)
    if name == "e2636.137":
        bits = 4 * len(value[2:]) - 6
        return take(left, "cpid", lambda v: v == (int(value, 0) >> bits, int(value, 0) & (1 << bits) - 1))
    if name.startswith("mpls") and "StackSection" in name:
        return take(left, "mpls", lambda v: value == "0x" + v)
    if name == "applicationId":
        return take(left, "cflow.appl_id.classification_engine_id", lambda v: int(v) == int(value[2:4], 16)) and take(
            left, "cflow.appl_id.selector_id", lambda v: v.replace(":", "") == value[4:]
        )
    return None


def take_unknown(left, value):
    """An element that weir does not know: tshark has octets, or a name of its own for it."""
    if take(left, "cflow.enterprise_private_entry", lambda v: v == "" if value == "" else same_octets(value, v)):
        return True
    for key in [k for k in left if k.startswith("cflow.pie.") and left[k]]:
        if value == "" and left[key][0] == "" or value and same_octets(value, left[key][0]):
            left[key].pop(0)
            return True
    return value == ""


def compare(record, theirs):
    """Every difference between a record of weir and a flow of tshark."""
    left = {k: list(v) for k, v in theirs.items()}
    for name, value in flatten(record):
        plain = name
        if name.startswith("reverse"): # RFC 5103: tshark shows it as the forward element, or under Ixia's name
            plain = name[7].lower() + name[8:]
        special = take_special(left, plain, value)
        if special:
            continue
        if special is not None:
            yield f"{name} is {value!r}, tshark has {left}"
        elif re.fullmatch(r"e\d+\.\d+", name):
            if not take_unknown(left, value):
                yield f"{name} is {value!r}, tshark has {left}"
        elif plain not in KEYS:
            yield f"{name}: this test does not know where tshark shows it; left are {left}"
        elif not take(left, "cflow." + KEYS[plain], lambda v: same(plain, value, v)):
            yield f"{name} is {value!r}, tshark has {left.get('cflow.' + KEYS[plain])}"
    for key, values in left.items():
        if values and key not in DERIVED:
            yield f"tshark also has {key} = {values}"


def run(weir, *args):
    done = subprocess.run([weir, "dump", *args], capture_output=True, timeout=120, check=False)
    return done.returncode, done.stdout.decode(), done.stderr.decode()


def check_capture(weir, capture, decode, where):
    """One capture against its decode. Answers (differences, records compared)."""
    status, out, err = run(weir, str(capture))
    if status not in (0, 1) or "Sanitizer" in err or "runtime error" in err:
        return fail(where, f"exit status {status}: {err}"), 0
    left_out = LEFT_OUT.get(where, {})
    ours = [json.loads(line) for line in out.splitlines()]
    ours = [r for r in ours if (epoch(r["exportTime"]), r["observationDomainId"], r["templateId"]) not in left_out]
    theirs = [f for f in tshark_flows(decode) if f[:3] not in left_out]
    if len(ours) != len(theirs):
        return fail(where, f"{len(ours)} records, tshark has {len(theirs)}"), 0
    failures = 0
    for i, (record, (time, domain, set_id, flow)) in enumerate(zip(ours, theirs)):
        head = (epoch(record["exportTime"]), record["observationDomainId"], record["templateId"])
        if head != (time, domain, set_id):
            failures += fail(where, f"record {i}: time, domain, template {head}, tshark {(time, domain, set_id)}")
        for difference in compare(record, flow):
            failures += fail(where, f"record {i}: {difference}")
        if failures > 5:
            break
    return failures, len(ours)


def check_malformed(weir, folder):
    failures = 0
    for where, expected in MALFORMED.items():
        if not (folder / where).exists():
            continue
        status, _, err = run(weir, "--stats", str(folder / where))
        stats = json.loads(err.splitlines()[-1])
        if status != 1 or stats["malformed"] != expected:
            failures += fail(where, f"malformed {stats['malformed']}, status {status}; expected {expected}, 1")
    return failures


def check_file(weir, path, where):
    """Raw messages: no crash; NetFlow says what it is; a case of one IPFIX file equals its capture."""
    status, out, err = run(weir, str(path))
    version = struct.unpack(">H", path.read_bytes()[:2].rjust(2, b"\0"))[0]
    if status not in (0, 1) or "Sanitizer" in err or "runtime error" in err:
        return fail(where, f"exit status {status}: {err}")
    for line in out.splitlines():
        json.loads(line)
    if version in (5, 9) and (status != 1 or f"NetFlow version {version}" not in err or out):
        return fail(where, f"NetFlow {version} is not called so: status {status}, {err!r}")
    replay = path.parent / "replay.pcap"
    if path.suffix == ".ipfix" and len(list(path.parent.glob("*.ipfix"))) == 1 and replay.exists():
        if out != run(weir, str(replay))[1]:
            return fail(where, "other records than replay.pcap, which holds the same messages")
    return 0


def main():
    corpus = Path(os.environ.get("WEIR_CORPUS", "")) / "ipfix"
    weir = os.environ["WEIR"]
    if not corpus.is_dir():
        print("skipped: no corpus (WEIR_CORPUS names its folder)")
        return 77
    failures = captures = records = files = 0
    for path in sorted(corpus.glob("*/*/*")):
        where = str(path.relative_to(corpus))
        if path.suffix == ".pcap":
            decode = next((d for d in (Path(f"{path}.tshark.json"), Path(f"{path}.tshark.json.gz")) if d.exists()), None)
            if decode:
                bad, n = check_capture(weir, path, decode, where)
                failures, captures, records = failures + bad, captures + 1, records + n
            else:
                failures += check_file(weir, path, where)
                files += 1
        elif path.suffix in (".ipfix", ".dat", ".bin"):
            failures += check_file(weir, path, where)
            files += 1
    failures += check_malformed(weir, corpus)
    print(f"{captures} captures, {records} records compared field by field, {files} other files; {failures} differences")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
