// What a person sees in a real browser: run by tests/e2e/test_page.py with the address of a collector and the name of a case; prints
// one JSON object of what was found, for the test to judge against SQL.
import { createRequire } from "node:module";
import { readFileSync } from "node:fs";
import { chromium } from "playwright-core";

const [, , base, name, given = "{}"] = process.argv;
const input = JSON.parse(given);
const flags = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking", "--disable-component-update", "--disable-sync", "--disable-dev-shm-usage"];
const browser = await chromium.launch({ executablePath: process.env.CHROMIUM || "/usr/bin/chromium", args: flags });
const found = { errors: [], foreign: [] };
const PATIENCE = 120_000;

async function context(options = {}) {
  const c = await browser.newContext({ viewport: { width: 1280, height: 800 }, ...options });
  c.setDefaultTimeout(PATIENCE);
  c.on("request", (r) => { const u = new URL(r.url()); if (u.protocol !== "data:" && u.origin !== base) found.foreign.push(r.url()); });
  return c;
}

async function page(c, address) {
  const p = await c.newPage();
  p.on("console", (m) => m.type() === "error" && found.errors.push(m.text()));
  p.on("pageerror", (e) => found.errors.push(e.message));
  p.on("dialog", (d) => (found.errors.push(`dialog ${d.message()}`), d.dismiss()));
  if (address) await open(p, address);
  return p;
}

async function open(p, address) {
  await p.goto(base + address);
  await settled(p, new URL(base + address).searchParams.get("view") ?? "now");
}

const settled = (p, view) => p.waitForSelector(`main[data-view="${view}"][data-settled="yes"]`);
const number = (p, selector, attribute) => p.$eval(selector, (e, a) => Number(e.getAttribute(a)), attribute);
const query = (o) => "?" + new URLSearchParams(o).toString();

