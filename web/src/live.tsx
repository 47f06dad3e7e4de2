// The live tail. While a row is selected nothing moves: what comes meanwhile is held, counted and not lost.
import { useEffect, useRef, useState } from "preact/hooks";
import { query, Rows } from "./api";
import { Cell, exact } from "./format";
import { State } from "./state";
import { FlowTable } from "./table";
import { Record } from "./record";

const SHOWN = 200, KEPT = 20000;
const formats: { [name: string]: string } = { duration: "duration", proto: "protocol", src: "address", dst: "address", flags: "flags", dir: "direction", packets: "count", octets: "octets", denied: "yes" };

export function LiveTail({ s }: { s: State }) {
  const [rows, putRows] = useState<Cell[][]>([]);
  const [shown, putShown] = useState(SHOWN);
  const [columns, putColumns] = useState<[string, string][]>([]);
  const [selected, putSelected] = useState<Cell[] | null>(null);
  const [paused, putPaused] = useState(false);
  const [told, tell] = useState({ emitted: 0, held: 0, omitted: 0, state: "connecting" });
  const held = useRef<Cell[][]>([]);
  const counts = useRef({ emitted: 0, omitted: 0, overflow: 0 });
  const still = useRef(false);
  still.current = paused || selected !== null;

  useEffect(() => {
    held.current = [];
    counts.current = { emitted: 0, omitted: 0, overflow: 0 };
    putRows([]);
    putSelected(null);
    const source = new EventSource(`/api/v1/live?${query({ filter: s.filter })}`);
    const say = (state: string) => tell({ emitted: counts.current.emitted, held: held.current.length, omitted: counts.current.omitted + counts.current.overflow, state });
    source.addEventListener("flows", (e) => {
      const d = JSON.parse((e as MessageEvent).data) as { columns: string[]; rows: Cell[][]; matched: number; sent: number };
      counts.current.emitted += d.matched;
      counts.current.omitted += d.matched - d.sent;
      putColumns((have) => (have.length ? have : d.columns.map((c) => [c, formats[c] ?? "plain"] as [string, string])));
      if (still.current) {
        held.current = d.rows.concat(held.current);
        if (held.current.length > KEPT) {
          counts.current.overflow += held.current.length - KEPT;
          held.current.length = KEPT;
        }
      } else putRows((have) => d.rows.concat(have).slice(0, KEPT));
      say("live");
    });
    source.addEventListener("tick", () => say("live"));
    source.addEventListener("lost", () => say("interrupted; it goes on behind the gap"));
    source.onerror = () => say("the collector does not answer; trying again");
    return () => source.close();
  }, [s.filter]);

  useEffect(() => {
    if (still.current || !held.current.length) return;
    const more = held.current;
    held.current = [];
    putRows((have) => more.concat(have).slice(0, KEPT));
    tell((t) => ({ ...t, held: 0 }));
  }, [paused, selected]);

  const data: Rows = { limit: shown, columns, rows: rows.slice(0, shown), count: rows.length };
  return (
    <section class="card tail" data-emitted={told.emitted} data-kept={rows.length} data-held={told.held} data-omitted={told.omitted}>
      <div class="head">
        <h2>Live tail</h2>
        <p class="state" role="status"><i class={`dot ${told.state === "live" ? (still.current ? "held" : "on") : "off"}`} />{still.current ? `${exact(told.held)} held` : told.state} · {exact(told.emitted)} came{told.omitted ? ` · ${exact(told.omitted)} left out: too many at once` : ""}</p>
        <button type="button" onClick={() => (putPaused(!still.current), putSelected(null))} aria-pressed={paused}>{paused || selected ? "Resume" : "Hold"}</button>
      </div>
      {columns.length ? (
        <FlowTable rows={data} s={s} caption="Records as they come, newest first" selected={selected ? rows.indexOf(selected) : -1} more={(r) => putSelected(selected === r ? null : r)} />
      ) : <p class="muted wait">Waiting for records that match. They come when an exporter sends them: with the idle timeout behind the traffic.</p>}
      {rows.length > shown ? <p class="note">{exact(rows.length - shown)} older ones are kept here. <button type="button" onClick={() => putShown(shown + SHOWN)}>Show more</button></p> : null}
      {selected ? <Record columns={columns} row={selected} s={s} close={() => putSelected(null)} /> : null}
    </section>
  );
}
