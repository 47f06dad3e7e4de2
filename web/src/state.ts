// The address holds all that is on the page: who opens it elsewhere sees the same.
import { useEffect, useState } from "preact/hooks";

export const views = ["now", "flows", "talk", "denied", "rules", "complete"] as const;
export type ViewName = (typeof views)[number];
export const titles: Record<ViewName, string> = { now: "Now", flows: "Flows", talk: "Talk", denied: "Denied", rules: "Rules", complete: "Completeness" };

export interface State {
  view: ViewName;
  filter: string;
  last: string; // "1h"; "" with from and to
  from: string; // ISO, or milliseconds as @seconds
  to: string;
  by: string; // series of the timeline
  m: string; // measure: octets, packets, flows, denied
  order: string;
  up: string; // "1": smallest first
  page: string;
  live: string; // "0": holds still; in Flows "tail": live tail
  whole: string; // "1": read all of a window, however long it takes
}

export const usual: State = { view: "now", filter: "", last: "1h", from: "", to: "", by: "dir", m: "octets", order: "time", up: "", page: "", live: "", whole: "" };

export function parse(search: string): State {
  const q = new URLSearchParams(search);
  const s: State = { ...usual };
  for (const k of Object.keys(usual) as (keyof State)[]) {
    const v = q.get(k);
    if (v !== null) (s as any)[k] = v;
  }
  if (!views.includes(s.view)) s.view = "now";
  if (s.from || (s.to && !q.get("last"))) s.last = q.get("last") ?? "";
  return s;
}

export function print(s: State): string {
  const q = new URLSearchParams();
  for (const k of Object.keys(usual) as (keyof State)[]) {
    if (k === "last" && (s.from || s.to)) {
      if (s.last) q.set("last", s.last);
    } else if (s[k] !== usual[k] || k === "view") q.set(k, s[k]);
  }
  return `?${q.toString()}`;
}

type Listener = (s: State) => void;
let current = parse(location.search);
const listeners = new Set<Listener>();

export function set(change: Partial<State>, replace = false) {
  const next = { ...current, ...change };
  if (print(next) === print(current)) return;
  if (!("page" in change)) next.page = "";
  if ("last" in change || "from" in change || "view" in change) next.whole = change.whole ?? "";
  current = next;
  if (replace) history.replaceState(null, "", print(next));
  else history.pushState(null, "", print(next));
  listeners.forEach((f) => f(current));
}

export const now = () => current;

window.addEventListener("popstate", () => {
  current = parse(location.search);
  listeners.forEach((f) => f(current));
});

export function useAddress(): State {
  const [s, put] = useState(current);
  useEffect(() => {
    listeners.add(put);
    return () => void listeners.delete(put);
  }, []);
  return s;
}

export function windowWords(s: State): Record<string, string> {
  return s.from || s.to ? { from: s.from, to: s.to } : s.last === "all" ? {} : { last: s.last };
}
