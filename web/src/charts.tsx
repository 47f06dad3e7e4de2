// Charts of our own. Each is a figure with its ledger, and has a table that says the same.
import { ComponentChildren } from "preact";
import { useMemo, useRef, useState } from "preact/hooks";
import { Cube, Ledger, View } from "./api";
import { Cell, clean, clock, count, day, duration, exact, iso, octets, term, value, when } from "./format";
import { narrow, } from "./format";
import { set, State } from "./state";

const MEASURES: Record<string, number> = { octets: 0, packets: 1, flows: 2, denied: 3 };
export const measureAt = (m: string) => MEASURES[m] ?? 0;
export const amount = (m: string, n: number) => (m === "octets" ? octets(n) : count(n));

export function LedgerLine({ l }: { l: Ledger }) {
  const { shown, filtered, lost } = l.terms;
  const also: string[] = [];
  const c = l.coverage as Record<string, number>;
  if (c.undecodable) also.push(`${exact(c.undecodable)} data sets without a template`);
  if (c.malformed) also.push(`${exact(c.malformed)} malformed messages`);
  if (c.lost_kernel) also.push(`${exact(c.lost_kernel)} messages dropped by the kernel`);
  if (c.reported_by_exporters) also.push(`${exact(c.reported_by_exporters)} packets that exporters missed`);
  if (c.quarantined) also.push(`${exact(c.quarantined)} damaged partitions left out`);
  if (l.coverage.tail_cut) also.push("the newest end of the journal");
  return (
    <p class="ledger">
      <span class="seen">seen {exact(l.seen)}</span> = shown {exact(shown)} + filtered out {exact(filtered)} + <span class={lost ? "lost" : ""}>{lost ? <Hatch /> : null}lost {exact(lost)}</span> records
      {also.length ? <span class="also"> · in the whole store also: {also.join(", ")}</span> : null}
    </p>
  );
}

const Hatch = () => (
  <svg class="swatch" width="12" height="10" aria-hidden="true"><rect width="12" height="10" fill="url(#hatch)" /></svg>
);

export const Patterns = () => (
  <svg class="defs" width="0" height="0" aria-hidden="true">
    <defs>
      <pattern id="hatch" width="6" height="6" patternUnits="userSpaceOnUse" patternTransform="rotate(45)">
        <rect width="6" height="6" class="hatch-back" /><rect width="2.4" height="6" class="hatch-line" />
      </pattern>
    </defs>
  </svg>
);

// A figure: title, chart, ledger, and the table behind it.
export function Figure(p: { name: string; title: string; view: View; numbers?: Record<string, string | number>; tools?: ComponentChildren; table?: ComponentChildren; children: ComponentChildren }) {
  const l = p.view.ledger;
  const data: Record<string, string> = {};
  for (const [k, v] of Object.entries(p.numbers ?? {})) data[`data-${k}`] = String(v);
  return (
    <figure id={`figure-${p.name}`} class={`card ${p.name}`} data-ledger={JSON.stringify({ seen: l.seen, ...l.terms })} data-seen={l.seen} {...data}>
      <div class="head"><h2>{p.title}</h2>{p.tools}</div>
      {p.children}
      <figcaption>
        <LedgerLine l={l} />
        {p.table ? <details class="twin"><summary>As a table</summary><div class="scroll" tabIndex={0} role="region" aria-label={`${p.title}, as a table`}>{p.table}</div></details> : null}
      </figcaption>
    </figure>
  );
}

export function seriesName(cube: Cube, i: number | null): string {
  const k = cube.keys[0];
  if (!k) return "all";
  if (i === null) return "other";
  if (k.name === "denialRuleName" && !k.values[i][0]) return "no rule allowed it";
  if (k.name === "denied") return k.values[i][0] ? "denied" : "passed";
  return value(k.values[i][0], k.format, k.name) || "(none)";
}

// Red is for what was refused, and for that alone.
function hue(name: string, i: number | null, v: Cell, m: string): string | number {
  if (i === null) return "x";
  if (name === "denied") return v ? "d0" : 0;
  return m === "denied" || name.startsWith("denial") || name === "rule" ? `d${i % 4}` : i % 8;
}

interface Bucket { t: number; parts: number[]; sum: number; lost: number; unheard: boolean }

