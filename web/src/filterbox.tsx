// The filter: words and live values offered while one types, and the place of an error under it.
import { useEffect, useRef, useState } from "preact/hooks";
import { get } from "./api";
import { clean } from "./format";
import { set, State, windowWords } from "./state";

interface Word { name: string; type: string; sided: boolean; help: string }
interface Check { ok: boolean; at?: number; length?: number; text?: string }
interface Offer { text: string; help: string }

let words: Word[] | undefined;
const fixed: Record<string, string[]> = { protocol: ["tcp", "udp", "icmp", "icmp6", "sctp", "gre", "esp"], direction: ["ingress", "egress"], boolean: ["true", "false"], flags: ["S", "SA", "R", "FA"] };
const joints = ["and", "or", "not"];

// The piece the caret is in, the word in front of it, and whether that word waits for its value.
function place(text: string, caret: number) {
  const before = text.slice(0, caret);
  const piece = /[^\s(){}[\],!=<>~]*$/.exec(before)![0];
  const front = before.slice(0, before.length - piece.length).replace(/[\s=<>~!{[,(]+$/, "");
  const m = /(?:\b(src|dst|in|out)\s+)?([A-Za-z][\w.]*)$/.exec(front);
  return { piece, side: m?.[1] ?? "", word: m?.[2] ?? "", from: caret - piece.length };
}

async function offers(text: string, caret: number, s: State, signal: AbortSignal): Promise<{ from: number; list: Offer[] }> {
  const p = place(text, caret);
  words ??= (await get<{ words: Word[] }>("words", {}, signal)).words;
  const alone = (n: string) => words!.find((w) => w.name === n.toLowerCase());
  const word = alone(p.word);
  const named = p.word !== "" && !joints.includes(p.word.toLowerCase()) && word?.type !== "bare";
  const low = p.piece.toLowerCase();
  if (named && (word || /^[a-z]+[A-Z]/.test(p.word))) {
    const type = word?.type ?? "text";
    let list: Offer[] = (fixed[type] ?? []).filter((v) => v.toLowerCase().startsWith(low)).map((v) => ({ text: v, help: "" }));
    if ((p.word === "src" || p.word === "dst") && words.some((w) => w.sided && w.name.startsWith(low) && low))
      list = list.concat(words.filter((w) => w.sided && w.name.startsWith(low)).map((w) => ({ text: w.name, help: w.help })));
    if (!fixed[type] && type !== "time" && type !== "duration") {
      const key = word?.sided && word.type !== "interface" && !p.side && word.name !== "port" ? `src ${word.name}` : `${p.side ? `${p.side} ` : ""}${p.word}`;
      const v = await get<any>("complete", { word: key, prefix: p.piece, ...windowWords(s) }, signal);
      list = list.concat(v.parts.answer.values.map(([t, n]: [string, number]) => ({ text: /^[\w.:/%*@#+-]+$/.test(t) ? t : t.includes('"') ? `'${t}'` : `"${t}"`, help: `${n} flows` })));
    }
    return { from: p.from, list: list.slice(0, 12) };
  }
  const complete = p.piece === "" && /\S$/.test(text.slice(0, caret).trim()) && !joints.includes(p.word.toLowerCase()) && !/[({!]\s*$/.test(text.slice(0, caret));
  const list = complete
    ? joints.slice(0, 2).map((j) => ({ text: j, help: "" }))
    : words.filter((w) => w.name.startsWith(low)).map((w) => ({ text: w.name, help: w.help })).concat(joints.filter((j) => low && j.startsWith(low)).map((j) => ({ text: j, help: "" })));
  return { from: p.from, list: list.slice(0, 12) };
}

export function FilterBox({ s }: { s: State }) {
  const [text, put] = useState(s.filter);
  const [check, putCheck] = useState<Check>({ ok: true });
  const [list, putList] = useState<Offer[]>([]);
  const [at, putAt] = useState(-1);
  const [open, putOpen] = useState(false);
  const box = useRef<HTMLInputElement>(null);
  const from = useRef(0);
  const running = useRef<AbortController>();

  useEffect(() => put(s.filter), [s.filter]);
  useEffect(() => {
    const abort = new AbortController();
    const t = setTimeout(() => get<Check>("filter", { filter: text }, abort.signal).then(putCheck, () => {}), 60);
    return () => {
      clearTimeout(t);
      abort.abort();
    };
  }, [text]);

  function offer(value: string, caret: number) {
    running.current?.abort();
    const abort = (running.current = new AbortController());
    offers(value, caret, s, abort.signal).then(
      (o) => {
        from.current = o.from;
        putList(o.list);
        putAt(-1);
        putOpen(true);
      },
      () => {},
    );
  }

  function typed(e: Event) {
    const input = e.currentTarget as HTMLInputElement;
    let value = input.value;
    let caret = input.selectionStart ?? value.length;
    const m = /(^|[\s(!])([a-z]+):$/i.exec(value.slice(0, caret)); // "peer:" as others write it
    if (m && (words ?? []).some((w) => w.name === m[2].toLowerCase())) {
      value = `${value.slice(0, caret - 1)} ${value.slice(caret)}`;
      input.value = value;
      input.setSelectionRange(caret, caret);
    }
    put(value);
    offer(value, caret);
  }

  function take(o: Offer) {
    const input = box.current!;
    const caret = input.selectionStart ?? text.length;
    const value = `${text.slice(0, from.current)}${o.text} ${text.slice(caret)}`.replace(/ {2,}/g, " ");
    const next = from.current + o.text.length + 1;
    put(value);
    putOpen(false); // until there are new offers: the next Enter applies, however quick it is
    putAt(-1);
    requestAnimationFrame(() => {
      input.focus();
      input.setSelectionRange(next, next);
      offer(value, next);
    });
  }

  function apply() {
    putOpen(false);
    running.current?.abort();
    if (check.ok || text.trim() === "") set({ filter: text.trim() });
    else get<Check>("filter", { filter: text }).then((c) => (putCheck(c), c.ok && set({ filter: text.trim() })), () => {});
  }

  function key(e: KeyboardEvent) {
    if (e.key === "ArrowDown" && open && list.length) putAt((at + 1) % list.length), e.preventDefault();
    else if (e.key === "ArrowUp" && open && list.length) putAt((at + list.length - 1) % list.length), e.preventDefault();
    else if ((e.key === "Enter" || e.key === "Tab") && open && at >= 0) take(list[at]), e.preventDefault();
    else if (e.key === "Tab" && open && !e.shiftKey && list.length && place(text, box.current!.selectionStart ?? 0).piece) take(list[0]), e.preventDefault();
    else if (e.key === "Enter") apply();
    else if (e.key === "Escape") open ? putOpen(false) : (put(s.filter), box.current?.blur());
  }

  const bad = !check.ok && text.trim() !== "";
  const start = bad ? chars(text, check.at ?? 0) : 0;
  const length = bad ? Math.max(1, chars(text, (check.at ?? 0) + (check.length ?? 0)) - start) : 0;
  return (
    <div class="filter" onFocusOut={(e) => !(e.currentTarget as Element).contains(e.relatedTarget as Node) && putOpen(false)}>
      <label class="sr" for="filter">Filter</label>
      <div class={`box${bad ? " bad" : ""}`}>
        <svg class="icon" viewBox="0 0 16 16" aria-hidden="true"><path d="M2 3h12l-4.6 5.4V13l-2.8-1.5V8.4z" /></svg>
        <input
          id="filter" ref={box} type="text" value={text} spellcheck={false} autocomplete="off" autocapitalize="off"
          placeholder="all flows: src net 10.77.0.0/16 and dst port 443" role="combobox" aria-expanded={open && list.length > 0} aria-controls="offers" aria-autocomplete="list"
          aria-invalid={bad} aria-describedby="filter-error" aria-activedescendant={open && at >= 0 ? `offer-${at}` : undefined}
          onInput={typed} onKeyDown={key} onFocus={() => get<{ words: Word[] }>("words", {}).then((w) => void (words = w.words), () => {})}
        />
        {s.filter !== "" || text !== "" ? <button type="button" class="quiet" aria-label="Clear the filter" onClick={() => (put(""), set({ filter: "" }))}>✕</button> : null}
        <button type="button" class="main" onClick={apply}>Apply</button>
      </div>
      <div id="filter-error" role="status" class="complaint">
        {bad ? <><pre class="caret" aria-hidden="true">{`${clean(text)}\n${" ".repeat(start)}${"^".repeat(length)}`}</pre><span>character {start + 1}: {clean(check.text ?? "")}</span></> : null}
      </div>
      <ul id="offers" role="listbox" aria-label="Words and values" hidden={!open || !list.length}>
        {list.map((o, i) => (
          <li key={o.text} id={`offer-${i}`} role="option" aria-selected={i === at} class={i === at ? "at" : ""} onMouseDown={(e) => (e.preventDefault(), take(o))}>
            <b>{clean(o.text)}</b><span>{o.help}</span>
          </li>
        ))}
      </ul>
    </div>
  );
}

// Octets of UTF-8 to characters.
function chars(text: string, at: number): number {
  return new TextDecoder().decode(new TextEncoder().encode(text).slice(0, at)).length;
}