const cases = {
  // UI test 1: the ledger on every figure, and where the hatch is.
  async ledger() {
    const c = await context();
    const p = await page(c, query({ view: "now", live: "0", ...input.window }));
    found.views = {};
    for (const view of ["now", "flows", "talk", "denied", "rules", "complete"]) {
      await open(p, query({ view, live: "0", ...input.window }));
      found.views[view] = await p.$$eval("figure", (all) => all.map((f) => ({ id: f.id, ledger: JSON.parse(f.dataset.ledger ?? "null") })));
      if (view === "now") found.hatched = await p.$eval("#figure-timeline", (f) => f.dataset.hatchedAt.split(" ").filter(Boolean).map(Number));
    }
  },
  // UI test 2: denied flows and their rules.
  async denied() {
    const c = await context({ forcedColors: "active" });
    const p = await page(c, query({ view: "denied", live: "0", ...input.window }));
    found.total = await number(p, "table.denials tfoot tr", "data-denied");
    found.rows = await p.$$eval("table.denials tbody tr", (all) => all.map((r) => [...r.children].map((x) => x.textContent)));
    found.icons = await p.$$eval("table.denials tbody .verdict", (all) => all.every((v) => v.querySelector("svg") && v.textContent.includes("denied")));
    await open(p, query({ view: "flows", filter: "denied", live: "0", ...input.window }));
    found.flows = await number(p, "#figure-records tfoot tr", "data-flows");
    found.text = (await p.$$eval("tr.denied", (all) => all.map((r) => r.textContent))).join("\n");
  },
  // UI test 5: one state, one truth.
  async truth() {
    const c = await context();
    const p = await page(c);
    found.states = [];
    for (const s of input.states) {
      await open(p, query({ view: "talk", live: "0", m: "octets", ...s }));
      const one = { timeline: await number(p, "#figure-timeline", "data-octets"), matrix: await number(p, "#figure-matrix", "data-octets"), sankey: await number(p, "#figure-sankey", "data-octets") };
      await open(p, query({ view: "flows", live: "0", m: "octets", ...s }));
      one.footer = await number(p, "#figure-records tfoot tr", "data-octets");
      one.strip = await number(p, "#figure-timeline", "data-octets");
      found.states.push(one);
    }
    const fresh = await context();
    const q = await page(fresh, query({ view: "flows", live: "0", m: "octets", ...input.states[0] }));
    found.fresh = await number(q, "#figure-records tfoot tr", "data-octets");
  },
  // UI test 10: one cause and one command for each kind of nothing.
  async empty() {
    const c = await context();
    const p = await page(c);
    await p.goto(base + query(input.state));
    await p.waitForSelector("[data-cause]");
    found.cause = await p.getAttribute("[data-cause]", "data-cause");
    found.text = await p.textContent("[data-cause] p");
    found.commands = await p.$$eval("[data-cause] code", (all) => all.map((x) => x.textContent));
    found.errors = [];
  },
  // UI test 11: the filter, by keyboard alone.
  async filter() {
    const c = await context({ bypassCSP: true }); // waiting for a condition is an eval
    const p = await page(c, query({ view: "flows", live: "0", ...input.window }));
    await p.keyboard.press("Tab");
    for (let i = 0; i < 40 && (await p.evaluate(() => document.activeElement.id)) !== "filter"; i++) await p.keyboard.press("Tab");
    found.reached = await p.evaluate(() => document.activeElement.id);
    await p.keyboard.type("dst prt 22");
    await p.waitForSelector("#filter-error .caret");
    found.caret = await p.textContent("#filter-error .caret");
    found.message = await p.textContent("#filter-error span");
    for (let i = 0; i < 12; i++) await p.keyboard.press("Backspace");
    await p.keyboard.type("peer:");
    await p.waitForFunction(() => [...document.querySelectorAll("#offers li b")].some((b) => /^\d+\.\d+\.\d+\.\d+$/.test(b.textContent)));
    found.offered = await p.$$eval("#offers li b", (all) => all.map((b) => b.textContent));
    await p.keyboard.press("ArrowDown");
    await p.keyboard.press("Enter");
    await p.waitForFunction(() => /^peer \d+\.\d+\.\d+\.\d+ $/.test(document.getElementById("filter").value));
    await p.keyboard.press("Enter");
    await p.waitForFunction(() => new URLSearchParams(location.search).get("filter"));
    found.filter = new URL(p.url()).searchParams.get("filter");
    await settled(p, "flows");
    await p.click('#figure-records tbody tr:first-child td:nth-child(4) button');
    await p.waitForFunction((f) => new URLSearchParams(location.search).get("filter") !== f, found.filter);
    found.narrowed = new URL(p.url()).searchParams.get("filter");
  },
  // UI test 12: the live tail holds still while a row is selected. The test sends records between the two lines of input.
  async live() {
    const c = await context({ bypassCSP: true });
    const p = await page(c);
    await p.goto(`${base}${query({ view: "flows", live: "tail" })}`);
    await p.waitForSelector(".tail .dot.on");
    console.log("READY");
    await p.waitForSelector(".tail tbody tr:nth-child(3)");
    await p.click(".tail tbody tr:nth-child(2) td:first-child button");
    await p.waitForSelector("tr.selected");
    const y = () => p.$eval("tr.selected", (r) => r.getBoundingClientRect().top + scrollY);
    const told = () => p.$eval(".tail", (t) => Object.fromEntries(["emitted", "kept", "held", "omitted"].map((k) => [k, Number(t.dataset[k])])));
    found.before = { y: await y(), ...(await told()) };
    console.log("SELECTED");
    await p.waitForFunction((n) => Number(document.querySelector(".tail").dataset.emitted) >= n, input.emitted);
    found.after = { y: await y(), ...(await told()) };
    found.heap = await p.evaluate(() => performance.memory?.usedJSHeapSize ?? 0);
    await p.click("text=Resume");
    await p.waitForFunction(() => Number(document.querySelector(".tail").dataset.held) === 0);
    found.resumed = await told();
  },
  // UI test 13: light, private, accessible.
  async access() {
    const axe = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");
    found.axe = [];
    found.wide = [];
    found.twins = [];
    for (const [kind, options] of Object.entries({ light: { colorScheme: "light", reducedMotion: "reduce" }, dark: { colorScheme: "dark" }, narrow: { viewport: { width: 320, height: 640 } } })) {
      const c = await context({ ...options, bypassCSP: true });
      const p = await page(c);
      for (const view of ["now", "flows", "talk", "denied", "rules", "complete"]) {
        await open(p, query({ view, live: "0", ...input.window }));
        if (input.shots) await p.screenshot({ path: `${input.shots}/${kind}-${view}.png`, fullPage: true });
        if (kind === "narrow") {
          const w = await p.evaluate(() => document.documentElement.scrollWidth);
          if (w > 320) found.wide.push(`${view} ${w}`);
          continue;
        }
        await p.evaluate(axe);
        const r = await p.evaluate(() => axe.run(document, { resultTypes: ["violations"] }));
        found.axe.push(...r.violations.filter((v) => ["serious", "critical"].includes(v.impact)).map((v) => `${kind} ${view} ${v.id}: ${v.nodes.slice(0, 3).map((n) => n.target.join(" ")).join(" | ")}`));
        found.twins.push(...(await p.$$eval("figure", (all) => all.filter((f) => f.querySelector("svg.plot, svg.sankey-plot") && !f.querySelector("details.twin summary")).map((f) => f.id))));
      }
      await c.close();
    }
    const c = await context(); // and once with the policy in force
    const p = await page(c);
    await p.addInitScript(() => addEventListener("securitypolicyviolation", (e) => (window.broken = [...(window.broken ?? []), e.violatedDirective])));
    const begin = Date.now();
    await p.goto(`${base}/${query({ view: "now", ...input.window })}`);
    await settled(p, "now");
    found.first_ms = Date.now() - begin;
    found.policy = await p.evaluate(() => window.broken ?? []);
    found.octets = await p.evaluate(() => performance.getEntriesByType("resource").filter((e) => e.name.includes("/assets/")).reduce((n, e) => n + e.encodedBodySize, 0));
  },
  // Names that want to be more than text.
  async hostile() {
    const c = await context();
    const p = await page(c);
    await p.addInitScript(() => (window.hits = 0));
    for (const view of ["denied", "rules", "flows", "now"]) {
      await open(p, query({ view, live: "0", by: "denialRuleName", m: "flows", ...input.window }));
      found[view] = await p.evaluate(() => ({ hits: window.hits, scripts: document.scripts.length, images: document.images.length, frames: document.querySelectorAll("iframe,object,embed,base,form,style[injected]").length, controls: /[\u0000-\u0008\u000b\u000c\u000e-\u001f\u007f-\u009f\u202a-\u202e\u2066-\u2069]/.test(document.body.innerText) }));
    }
  },
};

try {
  await cases[name]();
} catch (e) {
  found.failure = String(e?.stack ?? e).slice(0, 2000);
}
await browser.close();
console.log(JSON.stringify(found));