function buckets(view: View, cube: Cube, m: string): { list: Bucket[]; series: (number | null)[]; sums: number[] } {
  const step = cube.step, keyed = cube.keys.length ? 1 : 0, at = 1 + keyed + measureAt(m);
  const n = keyed ? cube.keys[0].values.length : 1;
  const first = Math.floor(view.window.from / step) * step, last = Math.floor((view.window.to - 1) / step) * step;
  const list: Bucket[] = [];
  for (let t = first; t <= last && list.length < 2000; t += step) list.push({ t, parts: new Array(n + 1).fill(0), sum: 0, lost: 0, unheard: false });
  const sums = new Array(n + 1).fill(0);
  for (const c of cube.cells) {
    const i = Math.min(list.length - 1, Math.max(0, Math.round((c[0]! - first) / step)));
    const k = keyed ? (c[1] === null ? n : c[1]!) : 0;
    if (!list[i]) continue;
    list[i].parts[k] += c[at]!;
    list[i].sum += c[at]!;
    sums[k] += c[at]!;
  }
  for (const [, , kind, from, to, records] of view.ledger.gaps)
    for (const b of list)
      if (b.t < Math.max(to, from + 1) && b.t + step > from) kind === "lost" ? (b.lost += records || 1) : b.t >= from - step / 2 && b.t + step <= to + step / 2 ? (b.unheard = true) : 0;
  const series: (number | null)[] = keyed ? [...cube.keys[0].values.map((_, i) => i), ...(sums[n] ? [null] : [])] : [0];
  return { list, series, sums };
}

function ticks(max: number): number[] {
  if (max <= 0) return [0];
  const raw = max / 3, power = 10 ** Math.floor(Math.log10(raw));
  const step = [1, 2, 2.5, 5, 10].map((f) => f * power).find((s) => s >= raw)!;
  const out = [];
  for (let v = 0; v <= max * 1.0001; v += step) out.push(v);
  return out;
}

