import { render } from "preact";
import { useEffect, useRef, useState } from "preact/hooks";
import { ApiError, get, query, Status, View } from "./api";
import { Patterns } from "./charts";
import { Empty, causeOfFault, causeOfNothing } from "./empty";
import { FilterBox } from "./filterbox";
import { clean, duration, iso, when } from "./format";
import { print, set, State, titles, useAddress, views, windowWords } from "./state";
import { Body, wanted } from "./views";
import "./style.css";

const RANGES: [string, string][] = [["5m", "5 min"], ["15m", "15 min"], ["1h", "1 h"], ["6h", "6 h"], ["24h", "24 h"], ["7d", "7 d"], ["all", "all"]];
const EVERY_MS = 5000;

function Range({ s, v }: { s: State; v: View | null }) {
  const fixed = !!(s.from || s.to);
  const width = v ? v.window.to - v.window.from : 3600e3;
  const move = (by: number) => v && set({ from: iso(v.window.from + by * width), to: iso(v.window.to + by * width), last: "" });
  return (
    <div class="range">
      <div class="ranges" role="group" aria-label="Time">
        {RANGES.map(([k, t]) => <button type="button" aria-pressed={!fixed && s.last === k} onClick={() => set({ last: k, from: "", to: "" })}>{t}</button>)}
      </div>
      <div class="ranges" role="group" aria-label="Move in time">
        <button type="button" aria-label="Earlier" onClick={() => move(-0.5)}>‹</button>
        <button type="button" aria-label="Wider" onClick={() => v && set({ from: iso(v.window.from - width / 2), to: iso(Math.min(v.window.to + width / 2, Date.now())), last: "" })}>−</button>
        <button type="button" aria-label="Later" onClick={() => move(0.5)}>›</button>
      </div>
      {v ? <span class="window">{when(v.window.from)} – {when(v.window.to).slice(when(v.window.from).slice(0, 10) === when(v.window.to).slice(0, 10) ? 11 : 0)}</span> : null}
    </div>
  );
}

function Export({ s }: { s: State }) {
  const words: { [k: string]: string } = { filter: s.filter, ...windowWords(s) };
  if (s.view === "denied") words.only = "denied";
  if (s.view === "now") Object.assign(words, { by: "src,dst,proto,port", order: s.m });
  if (s.view === "talk") Object.assign(words, { by: "src,port,dst", order: s.m });
  return (
    <details class="menu" onToggle={(e) => { const d = e.currentTarget as HTMLDetailsElement; if (d.open) d.querySelectorAll("a").forEach((a) => (a.href = `/api/v1/export?${query({ ...words, format: a.dataset.format! })}`)); }}>
      <summary>Export</summary>
      <div class="pop">
        {["csv", "json", "parquet"].map((format) => <a data-format={format} href={`/api/v1/export?${query({ ...words, format })}`} download>{format.toUpperCase()}</a>)}
        <p>Every row that matches, with filter, window, ledger and the SQL in the file.</p>
      </div>
    </details>
  );
}

function theme(): string {
  return document.documentElement.dataset.theme ?? "";
}

function ThemeButton() {
  const [t, put] = useState(theme());
  const next = t === "" ? "light" : t === "light" ? "dark" : "";
  return (
    <button type="button" class="quiet" aria-label={`Colours: ${t || "as the system"}; change`} title={`Colours: ${t || "as the system"}`} onClick={() => {
      if (next) document.documentElement.dataset.theme = next;
      else delete document.documentElement.dataset.theme;
      try { localStorage.setItem("theme", next); } catch { /* then only for now */ }
      put(next);
    }}><svg class="icon" viewBox="0 0 16 16" aria-hidden="true"><circle cx="8" cy="8" r="5.5" class="ring" /><path d="M8 2.5a5.5 5.5 0 010 11z" /></svg></button>
  );
}

