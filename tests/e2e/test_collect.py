"""weir collect end to end: real exporters at once, the ledger, metrics read by the real Prometheus, what it refuses."""

import collections
import json
import os
import re
import socket
import subprocess
import time

import collect_lib as cl
import lib

PACKETS = 400


def exported_by(capture, port):
    """tshark's view of what went to the collector: sums of packets and octets over all flow records, by exporter's port."""
    rows = lib.tshark_fields(capture, ["udp.srcport", "cflow.packets", "cflow.octets"], f"cflow && udp.dstport == {port}")
    sums = collections.defaultdict(lambda: [0, 0, 0])
    for source, packets, octets in rows:
        s = sums[int(source[0])]
        s[0] += len(octets)
        s[1] += sum(map(int, packets))
        s[2] += sum(map(int, octets))
    return sums


def soft_sequences(capture):
    """{exporter's port: Wireshark misses records in its sequence}"""
    rows = lib.tshark_fields(capture, ["udp.srcport", "cflow.sequence_analysis.expected_sn"], "cflow")
    wrong = collections.defaultdict(bool)
    for source, expected in rows:
        wrong[int(source[0])] |= bool(expected)
    return wrong


def test_three_exporters_at_once():
    """weir probe, softflowd and pmacctd with nfprobe on one interface: nothing is lost, and the store has what they sent."""
    lib.need_root()
    lib.need("softflowd", "pmacctd", "tshark", "tcpdump")
    with lib.Lab() as lab:
        ns, peer = lab.namespace("col"), lab.namespace("peer")
        (here, _), _ = lab.join([ns, peer])
        c = cl.Collector(lab, "--workers", 2, ns=ns, port=4739)  # where tshark looks for it
        capture = lib.Capture(lab, ns, what=f"udp port {c.port}")
        config = lab.write(
            "pmacctd.conf",
            f"daemonize: false\npcap_interface: eth0\nplugins: nfprobe\nnfprobe_receiver: 127.0.0.1:{c.port}\nnfprobe_version: 10\n"
            "aggregate: src_host, dst_host, src_port, dst_port, proto, tos\nnfprobe_timeouts: maxlife=3600\n",
        )
        pm = lab.start(["pmacctd", "-f", config], ns)
        pm.expect("Exporting flows", 20)
        probe = lab.weir("probe", "-i", "eth0", "-c", f"Udp/127.0.0.1:{c.port}", "--idle", 500, netns=ns)
        probe.expect("interface eth0")
        time.sleep(1.5)
        octets = 0
        senders, frames = [peer.socket() for _ in range(50)], []
        for n in range(PACKETS):
            payload = b"x" * (n % 100)
            octets += senders[n % 50].sendto(payload, (here, 9)) + 28
            frame = bytes(12) + b"\x08\x00" + lib.udp("198.51.100.2", 20000 + n % 50, here, 9, payload)
            frames.append((1_700_000_000 + n * 0.002, frame))
            time.sleep(0.002)
        # From a file: on some kernels softflowd sees no packet of a quiet interface. Version 1.1.0 reads memory that it
        # has not set: whether it goes on at all depends on the length of its arguments and environment.
        lib.write_pcap(lab.path("soft.pcap"), frames, 1)
        soft = f"cd {lab.folder} && exec timeout 2 softflowd -d -r soft.pcap -n 127.0.0.1:{c.port} -v 10 -p s.pid -c s.ctl"
        lib.check(any(ns.run("sh", "-c", soft, expected=None, env={"PADDING": "x" * n})[0] == 0 for n in range(0, 160, 16)), "softflowd runs")
        for s in senders:
            s.close()
        probe.stop()
        pm.stop(expected=None, number=lib.signal.SIGINT)
        time.sleep(0.5)
        path = capture.stop()
        c.stop()
        sent = exported_by(path, c.port)
        rows = {r["p"]: r for r in cl.sql(c.store, "select exporterPort as p, count(*) as n, sum(packetDeltaCount)::bigint as k, sum(octetDeltaCount)::bigint as o from flows group by exporterPort")}
        flows = {port: s for port, s in sent.items() if s[0]}
        lib.equal(len(flows), 3, f"exporters that sent flow records: {dict(sent)}")
        lib.equal({p: [r["n"], r["k"], r["o"]] for p, r in rows.items()}, {p: s for p, s in flows.items()}, "records, packets, octets by exporter")
        # softflowd 1.1.0 does not count data records in its sequence, so only the others' gaps are losses.
        soft_port = next(p for p, s in soft_sequences(path).items() if s)
        lost = cl.sql(c.store, "select exporterPort as p, counter, count::bigint as n from ledger where count > 0 and (counter in ('sequence_lost', 'sets_given_up', 'kernel_dropped') or counter like 'malformed%')")
        lib.equal([r for r in lost if r["p"] != soft_port], [], "losses")
        mine = cl.sql(c.store, "select exporterPort as p, sum(packetDeltaCount)::bigint as k, sum(octetDeltaCount)::bigint as o from flows where destinationTransportPort = 9 group by exporterPort")
        # The other two may end with packets unread, on a busy machine often: what they did not see they did not send.
        exact = [r for r in mine if (r["k"], r["o"]) == (PACKETS, octets)]
        lib.check(len(mine) == 3 and len(exact) >= 1, f"accounts of {PACKETS} packets, {octets} octets: {mine}")


