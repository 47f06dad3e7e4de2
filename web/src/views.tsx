// One view: what it asks for, and how it shows the answer.
import type * as preact from "preact";
import { useState } from "preact/hooks";
import { Rows, Status, View } from "./api";
import { amount, Figure, LedgerLine, Matrix, Sankey, Timeline } from "./charts";
import { Cell, clean, count, duration, exact, octets, value, when } from "./format";
import { LiveTail } from "./live";
import { Record } from "./record";
import { set, State, ViewName } from "./state";
import { FlowTable, Foot, Verdict, whyDenied } from "./table";

type Words = { [k: string]: string | string[] };
const PAGE = 100;
const strip = (by: string): Words => ({ "t.time": "1", "t.by": by, "t.n": "6" });

// The parts that a view is made of.
export function wanted(s: State): Words {
  const series = s.by === "none" ? "" : s.by;
  const m = s.m === "denied" ? "flows" : s.m;
  switch (s.view) {
    case "now":
      return { part: ["t:cube", "src:top", "dst:top", "svc:top"], ...strip(series), "t.order": m, "src.by": "src", "dst.by": "dst", "svc.by": "proto,port", "src.n": "10", "dst.n": "10", "svc.n": "10", "src.order": m, "dst.order": m, "svc.order": m };
    case "flows":
      return { part: ["t:cube", "l:list"], ...strip(series), "t.order": m, "l.order": s.order, "l.up": s.up, "l.limit": String(PAGE), "l.offset": s.page || "0" };
    case "talk":
      return { part: ["t:cube", "x:cube", "k:cube"], ...strip(series), "x.by": "src,dst", "x.n": "12", "x.order": m, "k.by": "src,port,dst", "k.n": "8", "k.order": m, "t.order": m };
    case "denied":
      return { only: "denied", part: ["t:cube", "g:top", "p:top", "l:list"], ...strip("denialRuleName"), "t.order": "flows", "g.by": "denialRuleName,denialReason,denialClass,src,dst,proto,dstport", "g.n": "100", "g.order": "flows", "p.by": "src", "p.n": "10", "p.order": "flows", "l.limit": "20" };
    case "rules":
      return { part: ["t:cube", "d:top", "a:rules"], ...strip("denied"), "t.order": "flows", "d.by": "denialRuleName,denialReason,denialClass,denied", "d.n": "200", "d.order": "flows" };
    case "complete":
      return { part: ["t:cube", "c:counters"], ...strip("exporter"), "t.order": "flows" };
  }
}

const MEASURES: [string, string][] = [["octets", "octets"], ["packets", "packets"], ["flows", "flows"]];
const SERIES: [string, string][] = [["dir", "direction"], ["port", "service"], ["proto", "protocol"], ["src", "source"], ["dst", "destination"], ["denied", "verdict"], ["exporter", "exporter"], ["none", "nothing"]];

export function Choice({ label, value: v, options, put }: { label: string; value: string; options: [string, string][]; put: (v: string) => void }) {
  return (
    <label class="choice"><span>{label}</span>
      <select value={v} onChange={(e) => put((e.currentTarget as HTMLSelectElement).value)}>{options.map(([k, t]) => <option value={k} selected={k === v}>{t}</option>)}</select>
    </label>
  );
}

function Tools({ s, series = true, more = [] }: { s: State; series?: boolean; more?: [string, string][] }) {
  return (
    <div class="tools">
      {series ? <Choice label="by" value={s.by} options={SERIES} put={(by) => set({ by })} /> : null}
      <Choice label="in" value={s.m} options={[...MEASURES, ...more]} put={(m) => set({ m })} />
    </div>
  );
}