function App() {
  const s = useAddress();
  const [v, putView] = useState<View | null>(null);
  const [st, putStatus] = useState<Status | null>(null);
  const [fault, putFault] = useState<ApiError | null>(null);
  const [busy, putBusy] = useState(false);
  const [shownFor, putShownFor] = useState("");
  const [turn, putTurn] = useState(0);
  const abort = useRef<AbortController>();
  const frozen = useRef(false);
  const answered = useRef({ at: 0, took: 0 });
  const key = print({ ...s, m: s.view === "flows" ? "" : s.m });
  const tail = s.view === "flows" && s.live === "tail";
  const relative = !(s.from || s.to) && s.live !== "0" && !tail;

  useEffect(() => {
    if (tail) return;
    abort.current?.abort();
    const mine = (abort.current = new AbortController());
    putBusy(true);
    get<View>("view", { filter: s.filter, whole: s.whole, ...windowWords(s), ...wanted(s) }, mine.signal).then(
      (answer) => { answered.current = { at: Date.now(), took: answer.took_ms }; putView(answer); putFault(null); putShownFor(s.view); },
      (e) => { if (!mine.signal.aborted) putFault(e instanceof ApiError ? e : new ApiError({ kind: "network", text: "the collector does not answer" }, 0)); },
    ).finally(() => { if (abort.current === mine) putBusy(false); });
    get<Status>("status", {}, mine.signal).then(putStatus, () => {});
  }, [key, turn, tail]);

  useEffect(() => {
    if (!relative) return;
    const t = setInterval(() => {
      frozen.current = !!document.querySelector("tr.selected, details.twin[open]") || document.hidden || !!document.querySelector(".plot:active, details.menu[open]");
      if (Date.now() - answered.current.at < 10 * answered.current.took) return; // a wide window costs: not all of the time
      if (!frozen.current && !document.activeElement?.matches("[data-cell]")) putTurn((n) => n + 1);
    }, EVERY_MS);
    return () => clearInterval(t);
  }, [relative]);

  useEffect(() => { document.title = `weir · ${titles[s.view]}`; }, [s.view]);

  const ready = v && shownFor === s.view;
  const wrongFilter = fault?.fault.what === "filter";
  const dead = fault && !wrongFilter ? causeOfFault(fault, st) : null;
  const nothing = ready && v.totals.flows === 0 && s.view !== "complete" && !(s.view === "denied" && (v.ledger.terms.filtered > 0)) ? causeOfNothing(v, st, s) : null;
  return (
    <>
      <Patterns />
      <a class="skip" href="#main">To the content</a>
      <header>
        <div class="top">
          <a class="brand" href="?" onClick={(e) => (e.preventDefault(), set({ view: "now", filter: "", last: "1h", from: "", to: "" }))}>
            <svg viewBox="0 0 24 16" aria-hidden="true"><path d="M1 4c4 0 6 0 8 4s4 5 14 5" class="w1" /><path d="M1 8c3 0 4 1 6 3s6 4 16 4" class="w2" /><path d="M10 1v8" class="w3" /></svg>weir
          </a>
          <nav aria-label="Views">{views.map((name) => <a href={print({ ...s, view: name, page: "", live: "" })} aria-current={s.view === name ? "page" : undefined} onClick={(e) => { if (!e.ctrlKey && !e.metaKey && e.button === 0) { e.preventDefault(); set({ view: name, live: "" }); } }}>{titles[name]}</a>)}</nav>
          <div class="end">
            <button type="button" class="live" aria-pressed={relative} disabled={!!(s.from || s.to)} onClick={() => set({ live: s.live === "0" ? "" : "0" })} title={relative ? "It follows the time; press to hold" : "It holds still"}><i class={`dot ${relative ? "on" : "held"}`} />{relative ? "live" : "still"}</button>
            <Export s={s} />
            <ThemeButton />
          </div>
        </div>
        <FilterBox s={s} />
        <Range s={s} v={v} />
      </header>
      <main id="main" tabIndex={-1} aria-busy={busy} data-view={ready || tail ? s.view : ""} data-settled={!busy && (ready || !!fault || tail) ? "yes" : "no"} data-took={v?.took_ms}>
        <h1 class="sr">{titles[s.view]}</h1>
        {st?.fault ? <p class="banner" role="alert"><b>The collector is not well:</b> {clean(st.fault)}</p> : null}
        {fault && !dead && !wrongFilter ? <p class="banner" role="alert"><b>No answer:</b> {clean(fault.message)}</p> : null}
        {wrongFilter && fault ? <p class="banner" role="alert"><b>The filter is not understood</b> at character {(fault.fault.at ?? 0) + 1}: {clean(fault.message)}</p> : null}
        {ready && v.left_out ? <p class="banner note" role="status" data-left-out={v.left_out.records}><b>Not all of it is shown:</b> {v.left_out.records.toLocaleString("en-US")} records before {when(v.left_out.to)} are left out; what is here is whole from then on. <button type="button" onClick={() => set({ whole: "1" })}>Read all of them</button></p> : null}
        {dead ? <Empty cause={dead} /> : null}
        {nothing ? <Empty cause={nothing} /> : null}
        {!dead && (ready || tail) && (v || tail) ? <div class={`body ${s.view}${busy ? " busy" : ""}`}><Body v={v!} s={s} st={st} /></div> : null}
        {!v && !fault && !tail ? <p class="muted wait">…</p> : null}
      </main>
      <footer>
        {v ? <>answered in {v.took_ms} ms from {(Number(v.ledger.coverage.records) + Number(v.ledger.coverage.tail_records)).toLocaleString("en-US")} records · </> : null}
        {st ? <>weir {clean(st.version)}{st.lag_s ? ` · the loader is ${duration(st.lag_s * 1000)} behind` : ""} · </> : null}times are UTC
      </footer>
    </>
  );
}

try {
  const t = localStorage.getItem("theme");
  if (t) document.documentElement.dataset.theme = t;
} catch {
  /* no storage: as the system */
}
render(<App />, document.getElementById("app")!);
