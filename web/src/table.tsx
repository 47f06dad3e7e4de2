// Records and sums as a table: a click on a cell narrows the filter, arrow keys walk through the cells.
import { ComponentChildren } from "preact";
import { useRef } from "preact/hooks";
import { Rows } from "./api";
import { Cell, clean, count, exact, octets, reason, service, term, value } from "./format";
import { narrow } from "./format";
import { set, State } from "./state";

const heads: Record<string, string> = {
  denialRuleName: "rule", denialReason: "reason", octets: "octets", srcport: "sport", dstport: "dport", denied: "verdict", "dst port": "dport",
};

const order: Record<string, string> = { start: "time", octets: "octets", packets: "packets", flows: "flows" };

export function isDenied(columns: [string, string][], row: Cell[]): boolean {
  const i = columns.findIndex((c) => c[0] === "denied");
  return i >= 0 && row[i] === true;
}

// The rule beside the verdict. A denied row never says that something allowed it.
export function whyDenied(rule: Cell, code: Cell): string {
  if (rule !== null && rule !== "") return clean(String(rule));
  if (code === null || Number(code) <= 2) return "no rule allowed it";
  return reason(Number(code));
}

export function Verdict({ denied, why }: { denied: boolean; why?: string }) {
  return denied ? (
    <span class="verdict no"><svg viewBox="0 0 12 12" aria-hidden="true"><path d="M2 2l8 8M10 2l-8 8" /></svg>denied{why ? <span class="why"> · {why}</span> : null}</span>
  ) : (
    <span class="verdict yes"><svg viewBox="0 0 12 12" aria-hidden="true"><path d="M2 6.5l3 3 5-7" /></svg>passed</span>
  );
}

interface Props {
  rows: Rows;
  s: State;
  caption: string;
  sortable?: boolean;
  bar?: string; // a column that is drawn as a bar
  more?: (row: Cell[], i: number) => void;
  selected?: number;
  foot?: ComponentChildren;
  id?: string;
  only?: string[];
}

export function FlowTable({ rows, s, caption, sortable, bar, more, selected, foot, id, only }: Props) {
  const body = useRef<HTMLTableSectionElement>(null);
  const at = rows.columns.map((c) => c[0]);
  const ruleAt = at.indexOf("denialRuleName"), codeAt = at.indexOf("denialReason");
  const shown = at.map((_, i) => i).filter((i) => (!only || only.includes(at[i])) && !(at.includes("denied") && (i === ruleAt || i === codeAt)));
  const barAt = bar ? at.indexOf(bar) : -1;
  const max = barAt >= 0 ? Math.max(1, ...rows.rows.map((r) => Number(r[barAt]))) : 1;
  const pick = (name: string, v: Cell, format: string) => set({ filter: narrow(s.filter, term(name, v, format)) });

  function walk(e: KeyboardEvent) {
    const cells = [...body.current!.querySelectorAll<HTMLElement>("[data-cell]")];
    const here = cells.indexOf(document.activeElement as HTMLElement);
    if (here < 0) return;
    const mine = cells[here];
    const row = mine.closest("tr")!;
    let next: HTMLElement | undefined;
    if (e.key === "ArrowRight") next = cells[here + 1];
    else if (e.key === "ArrowLeft") next = cells[here - 1];
    else if (e.key === "ArrowDown" || e.key === "ArrowUp") {
      const other = (e.key === "ArrowDown" ? row.nextElementSibling : row.previousElementSibling) as HTMLElement | null;
      next = other?.querySelector<HTMLElement>(`[data-cell="${mine.dataset.cell}"]`) ?? undefined;
    } else return;
    e.preventDefault();
    if (next) {
      mine.tabIndex = -1;
      next.tabIndex = 0;
      next.focus();
    }
  }

  function cell(r: Cell[], i: number, first: boolean) {
    const [name, format] = rows.columns[i];
    const v = r[i];
    if (name === "denied") return <button type="button" data-cell={i} tabIndex={first ? 0 : -1} onClick={() => pick(name, v, format)}><Verdict denied={v === true} why={v === true ? whyDenied(ruleAt >= 0 ? r[ruleAt] : null, codeAt >= 0 ? r[codeAt] : null) : undefined} /></button>;
    const text = name === "denialRuleName" && at.includes("flows") ? whyDenied(v, codeAt >= 0 ? r[codeAt] : null) : value(v, format, name);
    const t = term(name, v, format);
    const title = typeof v === "number" && (format === "octets" || format === "count") ? exact(v) : name === "dstport" || name === "dst port" ? service(Number(v)) : undefined;
    return t ? <button type="button" data-cell={i} tabIndex={first ? 0 : -1} title={title} onClick={() => pick(name, v, format)}>{text}</button> : <span data-cell={i} tabIndex={-1} title={title}>{text}</span>;
  }

  const numeric = (i: number) => ["octets", "count", "duration"].includes(rows.columns[i][1]) || /port$/.test(at[i]);
  return (
    <div class="scroll table" tabIndex={0} role="region" aria-label={caption} id={id}>
      <table class="flows">
        <caption class="sr">{caption}</caption>
        <thead>
          <tr>
            {more ? <th scope="col"><span class="sr">details</span></th> : null}
            {shown.map((i) => {
              const o = sortable ? order[at[i]] : undefined;
              const mine = o && s.order === o;
              const name = clean(heads[at[i]] ?? at[i]);
              return (
                <th scope="col" class={numeric(i) ? "n" : ""} aria-sort={mine ? (s.up ? "ascending" : "descending") : undefined}>
                  {o ? <button type="button" onClick={() => set({ order: o, up: mine && !s.up ? "1" : "" })}>{name}{mine ? (s.up ? " ▲" : " ▼") : ""}</button> : name}
                </th>
              );
            })}
          </tr>
        </thead>
        <tbody ref={body} onKeyDown={walk}>
          {rows.rows.map((r, n) => (
            <tr class={`${isDenied(rows.columns, r) ? "denied" : ""}${selected === n ? " selected" : ""}`} aria-selected={more ? selected === n : undefined}>
              {more ? <td><button type="button" class="quiet" aria-label={`Details of row ${n + 1}`} aria-expanded={selected === n} onClick={() => more(r, n)}>{selected === n ? "▾" : "▸"}</button></td> : null}
              {shown.map((i, k) => (
                <td class={numeric(i) ? "n" : ""}>
                  {i === barAt ? <svg class="bar" viewBox="0 0 100 4" preserveAspectRatio="none" aria-hidden="true"><rect width={(Number(r[i]) / max) * 100} height="4" /></svg> : null}
                  {cell(r, i, n === 0 && k === 0)}
                </td>
              ))}
            </tr>
          ))}
        </tbody>
        {foot}
      </table>
    </div>
  );
}

export function Foot({ columns, totals, span }: { columns: number; totals: { octets: number; packets: number; flows: number; denied: number }; span?: number }) {
  return (
    <tfoot>
      <tr data-octets={totals.octets} data-packets={totals.packets} data-flows={totals.flows} data-denied={totals.denied}>
        <td colSpan={columns + (span ?? 0)}>
          all that match: <b title={exact(totals.octets)}>{octets(totals.octets)}</b> · <b title={exact(totals.packets)}>{count(totals.packets)}</b> packets · <b>{exact(totals.flows)}</b> flows{totals.denied ? <> · <b class="no">{exact(totals.denied)} denied</b></> : null}
        </td>
      </tr>
    </tfoot>
  );
}