export function Timeline({ view, cube, s, title, name = "timeline", small = false, height = 200, measure }: { view: View; cube: Cube; s: State; title: string; name?: string; small?: boolean; height?: number; measure?: string }) {
  const m = measure ?? s.m;
  const { list, series, sums } = useMemo(() => buckets(view, cube, m), [view, cube, m]);
  const [hover, putHover] = useState(-1);
  const [drag, putDrag] = useState<[number, number] | null>(null);
  const svg = useRef<SVGSVGElement>(null);
  const W = 1000, left = 0, H = height, plot = H - 18;
  const max = Math.max(1, ...list.map((b) => b.sum));
  const w = W / Math.max(1, list.length);
  const total = list.reduce((a, b) => a + b.sum, 0);
  const hatched = list.filter((b) => b.lost || b.unheard).length;
  const n = cube.keys[0]?.values.length ?? 1;
  const at = (e: PointerEvent) => {
    const r = svg.current!.getBoundingClientRect();
    return Math.min(list.length - 1, Math.max(0, Math.floor(((e.clientX - r.left) / r.width) * list.length)));
  };
  const zoom = (a: number, b: number) => {
    const from = Math.min(a, b), to = Math.max(a, b);
    if (list[from] && list[to]) set({ from: iso(Math.max(list[from].t, 0)), to: iso(list[to].t + cube.step), last: "" });
  };
  const key = (e: KeyboardEvent) => {
    const move = e.key === "ArrowRight" ? 1 : e.key === "ArrowLeft" ? -1 : 0;
    const next = Math.min(list.length - 1, Math.max(0, (hover < 0 ? list.length - 1 : hover) + move));
    if (move) {
      putDrag(e.shiftKey ? [drag ? drag[0] : Math.max(hover, 0), next] : null);
      putHover(next);
    } else if (e.key === "Enter" && drag) zoom(drag[0], drag[1]), putDrag(null);
    else if (e.key === "Escape") putDrag(null), putHover(-1);
    else return;
    e.preventDefault();
  };
  const b = list[hover];
  const long = view.window.to - view.window.from > 36 * 3600e3;
  const label = (t: number) => (long ? `${day(t).slice(5)} ${clock(t, false)}` : clock(t, cube.step < 60000));
  const labels = small ? 4 : 6;
  const k = cube.keys[0];
  return (
    <Figure
      name={name} title={title} view={view}
      numbers={{ octets: m === "octets" ? total : "", total, measure: m, hatched, "hatched-at": list.filter((x) => x.lost || x.unheard).map((x) => x.t).join(" ") }}
      table={
        <table><thead><tr><th scope="col">from</th>{series.map((i) => <th scope="col">{seriesName(cube, i)}</th>)}<th scope="col">lost</th></tr></thead>
          <tbody>{list.filter((x) => x.sum || x.lost || x.unheard).map((x) => (
            <tr><th scope="row">{when(x.t)}</th>{series.map((i) => <td class="n">{exact(x.parts[i === null ? n : i])}</td>)}<td class="n">{x.unheard ? "not heard" : x.lost ? exact(x.lost) : ""}</td></tr>
          ))}</tbody></table>
      }
    >
      <div class="readout" aria-live="off">
        {drag ? <b>{label(list[Math.min(...drag)]?.t ?? 0)} – {label((list[Math.max(...drag)]?.t ?? 0) + cube.step)}: release or press Enter to look closer</b>
          : b ? <><b>{label(b.t)}</b> {b.unheard ? <em>an exporter was not heard</em> : b.sum === 0 && !b.lost ? "silence" : null} {b.lost ? <em>{exact(b.lost)} records lost</em> : null} {series.map((i) => { const v = b.parts[i === null ? n : i]; return v ? <span>{seriesName(cube, i)} {amount(m, v)}</span> : null; })}</>
          : <span class="muted">each bar is {duration(cube.step)} · highest {amount(m, max)} · drag to look closer</span>}
      </div>
      <svg
        ref={svg} class="plot" viewBox={`0 0 ${W} ${H}`} preserveAspectRatio="none" height={H} role="group" tabIndex={0} aria-roledescription="chart"
        aria-label={`${title}: ${list.length} steps of ${duration(cube.step)}, ${exact(total)} ${m} in all, ${hatched} steps with losses. Arrow keys move, with Shift they select, Enter looks closer.`}
        onKeyDown={key} onPointerMove={(e) => { const i = at(e); putHover(i); if (drag && e.buttons) putDrag([drag[0], i]); }} onPointerLeave={() => !drag && putHover(-1)}
        onPointerDown={(e) => { const i = at(e); (e.currentTarget as Element).setPointerCapture(e.pointerId); putDrag([i, i]); }}
        onPointerUp={(e) => { if (drag && drag[0] !== at(e)) zoom(drag[0], at(e)); putDrag(null); }}
      >
        {ticks(max).map((v) => <line class="grid" x1={left} x2={W} y1={plot - (v / max) * (plot - 6)} y2={plot - (v / max) * (plot - 6)} />)}
        {list.map((x, i) => {
          let y = plot;
          return (
            <g class={i === hover ? "hot" : ""}>
              {x.lost || x.unheard ? <rect class="gap" data-t={x.t} x={i * w} width={w} y={0} height={plot} fill="url(#hatch)" /> : null}
              {series.map((j) => {
                const v = x.parts[j === null ? n : j];
                if (!v) return null;
                const h = Math.max(0.8, (v / max) * (plot - 6));
                y -= h;
                return <rect class={`s s${hue(k?.name ?? "", j, j === null ? null : k?.values[j]?.[0] ?? null, m)}`} x={i * w + w * 0.06} width={w * 0.88} y={y} height={h} />;
              })}
            </g>
          );
        })}
        {drag ? <rect class="brush" x={Math.min(...drag) * w} width={(Math.abs(drag[0] - drag[1]) + 1) * w} y={0} height={plot} /> : b ? <rect class="cursor" x={hover * w} width={w} y={0} height={plot} /> : null}
        <line class="axis" x1={0} x2={W} y1={plot} y2={plot} />
      </svg>
      <div class="xaxis" aria-hidden="true">{Array.from({ length: labels }, (_, i) => list[Math.floor((i * (list.length - 1)) / (labels - 1))]).map((x) => <span>{x ? label(x.t) : ""}</span>)}</div>
      {cube.keys.length ? (
        <ul class="legend">
          {series.map((i) => (
            <li><button type="button" disabled={i === null || !term(k.name, k.values[i!][0], k.format)} title="Show only this" onClick={() => set({ filter: narrow(s.filter, term(k.name, k.values[i!][0], k.format)) })}>
              <i class={`s${hue(k.name, i, i === null ? null : k.values[i][0], m)}`} />{seriesName(cube, i)} <b>{amount(m, sums[i === null ? n : i])}</b>
            </button></li>
          ))}
          {hatched ? <li class="key"><Hatch /> records lost, or an exporter not heard</li> : null}
        </ul>
      ) : null}
    </Figure>
  );
}