function Cards({ v }: { v: View }) {
  const t = v.totals, l = v.ledger;
  const seconds = Math.max(1, (v.window.to - v.window.from) / 1000);
  const heard = l.exporters.filter((e) => e[3] >= v.window.from).length;
  const silent = l.exporters.filter((e) => e[4] > 0 && v.window.now - e[3] > e[4] * 1000).length;
  return (
    <dl class="cards">
      <div><dt>traffic</dt><dd title={exact(t.octets)} data-octets={t.octets}>{octets(t.octets)}</dd><dd class="sub">{octets((t.octets * 8) / seconds).replace("B", "bit/s")} mean</dd></div>
      <div><dt>packets</dt><dd title={exact(t.packets)}>{count(t.packets)}</dd><dd class="sub">{count(t.packets / seconds)}/s</dd></div>
      <div><dt>flow records</dt><dd>{exact(t.flows)}</dd><dd class="sub">{t.flows ? `${octets(t.octets / t.flows)} each` : "none"}</dd></div>
      <div class={t.denied ? "alarm" : ""}><dt>denied</dt><dd>{exact(t.denied)}</dd><dd class="sub">{t.denied ? <a href="?view=denied" onClick={(e) => (e.preventDefault(), set({ view: "denied" }))}>by which rule</a> : "none seen"}</dd></div>
      <div class={l.terms.lost ? "loss" : ""}><dt>lost</dt><dd>{exact(l.terms.lost)}</dd><dd class="sub">{l.terms.lost ? `${((100 * l.terms.lost) / Math.max(1, l.seen)).toFixed(1)} % of what was seen` : "nothing known"}</dd></div>
      <div class={silent ? "loss" : ""}><dt>exporters</dt><dd>{heard}</dd><dd class="sub">{silent ? `${silent} not heard now` : "all heard"}</dd></div>
    </dl>
  );
}

function Top({ v, rows, s, title, name }: { v: View; rows: Rows; s: State; title: string; name: string }) {
  const m = s.m === "denied" ? "flows" : s.m;
  const at = rows.columns.findIndex((c) => c[0] === m);
  const sum = rows.rows.reduce((a, r) => a + Number(r[at]), 0);
  const all = v.totals[m as "octets"];
  return (
    <Figure name={name} title={title} view={v} numbers={{ shown: sum, rest: all - sum }}>
      <FlowTable rows={rows} s={s} caption={title} bar={m} only={[...rows.columns.map((c) => c[0]).filter((c) => !["octets", "packets", "flows"].includes(c)), m, ...(m === "flows" ? [] : ["flows"])]} foot={
        <tfoot><tr><td colSpan={9} class="muted">{all - sum > 0 ? `others: ${amount(m, all - sum)} of ${amount(m, all)}` : `that is all: ${amount(m, all)}`}</td></tr></tfoot>
      } />
    </Figure>
  );
}

function Now({ v, s }: { v: View; s: State }) {
  return (
    <>
      <Cards v={v} />
      <Timeline view={v} cube={v.parts.t} s={s} title="Traffic over time" height={240} />
      <Tools s={s} />
      <div class="three">
        <Top v={v} rows={v.parts.src} s={s} title="Top sources" name="top-src" />
        <Top v={v} rows={v.parts.dst} s={s} title="Top destinations" name="top-dst" />
        <Top v={v} rows={v.parts.svc} s={s} title="Top services" name="top-svc" />
      </div>
    </>
  );
}

function Flows({ v, s }: { v: View; s: State }) {
  const rows = v.parts.l as Rows;
  const [selected, put] = useState<{ row: Cell[]; i: number } | null>(null);
  const at = Number(s.page || 0);
  const open = selected && rows.rows.includes(selected.row) ? selected : null;
  return (
    <>
      <Timeline view={v} cube={v.parts.t} s={s} title="Matching traffic" height={110} small />
      <div class="row"><Tools s={s} /><button type="button" class="main" onClick={() => set({ live: "tail" })}>Live tail</button></div>
      <Figure name="records" title="Flow records" view={v} numbers={{ octets: v.totals.octets, flows: v.totals.flows }} tools={<Pages at={at} shown={rows.rows.length} all={v.totals.flows} />}>
        <FlowTable rows={rows} s={s} caption="Flow records that match" sortable more={(row, i) => put(open?.i === i ? null : { row, i })} selected={open?.i} foot={<Foot columns={rows.columns.length} totals={v.totals} />} />
        {open ? <Record columns={rows.columns} row={open.row} s={s} close={() => put(null)} /> : null}
      </Figure>
    </>
  );
}