def test_dropped_datagrams_are_told_as_loss():
    """Drops between exporter and collector: the right number; options records count; undecodable ones are no loss."""
    with lib.Lab() as lab:
        c = cl.Collector(lab, "--workers", 1)
        with cl.Exporter(c.port) as e:
            e.template()
            e.send(cl.template(400, [(144, 4), (41, 8)], scope=1))
            messages = 2
            for n in range(50):
                if n % 10 == 7:  # dropped: 3 flows
                    e.sequence += 3
                    e.n += 3
                else:
                    e.flows(3)
                    messages += 1
                e.send(cl.data(400, b"\0\0\0\1" + n.to_bytes(8, "big")), records=1)
                messages += 1
            e.send(cl.data(999, b"\0" * 40), records=2)  # no template: two records that nobody can count
            e.flows(1)
            messages += 2
        c.wait_messages(messages)

        def told():
            return sum(map(int, re.findall(r"ledger: sequence_lost: (\d+) more", c.process.errors())))

        lib.wait_for("the log tells of the loss", lambda: told() >= 15, 30)
        lib.wait_for("all sets in the ledger", lambda: cl.total(c.metrics(), "weir_ledger_sets_without_template_total") >= 1, 30)
        rows = c.metrics()
        lib.equal(cl.total(rows, "weir_ledger_sequence_lost_total"), 15, "records lost")
        lib.equal(cl.total(rows, "weir_ledger_sequence_gap_total"), 5, "gaps")
        lib.equal(cl.total(rows, "weir_ledger_options_records_total"), 50, "options records")
        lib.equal(cl.total(rows, "weir_ledger_sets_without_template_total"), 1, "undecodable sets")
        exporters = {labels["exporter"] for n, labels, _ in rows if n == "weir_ledger_records_total" and labels}
        lib.check("127.0.0.1" in exporters, f"exporters {exporters}")
        c.stop()
        lib.equal(told(), 15, "what the log tells in all")
        _, out, err = lib.run([lib.WEIR, "query", "-s", c.store, "--coverage"])
        lib.check("15" in out + err, f"the coverage tells 15: {out[-500:]} {err}")


def test_exporters_own_losses():
    """notSentFlowTotalCount and its kin (164 to 168) are in the ledger, as what the exporter says."""
    with lib.Lab() as lab:
        c = cl.Collector(lab, "--workers", 1)
        with cl.Exporter(c.port) as e:
            e.send(cl.template(400, [(144, 4), (166, 8), (167, 8), (168, 8)], scope=1))
            for total in (0, 7, 12):
                e.send(cl.data(400, (1).to_bytes(4, "big") + total.to_bytes(8, "big") * 3), records=1)
        c.wait_messages(4)
        lib.wait_for("the ledger has it", lambda: c.sum("weir_ledger_exporter_not_sent_flows_total") == 12)
        c.stop()


def test_kernel_drops_are_counted():
    """A collector that cannot keep up: what was sent is received or counted as dropped, to the datagram."""
    with lib.Lab() as lab:
        c = cl.Collector(lab, "--workers", 1, "--receive-buffer", "4K")
        with cl.Exporter(c.port) as e:
            e.template()
            os.kill(c.pid(), lib.signal.SIGSTOP)
            for _ in range(500):
                e.flows(20)
            os.kill(c.pid(), lib.signal.SIGCONT)
            time.sleep(1.0)
            for _ in range(3):  # the kernel tells with the next datagrams
                e.flows(1)
                time.sleep(0.4)
        sent = 504
        lib.wait_for("all are accounted for", lambda: c.sum("weir_receiver_messages_total", listen=f"Udp/[::]:{c.port}") + c.sum("weir_receiver_kernel_drops_total") == sent, 10)
        lib.check(c.sum("weir_receiver_kernel_drops_total") > 100, "most were dropped")
        c.stop()
        lib.check("dropped by the kernel" in c.process.errors(), "the log tells it")


