// What the program answers. One question a view: its parts are of one moment and fit together.
import type { Cell } from "./format";

export interface Gap { exporter: string; domain: number; kind: string; from: number; to: number; records: number }
export interface Exporter { address: string; domain: number; first: number; last: number; patience: number }
export interface Ledger {
  seen: number;
  terms: { shown: number; filtered: number; lost: number };
  received: number;
  skew_s: number;
  received_last: number;
  gaps: [string, number, string, number, number, number][];
  exporters: [string, number, number, number, number][];
  coverage: Record<string, number | boolean | string>;
  damaged: string;
}
export interface Totals { octets: number; packets: number; flows: number; denied: number }
export interface Cube {
  step: number;
  keys: { name: string; format: string; values: [Cell, number, number, number, number][] }[];
  cells: (number | null)[][];
}
export interface Rows { limit: number; columns: [string, string][]; rows: Cell[][]; count: number }
export interface View {
  window: { from: number; to: number; now: number };
  filter: string;
  totals: Totals;
  ledger: Ledger;
  parts: Record<string, any>;
  left_out?: { records: number; from: number; to: number };
  took_ms: number;
}
export interface Status {
  version: string; now: number; queries_active: number; store: boolean; messages?: number; kernel_drops?: number; refused?: number; last_received?: number;
  lag_s?: number; fault?: string | null; retain_ms?: number; folder?: string; listens?: string[];
}
export interface Fault { kind: string; text: string; what?: string; at?: number; length?: number }

export class ApiError extends Error {
  constructor(public fault: Fault, public status: number) {
    super(fault.text);
  }
}

export async function get<T>(path: string, words: Record<string, string | string[]>, signal?: AbortSignal): Promise<T> {
  const answer = await fetch(`/api/v1/${path}?${query(words)}`, { signal, cache: "no-store" });
  const text = await answer.text();
  let body: any;
  try {
    body = JSON.parse(text);
  } catch {
    throw new ApiError({ kind: "system", text: text.slice(0, 300) || `status ${answer.status}` }, answer.status);
  }
  if (body.error) throw new ApiError(body.error, answer.status);
  return body as T;
}

export function query(words: Record<string, string | string[]>): string {
  const q = new URLSearchParams();
  for (const [k, v] of Object.entries(words)) {
    if (Array.isArray(v)) v.forEach((one) => q.append(k, one));
    else if (v !== "") q.set(k, v);
  }
  return q.toString();
}