// Who with whom: one value a row, one a column; it is its own table.
export function Matrix({ view, cube, s }: { view: View; cube: Cube; s: State }) {
  const at = 2 + measureAt(s.m);
  const [rows, cols] = cube.keys;
  const cells = new Map<string, number[]>();
  const rowSum = new Map<number | null, number>(), colSum = new Map<number | null, number>();
  let total = 0, max = 1;
  for (const c of cube.cells) {
    cells.set(`${c[0]},${c[1]}`, c as number[]);
    rowSum.set(c[0], (rowSum.get(c[0]) ?? 0) + c[at]!);
    colSum.set(c[1], (colSum.get(c[1]) ?? 0) + c[at]!);
    total += c[at]!;
    if (c[0] !== null && c[1] !== null) max = Math.max(max, c[at]!);
  }
  const index = (k: Cube["keys"][0], sums: Map<number | null, number>) => [...k.values.map((_, i) => i as number | null), ...(sums.has(null) ? [null] : [])];
  const name = (k: Cube["keys"][0], i: number | null) => (i === null ? "other" : value(k.values[i][0], k.format, k.name) || "(none)");
  const go = (i: number | null, j: number | null) => {
    let f = s.filter;
    if (i !== null) f = narrow(f, term(rows.name, rows.values[i][0], rows.format));
    if (j !== null) f = narrow(f, term(cols.name, cols.values[j][0], cols.format));
    set({ filter: f, view: "flows" });
  };
  const level = (n: number) => (n <= 0 ? 0 : Math.min(9, 1 + Math.floor((Math.log1p(n) / Math.log1p(max)) ** 3 * 8.99)));
  const ri = index(rows, rowSum), ci = index(cols, colSum);
  return (
    <Figure name="matrix" title="From row to column" view={view} numbers={{ total, measure: s.m, octets: s.m === "octets" ? total : "" }}>
      <div class="scroll" tabIndex={0} role="region" aria-label="Matrix of who talks to whom">
        <table class="matrix">
          <thead><tr><th scope="col"><span class="sr">{rows.name} to {cols.name}</span></th>{ci.map((j) => <th scope="col"><span>{name(cols, j)}</span></th>)}<th scope="col" class="sum"><span>sum</span></th></tr></thead>
          <tbody>
            {ri.map((i) => (
              <tr>
                <th scope="row">{name(rows, i)}</th>
                {ci.map((j) => {
                  const c = cells.get(`${i},${j}`);
                  const n = c ? c[at] : 0, denied = c ? c[5] : 0;
                  return (
                    <td class={`l${level(n)}`}>
                      {c ? <button type="button" disabled={i === null && j === null} onClick={() => go(i, j)} aria-label={`${name(rows, i)} to ${name(cols, j)}: ${amount(s.m, n)}${denied ? `, ${denied} denied` : ""}`}>
                        {n || !denied ? amount(s.m, n) : ""}{denied ? <span class="no">✕{count(denied)}</span> : null}
                      </button> : null}
                    </td>
                  );
                })}
                <td class="sum n">{amount(s.m, rowSum.get(i) ?? 0)}</td>
              </tr>
            ))}
          </tbody>
          <tfoot><tr><th scope="row">sum</th>{ci.map((j) => <td class="sum n">{amount(s.m, colSum.get(j) ?? 0)}</td>)}<td class="sum n" data-sum={total}>{amount(s.m, total)}</td></tr></tfoot>
        </table>
      </div>
    </Figure>
  );
}