def test_prometheus_reads_the_metrics():
    """The real prometheus scrapes /metrics, and its own checker has nothing to complain about."""
    lib.need("prometheus", "promtool")
    with lib.Lab() as lab:
        c = cl.Collector(lab, "--workers", 1, json_out=True)
        with cl.Exporter(c.port) as e:
            e.template()
            e.flows(30)
        c.wait_messages(2)
        time.sleep(1.1)
        status, text = c.get("/metrics")
        lib.equal(status, 200, "status")
        done = subprocess.run(["promtool", "check", "metrics"], input=text, capture_output=True, text=True, timeout=30, check=False)
        lib.equal((done.returncode, done.stderr.strip(), done.stdout.strip()), (0, "", ""), "promtool check metrics")
        port = cl.free_port()
        config = lab.write("prometheus.yml", f"scrape_configs:\n  - job_name: weir\n    scrape_interval: 1s\n    scrape_timeout: 1s\n    static_configs:\n      - targets: ['127.0.0.1:{c.http}']\n")
        prometheus = lab.start(["prometheus", f"--config.file={config}", f"--storage.tsdb.path={lab.path('tsdb')}", f"--web.listen-address=127.0.0.1:{port}"])

        def ask(query):
            _, out, _ = lib.run(["curl", "-s", "-G", f"http://127.0.0.1:{port}/api/v1/query", "--data-urlencode", f"query={query}"], expected=None)
            try:
                return [float(r["value"][1]) for r in json.loads(out)["data"]["result"]]
            except (ValueError, KeyError):
                return []

        lib.wait_for("prometheus has scraped", lambda: ask("up") == [1.0], 30)
        lib.equal(ask('sum(weir_ledger_records_total{exporter="127.0.0.1",domain="1"})'), [30.0], "records")
        lib.equal(ask("sum(weir_journal_storing) / count(weir_journal_storing)"), [1.0], "storing")
        lib.check(ask("sum(weir_journal_watermark_offset)")[0] > 0, "the watermark")
        prometheus.stop(expected=None)
        c.stop()


def test_hostile_names_in_labels():
    """Whatever an exporter calls itself, a metric line is a metric line."""
    with lib.Lab() as lab:
        c = cl.Collector(lab, "--workers", 1)
        with cl.Exporter(c.port) as e:
            name = b'eth0"} 1\nweir_evil{a="\\'
            e.send(cl.template(400, [(10, 4), (82, cl.VARIABLE)], scope=1), cl.data(400, b"\0\0\0\1" + bytes([len(name)]) + name), records=1)
            e.template()
            e.flows(2)
        c.wait_messages(3)
        time.sleep(1.1)
        lib.check(not [r for r in c.metrics() if "evil" in r[0]], "no metric of a stranger's making")
        c.stop()


def test_health_and_routes():
    with lib.Lab() as lab:
        c = cl.Collector(lab, "--workers", 1)
        lib.equal(c.get("/healthz"), (200, "ok\n"), "health")
        lib.equal(c.get("/nothing")[0], 404, "another path")
        lib.equal(lib.run(["curl", "-s", "-o", "/dev/null", "-w", "%{http_code}", "-X", "POST", "-d", "x", f"http://127.0.0.1:{c.http}/metrics"])[1], "405", "POST")
        # A loader that dies is started again, and nothing is lost.
        with cl.Exporter(c.port) as e:
            e.template()
            e.flows(5)
            c.wait_messages(2)
            loaders = [p for p in c.children() if open(f"/proc/{p}/comm", encoding="utf-8").read().strip() == "loader"]
            lib.equal(len(loaders), 1, "loaders")
            os.kill(loaders[0], lib.signal.SIGKILL)
            lib.wait_for("it is started again", lambda: c.sum("weir_process_starts_total", role="loader") == 2 and c.sum("weir_process_up", role="loader") == 1)
            e.flows(5)
            c.wait_messages(5)
        lib.wait_for("well again", lambda: c.get("/healthz")[0] == 200)
        c.stop()
        lib.equal(dict(cl.numbers(c.store)), {n: 1 for n in range(10)}, "records")


