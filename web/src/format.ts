// Values as people read them. Everything that came over the wire goes through `clean` before it is shown.

const units = ["", "k", "M", "G", "T", "P"];

export function scaled(n: number, unit: string): string {
  let i = 0;
  while (Math.abs(n) >= 999.5 && i < units.length - 1) {
    n /= 1000;
    i++;
  }
  const digits = i === 0 ? 0 : Math.abs(n) < 9.995 ? 2 : Math.abs(n) < 99.95 ? 1 : 0;
  return `${n.toFixed(digits)}${i || unit ? "\u202f" : ""}${units[i]}${unit}`;
}

export const octets = (n: number) => scaled(n, "B");
export const count = (n: number) => scaled(n, "");
export const exact = (n: number) => n.toLocaleString("en-US");

// Control characters and those that turn text around are made visible.
export function clean(text: string): string {
  return text.replace(/[\u0000-\u001f\u007f-\u009f\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff]/g, (c) =>
    c === "\u202f" ? c : `\\u${c.charCodeAt(0).toString(16).padStart(4, "0")}`,
  );
}

const two = (n: number) => String(n).padStart(2, "0");

export function day(ms: number): string {
  const d = new Date(ms);
  return `${d.getUTCFullYear()}-${two(d.getUTCMonth() + 1)}-${two(d.getUTCDate())}`;
}

export function clock(ms: number, seconds = true): string {
  const d = new Date(ms);
  return `${two(d.getUTCHours())}:${two(d.getUTCMinutes())}${seconds ? `:${two(d.getUTCSeconds())}` : ""}`;
}

export const when = (ms: number) => `${day(ms)} ${clock(ms)}Z`;
export const iso = (ms: number) => new Date(ms).toISOString();

export function duration(ms: number): string {
  const s = Math.round(ms / 1000);
  if (ms < 1000) return `${Math.round(ms)} ms`;
  if (s < 60) return `${(ms / 1000).toFixed(1)} s`;
  if (s < 3600) return `${Math.floor(s / 60)} min${s % 60 ? ` ${s % 60} s` : ""}`;
  if (s < 86400) return `${Math.floor(s / 3600)} h${Math.floor((s / 60) % 60) ? ` ${Math.floor((s / 60) % 60)} min` : ""}`;
  return `${Math.floor(s / 86400)} d ${Math.floor((s / 3600) % 24)} h`;
}

const protocols: Record<number, string> = { 1: "icmp", 6: "tcp", 17: "udp", 47: "gre", 50: "esp", 58: "icmp6", 132: "sctp" };
const letters = "CEUAPRSF";
const reasons = [
  "",
  "dropped by a rule",
  "rejected by a rule",
  "no peer is allowed this destination",
  "the peer has no endpoint",
  "the peer has no session",
  "the source is not one of the peer's",
  "summary of many refused flows",
];
export const reason = (n: number) => reasons[n] ?? `reason ${n}`;
const services: Record<number, string> = {
  22: "ssh", 25: "smtp", 53: "dns", 80: "http", 123: "ntp", 443: "https", 445: "smb", 3306: "mysql", 3389: "rdp", 5432: "postgres", 5201: "iperf3", 6379: "redis", 8080: "http-alt", 9100: "node-exporter",
};

export type Cell = string | number | boolean | null;

export function value(v: Cell, format: string, name = ""): string {
  if (v === null) return "";
  if (format === "yes") return v ? "denied" : "";
  if (format === "octets") return octets(Number(v));
  if (format === "count") return count(Number(v));
  if (format === "protocol") return protocols[Number(v)] ?? String(v);
  if (format === "direction") return v === 1 ? "egress" : v === 0 ? "ingress" : String(v);
  if (format === "duration") return duration(Number(v));
  if (format === "flags") return [...letters].map((c, i) => ((Number(v) >> (7 - i)) & 1 ? c : "·")).join("");
  if (name === "denialReason" || name === "reason") return reason(Number(v));
  if (name === "start" || name === "end") return clean(String(v)).replace("T", " ").replace("Z", "");
  return clean(String(v));
}

export const service = (port: number) => services[port];

// The term of the filter language that a cell stands for; "" where there is none.
export function term(name: string, v: Cell, format: string): string {
  if (v === null || v === "") return "";
  if (name === "denied") return v ? "denied" : "not denied";
  if (name === "start" || name === "end") return `${name} = ${v}`;
  if (name === "octets" || name === "packets") return `${name} = ${v}`;
  if (name === "duration") return `duration = ${v}ms`;
  if (name === "flags") return `flags = ${v}`;
  if (format === "direction") return `dir ${v === 1 ? "egress" : "ingress"}`;
  if (format === "protocol") return `proto ${protocols[Number(v)] ?? v}`;
  if (typeof v === "number" || format === "address") return `${name} ${v}`;
  return `${name} = ${quote(String(v))}`;
}

// A text between quotes that it does not have itself; null: it has both.
export function quote(text: string): string {
  return `"${text.replace(/\\/g, "\\\\").replace(/"/g, '\\"')}"`;
}

export function narrow(filter: string, more: string): string {
  const have = filter.trim();
  if (!more || have === more || have.split(" and ").includes(more)) return have;
  return have ? `${/\b(or|\|\|)\b/.test(have) && !/^\(.*\)$/.test(have) ? `(${have})` : have} and ${more}` : more;
}