function Pages({ at, shown, all }: { at: number; shown: number; all: number }) {
  return (
    <nav class="pages" aria-label="Pages">
      <button type="button" disabled={at === 0} onClick={() => set({ page: at > PAGE ? String(at - PAGE) : "" })} aria-label="Newer rows">‹</button>
      <span>{all ? `${exact(at + 1)}–${exact(at + shown)} of ${exact(all)}` : "none"}</span>
      <button type="button" disabled={at + shown >= all} onClick={() => set({ page: String(at + PAGE) })} aria-label="Older rows">›</button>
    </nav>
  );
}

function Talk({ v, s }: { v: View; s: State }) {
  return (
    <>
      <Timeline view={v} cube={v.parts.t} s={s} title="Matching traffic" height={90} small measure={s.m === "denied" ? "denied" : undefined} />
      <Tools s={s} series={false} more={[["denied", "denials"]]} />
      <Matrix view={v} cube={v.parts.x} s={s} />
      <Sankey view={v} cube={v.parts.k} s={s} />
    </>
  );
}

// Without a rule it was none that dropped it.
const how = (rule: Cell, code: Cell) => (code !== null && !rule && Number(code) <= 2 ? (Number(code) === 2 ? "rejected" : "dropped") : value(code, "plain", "denialReason"));

const kinds: { [k: number]: string } = { 1: "access rule", 2: "trust requirement" };

function Denied({ v, s }: { v: View; s: State }) {
  const g = v.parts.g as Rows;
  const i = (name: string) => g.columns.findIndex((c) => c[0] === name);
  const [rule, code, kind, src, dst, proto, port, flows] = ["denialRuleName", "denialReason", "denialClass", "src", "dst", "proto", "dstport", "flows"].map(i);
  const cell = (r: Cell[], k: number) => value(r[k], g.columns[k][1], g.columns[k][0]);
  const to = (terms: string[]) => set({ view: "flows", filter: [s.filter && `(${s.filter})`, "denied", ...terms].filter(Boolean).join(" and ") });
  return (
    <>
      <Timeline view={v} cube={v.parts.t} s={s} title="Denied, by rule" height={130} measure="flows" />
      <Figure name="denials" title="What was refused, and by which rule" view={v} numbers={{ flows: v.totals.flows }}>
        <div class="scroll table" tabIndex={0} role="region" aria-label="Denied flows by rule and peers">
          <table class="flows denials">
            <caption class="sr">Denied flows by rule and peers</caption>
            <thead><tr><th scope="col">verdict</th><th scope="col">rule</th><th scope="col">kind</th><th scope="col">reason</th><th scope="col">from</th><th scope="col">to</th><th scope="col">service</th><th scope="col" class="n">flows</th></tr></thead>
            <tbody>
              {g.rows.map((r) => (
                <tr class="denied">
                  <td><Verdict denied /></td>
                  <td><button type="button" onClick={() => set({ view: "rules" })}>{whyDenied(r[rule], r[code])}</button></td>
                  <td>{kinds[Number(r[kind])] ?? ""}</td>
                  <td>{how(r[rule], r[code])}</td>
                  <td><button type="button" onClick={() => to([`src ${r[src]}`])}>{cell(r, src)}</button></td>
                  <td><button type="button" onClick={() => to([`dst ${r[dst]}`])}>{cell(r, dst)}</button></td>
                  <td><button type="button" onClick={() => to([`src ${r[src]}`, `dst ${r[dst]}`, `dstport ${r[port]}`])}>{r[port] === null ? cell(r, proto) : `${cell(r, proto)}/${r[port]}`}</button></td>
                  <td class="n">{exact(Number(r[flows]))}</td>
                </tr>
              ))}
            </tbody>
            <Foot columns={8} totals={v.totals} />
          </table>
        </div>
      </Figure>
      <div class="two">
        <Top v={v} rows={v.parts.p} s={{ ...s, m: "flows" }} title="Who was refused most" name="top-refused" />
        <Figure name="last-denied" title="The newest" view={v}>
          <FlowTable rows={v.parts.l} s={s} caption="The newest denied records" only={["start", "src", "dst", "dstport", "denied"]} />
        </Figure>
      </div>
    </>
  );
}

