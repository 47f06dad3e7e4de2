// Why there is nothing to see: one cause, named, and one command that helps.
import { ApiError, Status, View } from "./api";
import { clean, duration, when } from "./format";
import { set, State } from "./state";

interface Cause { id: string; title: string; text: string; command: string; act?: { label: string; run: () => void } }

const MINUTE = 60_000;

export function causeOfFault(e: ApiError, st: Status | null): Cause | null {
  const folder = st?.folder ?? "STORE";
  if (e.fault.kind === "permission")
    return { id: "no-permission", title: "The store may not be read", text: `The collector has no right to read ${folder}: ${clean(e.fault.text)}.`, command: `sudo ls -ld ${folder} ${folder}/manifest.json` };
  if (e.fault.kind === "no-store")
    return { id: "no-store", title: "This collector keeps nothing", text: "It was started without a store, so there is nothing to ask.", command: "weir collect -s /var/lib/weir --http 127.0.0.1:8080" };
  if (e.fault.kind === "format" || e.fault.kind === "system")
    return { id: "store-unreadable", title: "The store cannot be read", text: clean(e.fault.text), command: `weir query -s ${folder} --coverage --limit 1` };
  return null;
}

export function causeOfNothing(v: View, st: Status | null, s: State): Cause {
  const l = v.ledger, folder = st?.folder ?? "STORE", c = l.coverage as Record<string, any>;
  const w = v.window, port = st?.listens?.[0]?.split(":")[1] ?? "4739";
  const last = Math.max(0, ...l.exporters.map((e) => e[3]));
  const everything = Number(c.records) + Number(c.tail_records);
  if (l.terms.filtered > 0)
    return { id: "filter-hides-all", title: "The filter hides all of it", text: `${l.terms.filtered.toLocaleString("en-US")} records of this time do not match the filter.`, command: `weir query -s ${folder} --last ${s.last || "1h"} --coverage`, act: { label: "Take the filter away", run: () => set({ filter: "" }) } };
  if (st?.fault)
    return { id: "ingest-stopped", title: "The collector does not store what it receives", text: clean(st.fault), command: `df -h ${folder}` };
  if (!l.exporters.length && !everything && !c.first && !(st?.messages ?? 0) && !c.left_out)
    return { id: "no-exporter", title: "No exporter has been heard yet", text: "Not one IPFIX message has come. An exporter is a probe on a machine of the overlay; it needs the right to capture (CAP_NET_RAW).", command: `sudo weir probe -c Udp/THIS-HOST:${port}` };
  if (l.received > 0 && Math.abs(l.skew_s) > 120)
    return { id: "clock-skew", title: "The exporter's clock is wrong", text: `${l.received.toLocaleString("en-US")} records came in this time, but the exporter's clock is ${duration(Math.abs(l.skew_s) * 1000)} ${l.skew_s > 0 ? "behind" : "ahead of"} the collector's, so they stand at another time.`, command: "timedatectl status   # on the exporter" };
  const first = c.first ? Date.parse(String(c.first)) : 0;
  const kept = st?.retain_ms ? w.now - st.retain_ms : 0;
  if ((kept && w.to <= kept) || (c.left_out && !everything && !first && w.to < (l.exporters[0]?.[2] ?? 0)) || (first && w.to <= first) || (l.exporters.length && w.to <= Math.min(...l.exporters.map((e) => e[2])) && w.to < w.now - MINUTE))
    return { id: "out-of-retention", title: "That time is not kept", text: kept && w.to <= kept ? `The collector keeps ${duration(st!.retain_ms!)}; older flows are gone.` : "The store begins later than this window.", command: `weir query -s ${folder} --coverage`, act: { label: "Show all there is", run: () => set({ last: "all", from: "", to: "" }) } };
  const silentFor = w.now - last;
  const missed = l.exporters.filter((e) => e[4] > 0 && w.now - e[3] > e[4] * 1000);
  if (last && w.to > last && (missed.length === l.exporters.length || (silentFor > 10 * MINUTE && w.from > last)))
    return { id: "ingest-stopped", title: "Nothing comes in any more", text: `The last message of any exporter was at ${when(last)}, ${duration(silentFor)} ago.`, command: "systemctl status weir   # on the exporter" };
  return { id: "silence", title: "Real silence", text: `Exporters were heard (last at ${last ? when(last) : "an unknown time"}) and told of no flow in this time: nobody talked, as far as they see.`, command: `weir query -s ${folder} --sql 'SELECT * FROM exporters'` };
}

export function Empty({ cause }: { cause: Cause }) {
  return (
    <section class="card empty" data-cause={cause.id} role="status">
      <h2>{cause.title}</h2>
      <p>{cause.text}</p>
      <p class="command"><code>{cause.command}</code></p>
      {cause.act ? <button type="button" class="main" onClick={cause.act.run}>{cause.act.label}</button> : null}
    </section>
  );
}