def test_slow_reader_of_json():
    """Who reads the records slowly loses records, not the collector; and the loss is counted."""
    with lib.Lab() as lab:
        port, http = cl.free_port(), cl.free_port()
        out, into = os.pipe()
        argv = [lib.WEIR, "collect", "-l", f"Udp/127.0.0.1:{port}", "--http", f"127.0.0.1:{http}", "--json", "-", "--workers", "1"]
        with open(lab.path("err"), "wb") as err, subprocess.Popen(argv, stdout=into, stderr=err, stdin=subprocess.DEVNULL) as p:
            os.close(into)
            try:
                lib.wait_for("it is ready", lambda: b"http on port" in lab.path("err").read_bytes())
                with cl.Exporter(port) as e:
                    e.template()
                    rows = cl.data(256, *[cl.flow(n) for n in range(1200)])
                    for n in range(1, 2201):  # 130 MB, twice what may wait
                        e.socket.send(cl.message(rows, sequence=1200 * (n - 1)))
                        if n % 10 == 0:
                            time.sleep(0.01)

                def metric(name):
                    _, text, _ = lib.run(["curl", "-s", f"http://127.0.0.1:{http}/metrics"])
                    return cl.total(cl.samples(text), name)

                lib.wait_for("all are received or dropped", lambda: metric("weir_receiver_messages_total") + metric("weir_receiver_kernel_drops_total") >= 2201)
                received, dropped = metric("weir_receiver_messages_total"), metric("weir_json_dropped_messages_total")
                lib.check(received > 1900, f"{received} received")
                lib.wait_for("what cannot be printed is dropped", lambda: metric("weir_json_dropped_messages_total") > 0)
                p.terminate()
                lib.wait_for("it ends", lambda: p.poll() is not None, 40)
                lib.equal(p.returncode, 0, "exit status")
            finally:
                p.kill()
                os.close(out)


def test_scratch_goes_with_the_process():
    """A collector without a store leaves nothing, however it ends."""
    with lib.Lab() as lab:
        folder = lab.path("tmp")
        folder.mkdir()
        for number in (lib.signal.SIGTERM, lib.signal.SIGKILL):
            port = cl.free_port()
            p = lab.weir("collect", "-l", f"Udp/127.0.0.1:{port}", env={"TMPDIR": str(folder)})
            p.expect("listening")
            with cl.Exporter(port) as e:
                e.template()
                e.flows(3)
            lib.check(list(folder.iterdir()), "it buffers there")
            p.popen.send_signal(number)
            p.wait(20)
            lib.wait_for(f"nothing is left after {number.name}", lambda: not list(folder.iterdir()), 5)


def test_what_is_refused():
    with lib.Lab() as lab:
        store = lab.path("s")
        for words, status, text in (
            (["-l", "Tls/127.0.0.1:4740"], 2, "no Tls.Certificate"),
            (["-l", "Dtls/127.0.0.1"], 2, "no Tls.Certificate"),
            (["-l", "DtlsSctp/127.0.0.1"], 2, "no Tls.Certificate"),
            (["-l", "Foo/127.0.0.1"], 2, "unknown transport"),
            (["-l", "127.0.0.1"], 2, "allowed"),
            (["-l", "Udp/127.0.0.1:99999"], 2, "port"),
            (["-l", f"Udp/127.0.0.1:{cl.free_port()}", "--http", "0.0.0.0:0"], 2, "loopback"),
            (["-l", f"Udp/127.0.0.1:{cl.free_port()}", "--http", "localhost:80"], 2, "numeric"),
            (["--keep-size", "many"], 2, "a number"),
            (["extra"], 2, "not an option"),
        ):
            got, _, err = lib.run([lib.WEIR, "collect", "-s", store, *words], expected=None, timeout=20)
            lib.equal(got, status, f"{words}: {err}")
            lib.check(text in err, f"{words}: {err}")
        c = cl.Collector(lab, "--workers", 1, store=store)
        got, _, err = lib.run([lib.WEIR, "collect", "-s", store, "-l", f"Udp/127.0.0.1:{cl.free_port()}"], expected=None, timeout=20)
        lib.check(got in (1, 2) and err.strip(), f"a store that another process writes: {got} {err}")
        c.stop()


def test_ignored_port():
    """Templates from one port, data from another: refused by default (RFC 7011), taken with --ignore-port."""
    for options, expected in (([], 0), (["--ignore-port"], 4)):
        with lib.Lab() as lab:
            c = cl.Collector(lab, "--workers", 1, *options)
            with cl.Exporter(c.port) as a, cl.Exporter(c.port) as b:
                a.template()
                b.flows(4)
            c.wait_messages(2)
            c.stop()
            lib.equal(cl.count(c.store), expected, f"records with {options}")


def test_retention():
    """--keep-size: the oldest partitions go, the newest stay."""
    with lib.Lab() as lab:
        c = cl.Collector(lab, "--workers", 1, "--partition-records", 1000, "--keep-size", "60K")
        with cl.Exporter(c.port) as e:
            e.template()
            for n in range(600):
                e.flows(20)
                if n % 20 == 0:
                    time.sleep(0.01)
        c.wait_messages(601)
        lib.wait_for("older partitions went", lambda: c.sum("weir_store_octets") < 61440 and c.sum("weir_store_records") > 0)
        c.stop()
        rows = cl.numbers(c.store)
        lib.check(0 < len(rows) < 12000 and max(rows) == 11999, f"{len(rows)} records, newest {max(rows)}")


lib.main(globals())