function Rules({ v, s }: { v: View; s: State }) {
  const d = v.parts.d as Rows, a = v.parts.a as { columns: string[]; rows: Cell[][] } | undefined;
  const i = (name: string) => d.columns.findIndex((c) => c[0] === name);
  const rows = d.rows.filter((r) => r[i("denied")] === true);
  return (
    <>
      <Timeline view={v} cube={v.parts.t} s={s} title="Passed and denied" height={90} small measure="flows" />
      <div class="two">
        <Figure name="allow-rules" title="Rules that allow" view={v}>
          {a && a.rows.length ? (
            <div class="scroll table" tabIndex={0} role="region" aria-label="Rules that allow, with their hits">
              <table class="flows"><thead><tr>{a.columns.map((c) => <th scope="col">{clean(c)}</th>)}<th scope="col">state</th></tr></thead>
                <tbody>{a.rows.map((r) => {
                  const used = Number(r[a.columns.indexOf("packets")]) > 0;
                  return <tr class={used ? "" : "unused"}>{r.map((c, k) => <td class={typeof c === "number" ? "n" : ""}>{c === null ? "" : a.columns[k] === "octets" ? octets(Number(c)) : typeof c === "number" ? exact(c) : clean(String(c))}</td>)}<td>{used ? "used" : <b class="warn">unused in this time</b>}</td></tr>;
                })}</tbody></table>
            </div>
          ) : (
            <div class="note"><p>No exporter tells of its rules that allow. With a policy, a host counts the hits of each:</p><p class="command"><code>weir policy apply FILE</code></p></div>
          )}
        </Figure>
        <Figure name="deny-rules" title="Rules that refused" view={v} numbers={{ flows: rows.reduce((n, r) => n + Number(r[i("flows")]), 0) }}>
          {rows.length ? (
            <div class="scroll table" tabIndex={0} role="region" aria-label="Rules that refused, with their hits">
              <table class="flows"><thead><tr><th scope="col">rule</th><th scope="col">kind</th><th scope="col">how</th><th scope="col" class="n">flows refused</th></tr></thead>
                <tbody>{rows.map((r) => (
                  <tr class="denied"><td><button type="button" onClick={() => set({ view: "flows", filter: r[i("denialRuleName")] ? `denialRuleName = "${String(r[i("denialRuleName")]).replace(/"/g, "")}"` : "denied" })}>{whyDenied(r[i("denialRuleName")], r[i("denialReason")])}</button></td>
                    <td>{kinds[Number(r[i("denialClass")])] ?? ""}</td><td>{how(r[i("denialRuleName")], r[i("denialReason")])}</td><td class="n">{exact(Number(r[i("flows")]))}</td></tr>
                ))}</tbody></table>
            </div>
          ) : <p class="note">No flow was refused in this time.</p>}
        </Figure>
      </div>
    </>
  );
}

const losses: [string, string, string][] = [
  ["lost_sequence", "records lost on the way", "sequence numbers miss them"],
  ["lost_kernel", "messages dropped by the kernel", "the receive buffer was full: --receive-buffer"],
  ["undecodable", "data sets without a template", "they waited in vain"],
  ["waiting", "data sets waiting for a template", "it comes with the next refresh"],
  ["malformed", "malformed messages", "not IPFIX as RFC 7011 has it"],
  ["reported_by_exporters", "packets that exporters missed", "as they report themselves"],
  ["wrong_values", "values that are none of their type", "shown as nothing"],
  ["quarantined", "damaged partitions", "left out of every answer"],
];

