// One record, with every element that it has.
import { useEffect, useState } from "preact/hooks";
import { get, View } from "./api";
import { Cell, clean, term } from "./format";
import { State } from "./state";

const same = ["start", "src", "dst", "srcport", "dstport", "proto", "packets", "octets"];

export function Record({ columns, row, s, close }: { columns: [string, string][]; row: Cell[]; s: State; close: () => void }) {
  const [found, put] = useState<[string, Cell][] | null>(null);
  const [fault, putFault] = useState("");
  useEffect(() => {
    const abort = new AbortController();
    const terms = columns.map(([name, format], i) => (same.includes(name) && row[i] !== null ? term(name, row[i], format) : "")).filter(Boolean);
    const start = Date.parse(String(row[columns.findIndex((c) => c[0] === "start")]));
    const around: { [k: string]: string } = Number.isFinite(start) ? { from: new Date(start - 1000).toISOString(), to: new Date(start + 86400e3).toISOString() } : {};
    put(null);
    putFault("");
    get<View>("record", { filter: terms.join(" and "), ...around }, abort.signal).then(
      (v) => {
        const raw = v.parts.answer as { columns: string[]; rows: Cell[][] };
        const one = raw.rows[0] ?? [];
        put(raw.columns.map((c, i) => [c, one[i] ?? null] as [string, Cell]).filter(([, x]) => x !== null));
      },
      (e) => !abort.signal.aborted && putFault(String(e.message)),
    );
    return () => abort.abort();
  }, [row]);
  return (
    <section class="record" aria-label="The whole record">
      <div class="head"><h3>The whole record</h3><button type="button" class="quiet" aria-label="Close" onClick={close}>✕</button></div>
      {fault ? <p class="complaint">{clean(fault)}</p> : null}
      {found ? <dl>{found.map(([k, v]) => <div><dt>{clean(k)}</dt><dd>{clean(String(v))}</dd></div>)}</dl> : fault ? null : <p class="muted">…</p>}
    </section>
  );
}