// Source, service, destination as bands; what is small is not left out but together.
export function Sankey({ view, cube, s }: { view: View; cube: Cube; s: State }) {
  const at = 3 + measureAt(s.m);
  const W = 900, H = 420, bar = 10, gap = 6;
  const total = cube.cells.reduce((a, c) => a + c[at]!, 0);
  const [hot, putHot] = useState("");
  const layout = useMemo(() => {
    const sums: Map<number, number>[] = [new Map(), new Map(), new Map()];
    const none = 999;
    const links: Map<string, { a: number; b: number; v: number; denied: number; col: number }> = new Map();
    for (const c of cube.cells) {
      const k = [0, 1, 2].map((i) => (c[i] === null ? none : c[i]!));
      k.forEach((v, i) => sums[i].set(v, (sums[i].get(v) ?? 0) + c[at]!));
      for (const col of [0, 1]) {
        const id = `${col}:${k[col]}:${k[col + 1]}`;
        const l = links.get(id) ?? { a: k[col], b: k[col + 1], v: 0, denied: 0, col };
        l.v += c[at]!;
        l.denied += c[6]!;
        links.set(id, l);
      }
    }
    const nodes = sums.map((m, col) => {
      const order = [...m.entries()].filter(([, v]) => v > 0).sort((x, y) => (x[0] === none ? 1 : y[0] === none ? -1 : y[1] - x[1]));
      const room = H - gap * Math.max(0, order.length - 1);
      let y = 0;
      return order.map(([i, v]) => {
        const h = Math.max(2, (v / Math.max(1, total)) * room);
        const node = { i, v, col, x: col * ((W - bar) / 2), y, h, out: 0, into: 0 };
        y += h + gap;
        return node;
      });
    });
    const find = (col: number, i: number) => nodes[col].find((n) => n.i === i);
    const drawn = [...links.values()].filter((l) => l.v > 0).sort((x, y) => x.b - y.b || x.a - y.a).map((l) => {
      const a = find(l.col, l.a)!, b = find(l.col + 1, l.b)!;
      const ha = (l.v / a.v) * a.h, hb = (l.v / b.v) * b.h;
      const y1 = a.y + a.out, y2 = b.y + b.into, x1 = a.x + bar, x2 = b.x, xm = (x1 + x2) / 2;
      a.out += ha;
      b.into += hb;
      return { ...l, id: `${l.col}:${l.a}:${l.b}`, d: `M${x1},${y1}C${xm},${y1} ${xm},${y2} ${x2},${y2}L${x2},${y2 + hb}C${xm},${y2 + hb} ${xm},${y1 + ha} ${x1},${y1 + ha}Z` };
    });
    return { nodes, drawn, none };
  }, [cube, at, total]);
  const name = (col: number, i: number) => (i === layout.none ? "other" : value(cube.keys[col].values[i][0], cube.keys[col].format, cube.keys[col].name) || "(no port)");
  const go = (col: number, i: number) => i !== layout.none && set({ filter: narrow(s.filter, term(cube.keys[col].name, cube.keys[col].values[i][0] as Cell, cube.keys[col].format)) });
  return (
    <Figure
      name="sankey" title="Source, service, destination" view={view} numbers={{ total, measure: s.m, octets: s.m === "octets" ? total : "" }}
      table={
        <table><thead><tr>{cube.keys.map((k) => <th scope="col">{k.name}</th>)}<th scope="col">{s.m}</th><th scope="col">denied</th></tr></thead>
          <tbody>{[...cube.cells].sort((x, y) => y[at]! - x[at]!).map((c) => <tr>{[0, 1, 2].map((i) => <td>{name(i, c[i] === null ? layout.none : c[i]!)}</td>)}<td class="n">{exact(c[at]!)}</td><td class="n">{c[6] ? exact(c[6]!) : ""}</td></tr>)}</tbody></table>
      }
    >
      <div class="scroll" tabIndex={0} role="region" aria-label="Bands from source to destination">
        <svg class="sankey-plot" viewBox={`-140 -18 ${W + 280} ${H + 26}`} role="img" aria-label={`Bands from source over service to destination, ${exact(total)} ${s.m} in all; the table below says the same`}>
          {["source", "service", "destination"].map((t, i) => <text class="coltitle" x={(i * (W - bar)) / 2 + bar / 2} y={-8} text-anchor="middle">{t}</text>)}
          {layout.drawn.map((l) => (
            <path class={`band ${(l.col === 0 ? l.a : l.b) === layout.none ? "bx" : `b${(l.col === 0 ? l.a : l.b) % 8}`}${l.denied && s.m === "denied" ? " refused" : ""}${hot && hot !== l.id ? " dim" : ""}`} d={l.d} onPointerEnter={() => putHot(l.id)} onPointerLeave={() => putHot("")}>
              <title>{`${name(l.col, l.a)} → ${name(l.col + 1, l.b)}: ${amount(s.m, l.v)}${l.denied ? `, ${l.denied} denied` : ""}`}</title>
            </path>
          ))}
          {layout.nodes.flat().map((n) => (
            <g class="node" onClick={() => go(n.col, n.i)}>
              <rect x={n.x} y={n.y} width={bar} height={n.h} />
              {n.h > 7 || layout.nodes[n.col].length < 14 ? <text x={n.col === 0 ? n.x - 6 : n.col === 2 ? n.x + bar + 6 : n.x + bar + 5} y={n.y + n.h / 2} dy="0.35em" text-anchor={n.col === 0 ? "end" : "start"}>{clean(name(n.col, n.i))}</text> : null}
            </g>
          ))}
        </svg>
      </div>
    </Figure>
  );
}