function Complete({ v, s, st }: { v: View; s: State; st: Status | null }) {
  const l = v.ledger, c = l.coverage as { [k: string]: any };
  const k = v.parts.c as { rows: Cell[][] };
  return (
    <>
      <Timeline view={v} cube={v.parts.t} s={s} title="Records by exporter" height={130} measure="flows" />
      <div class="two">
        <Figure name="exporters" title="Exporters" view={v}>
          <div class="scroll table" tabIndex={0} role="region" aria-label="Exporters">
            <table class="flows"><thead><tr><th scope="col">exporter</th><th scope="col" class="n">domain</th><th scope="col">first heard</th><th scope="col">last heard</th><th scope="col">state</th></tr></thead>
              <tbody>{l.exporters.map(([address, domain, first, last, patience]) => {
                const silent = v.window.now - last, missed = patience > 0 && silent > patience * 1000;
                return <tr class={missed ? "missed" : ""}><td>{clean(address)}</td><td class="n">{domain}</td><td>{when(first)}</td><td>{when(last)}</td><td>{missed ? <b class="warn">not heard for {duration(silent)}</b> : patience > 0 ? "heard" : `tells nothing of itself; ${duration(Math.max(0, silent))} ago`}</td></tr>;
              })}</tbody></table>
          </div>
        </Figure>
        <Figure name="losses" title="Each kind of loss, in the whole store" view={v}>
          <table class="flows"><tbody>{losses.map(([key, name, why]) => <tr class={c[key] ? "missed" : ""}><th scope="row">{name}<span class="sub">{why}</span></th><td class="n">{exact(Number(c[key] ?? 0))}</td></tr>)}
            <tr class={st?.refused ? "missed" : ""}><th scope="row">messages not taken<span class="sub">NetFlow v5/v9, wrong lengths</span></th><td class="n">{exact(st?.refused ?? 0)}</td></tr></tbody></table>
          {l.damaged ? <p class="complaint">{clean(l.damaged)}</p> : null}
        </Figure>
      </div>
      <div class="two">
        <Figure name="gaps" title="Gaps in this time" view={v}>
          {l.gaps.length ? (
            <div class="scroll table" tabIndex={0} role="region" aria-label="Gaps"><table class="flows"><thead><tr><th scope="col">from</th><th scope="col">to</th><th scope="col">exporter</th><th scope="col">what</th><th scope="col" class="n">records</th></tr></thead>
              <tbody>{l.gaps.slice(0, 200).map(([address, domain, kind, from, to, records]) => <tr><td>{when(from)}</td><td>{when(to)}</td><td>{clean(address)} · {domain}</td><td>{kind === "lost" ? "records lost" : "not heard"}</td><td class="n">{kind === "lost" ? exact(records) : ""}</td></tr>)}</tbody></table></div>
          ) : <p class="note">None known: where the charts are empty, it was silent.</p>}
        </Figure>
        <Figure name="counters" title="All counters" view={v}>
          <div class="scroll table tall" tabIndex={0} role="region" aria-label="All counters"><table class="flows"><thead><tr><th scope="col">exporter</th><th scope="col">counter</th><th scope="col" class="n">count</th></tr></thead>
            <tbody>{k.rows.map((r) => <tr><td>{r[0] === null ? "store" : `${clean(String(r[0]))}${r[4] === null ? "" : ` · ${r[4]}`}`}</td><td>{clean(String(r[5]))}</td><td class="n">{exact(Number(r[6]))}</td></tr>)}</tbody></table></div>
        </Figure>
      </div>
    </>
  );
}

export function Body({ v, s, st }: { v: View; s: State; st: Status | null }) {
  if (s.view === "flows" && s.live === "tail") return <><LiveTail s={s} /><button type="button" onClick={() => set({ live: "" })}>Back to the store</button></>;
  const bodies: { [k in ViewName]: preact.ComponentChild } = {
    now: s.view === "now" && <Now v={v} s={s} />,
    flows: s.view === "flows" && <Flows v={v} s={s} />,
    talk: s.view === "talk" && <Talk v={v} s={s} />,
    denied: s.view === "denied" && <Denied v={v} s={s} />,
    rules: s.view === "rules" && <Rules v={v} s={s} />,
    complete: s.view === "complete" && <Complete v={v} s={s} st={st} />,
  };
  return <>{bodies[s.view]}</>;
}
export { LedgerLine };
