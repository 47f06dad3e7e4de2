// What hyparquet reads in a Parquet file, in a form that SQL can make as well (the other half is in tests/e2e/test_parquet.py):
//
//   node read.mjs FILE                        JSON: columns, pages, digests of the values, and what of the file is not true
//   node read.mjs FILE COLUMN FIRST COUNT     JSON: the texts of these rows
//
// Texts: integers in decimal; floats as the bits they have, most significant first; booleans as true and false; times in
// microseconds, in nanoseconds where the column has those; text, octets and UUIDs in hexadecimal; "~" where there is no value.
import { createHash } from "node:crypto";
import { asyncBufferFromFile, parquetMetadataAsync, parquetRead } from "hyparquet";
import { parquetHeader } from "hyparquet/src/column.js";
import { compressors } from "hyparquet-compressors";

const BLOCK = 4096; // rows of a digest
const SHORT = 16; // octets: where all texts are as short, there are statistics
const NONE = "~";
const MANY = 20; // faults that are told of a column

const hex = (octets) => Buffer.from(octets.buffer, octets.byteOffset, octets.byteLength).toString("hex");
const parsers = {
  timestampFromMilliseconds: (n) => BigInt(n) * 1000n,
  timestampFromMicroseconds: BigInt,
  timestampFromNanoseconds: BigInt,
  stringFromBytes: hex,
  uuidFromBytes: hex,
};

// The type that SQL gives a column of the file.
function kindOf({ type, converted_type: converted, logical_type: logical }) {
  if (logical?.type === "UUID") return "UUID";
  if (logical?.type === "TIMESTAMP" && logical.unit === "NANOS") return "TIMESTAMP_NS";
  if (logical?.type === "TIMESTAMP" || converted?.startsWith("TIMESTAMP_")) return "TIMESTAMP";
  if (["STRING", "ENUM"].includes(logical?.type) || ["UTF8", "ENUM"].includes(converted)) return "VARCHAR";
  const [, sign, width] = converted?.match(/^(U?)INT_(\d+)$/) ?? [];
  const bits = logical?.bitWidth ?? Number(width ?? type.match(/^INT(\d+)$/)?.[1]);
  if (bits) {
    const unsigned = logical ? !logical.isSigned : sign === "U";
    return (unsigned ? "U" : "") + { 8: "TINYINT", 16: "SMALLINT", 32: "INTEGER", 64: "BIGINT" }[bits];
  }
  return { BOOLEAN: "BOOLEAN", FLOAT: "FLOAT", DOUBLE: "DOUBLE", BYTE_ARRAY: "BLOB" }[type] ?? type;
}

const floats = {
  FLOAT: { bits: 32, raw: "INT32", of: (v) => new Float32Array(Int32Array.of(v).buffer)[0] },
  DOUBLE: { bits: 64, raw: "INT64", of: (v) => new Float64Array(BigInt64Array.of(v).buffer)[0] },
};

function textOf(v, kind) {
  if (v === null) return NONE;
  if (v === undefined) return "nothing was read";
  if (floats[kind]) return BigInt.asUintN(floats[kind].bits, BigInt(v)).toString(2).padStart(floats[kind].bits, "0");
  return v instanceof Uint8Array ? hex(v) : String(v);
}

// A value as its column orders it: hexadecimal text has the order of the octets it stands for.
const ordered = (v, kind) => (floats[kind] ? floats[kind].of(v) : v instanceof Uint8Array ? hex(v) : v);

function boundsOf(all, kind) {
  const found = { nulls: 0, odd: false, longest: 0, least: undefined, most: undefined };
  for (const value of all) {
    if (value === null) {
      found.nulls++;
      continue;
    }
    const v = ordered(value, kind);
    if (kind === "VARCHAR") found.longest = Math.max(found.longest, v.length / 2);
    if (Number.isNaN(v)) found.odd = true;
    else {
      if (found.least === undefined || v < found.least) found.least = v;
      if (found.most === undefined || v > found.most) found.most = v;
    }
  }
  return found;
}

// Sentences about what statistics say and values are not.
function* untrue(statistics, all, kind) {
  if (!statistics) return yield "it has no statistics";
  const { nulls, odd, longest, least, most } = boundsOf(all, kind);
  if (statistics.null_count === undefined) yield "it has no null_count";
  else if (Number(statistics.null_count) !== nulls) yield `null_count is ${statistics.null_count}, it has ${nulls}`;

  const none = nulls === all.length;
  const dispensable = none || floats[kind] || ["BOOLEAN", "BLOB"].includes(kind) || longest > SHORT;
  for (const [name, truth, wrong, exact] of [
    ["min_value", least, (bound) => bound > least, statistics.is_min_value_exact],
    ["max_value", most, (bound) => bound < most, statistics.is_max_value_exact],
    ["min", least, (bound) => bound > least, false],
    ["max", most, (bound) => bound < most, false],
  ]) {
    const bound = statistics[name] instanceof Uint8Array ? hex(statistics[name]) : statistics[name];
    if (bound === undefined) {
      if (name.endsWith("_value") && !dispensable) yield `it has no ${name}`;
    } else if (none) yield `${name} is ${bound}, it has no value`;
    // Readers disagree about where what is no number stands: with one, nothing can be said.
    else if (odd || Number.isNaN(bound)) yield `${name} is ${bound}, among what is no number`;
    else if (wrong(bound)) yield `${name} is ${bound}, it has ${truth}`;
    else if (exact && bound !== truth) yield `${name} is said to be exactly ${bound}, it is ${truth}`;
  }
}

class Reader {
  async open(path) {
    this.file = await asyncBufferFromFile(path);
    this.metadata = await parquetMetadataAsync(this.file, { parsers });
    this.columns = this.metadata.schema.slice(1).map((e) => ({ name: e.name, kind: kindOf(e) }));
    this.groups = this.metadata.row_groups.map((g) => Number(g.num_rows));
    // Floats are read as the integers that have their bits: a number of JavaScript does not keep those of a NaN.
    const raw = (of) => (of.type = floats[of.type]?.raw ?? of.type);
    this.metadata.schema.forEach(raw);
    for (const group of this.metadata.row_groups) for (const { meta_data } of group.columns) raw(meta_data);
    return this;
  }

  // The pages of a column chunk, as their headers tell.
  async pages(chunk) {
    const start = Number(chunk.dictionary_page_offset ?? chunk.data_page_offset);
    const length = Number(chunk.total_compressed_size);
    const found = [];
    const reader = { view: new DataView(await this.file.slice(start, start + length)), offset: 0 };
    while (reader.offset < length) {
      const begins = reader.offset;
      const header = parquetHeader(reader);
      const of = header.data_page_header_v2 ?? header.data_page_header ?? header.dictionary_page_header;
      found.push({
        type: header.type, encoding: of.encoding, values: of.num_values, nulls: of.num_nulls, rows: of.num_rows, compressed: of.is_compressed,
        offset: start + reader.offset, octets: header.compressed_page_size, unpacked: header.uncompressed_page_size + reader.offset - begins,
      });
      reader.offset += header.compressed_page_size;
    }
    if (reader.offset !== length) throw new Error(`its pages end at ${reader.offset} of ${length}`);
    return found;
  }

  // The values of a column in the rows from `first` to before `end`.
  async values(name, first, end) {
    const found = [];
    const { file, metadata } = this;
    const onChunk = ({ columnData, rowStart }) => {
      for (let i = 0; i < columnData.length; i++) if (rowStart + i >= first && rowStart + i < end) found[rowStart + i - first] = columnData[i];
    };
    await parquetRead({ file, metadata, compressors, parsers, utf8: false, columns: [name], rowStart: first, rowEnd: end, onChunk });
    if (found.length !== end - first) throw new Error(`${found.length} values for ${end - first} rows`);
    return found;
  }

  // One chunk: its values; what does not fit together goes into `faults`.
  async chunk(chunk, { name, kind }, first, count, pages, faults) {
    if (chunk.path_in_schema.join(".") !== name) throw new Error(`the column ${chunk.path_in_schema.join(".")} stands here`);
    const mine = await this.pages(chunk);
    const values = await this.values(name, first, first + count);
    faults.push(...untrue(chunk.statistics, values, kind));
    pages.push(...mine.map((p) => [p, chunk.codec]));
    const unpacked = mine.reduce((sum, p) => sum + p.unpacked, 0);
    if (unpacked !== Number(chunk.total_uncompressed_size)) faults.push(`total_uncompressed_size is ${chunk.total_uncompressed_size}, its pages have ${unpacked}`);
    if (Number(chunk.num_values) !== count) faults.push(`num_values is ${chunk.num_values}, it has ${count} rows`);
    let row = 0;
    for (const p of mine.filter((p) => p.type !== "DICTIONARY_PAGE")) {
      const nulls = values.slice(row, row + p.values).filter((v) => v === null).length;
      if (p.type === "DATA_PAGE_V2" && (p.nulls !== nulls || p.rows !== p.values)) faults.push(`a page of ${p.values} values says ${p.rows} rows, ${p.nulls} of them NULL; it has ${nulls}`);
      if (!chunk.encodings.includes(p.encoding)) faults.push(`a page is encoded as ${p.encoding}, which is not named`);
      row += p.values;
    }
    if (row !== count) faults.push(`its pages have ${row} values for ${count} rows`);
    return values;
  }

  async column(column, index) {
    const about = { ...column, nulls: 0, digests: [], faults: [], pages: [] };
    const texts = [];
    let first = 0;
    for (const [number, count] of this.groups.entries()) {
      const chunk = this.metadata.row_groups[number].columns[index].meta_data;
      const faults = [];
      try {
        for (const v of await this.chunk(chunk, column, first, count, about.pages, faults)) texts.push(textOf(v, column.kind));
      } catch (error) {
        faults.push(`hyparquet: ${error.message}`);
      }
      about.faults.push(...faults.slice(0, MANY).map((fault) => `row group ${number}: ${fault}`));
      if (texts.length !== first + count) return about;
      first += count;
    }
    about.nulls = texts.filter((t) => t === NONE).length;
    for (let at = 0; at < texts.length; at += BLOCK) about.digests.push(createHash("md5").update(texts.slice(at, at + BLOCK).join(",")).digest("hex"));
    return about;
  }

  async everything() {
    const columns = [];
    for (const [index, column] of this.columns.entries()) columns.push(await this.column(column, index));
    return { rows: Number(this.metadata.num_rows), groups: this.groups, block: BLOCK, columns };
  }

  async texts(name, first, count) {
    const { kind } = this.columns.find((c) => c.name === name);
    return (await this.values(name, first, first + count)).map((v) => textOf(v, kind));
  }
}

const [, , path, name, first, count] = process.argv;
const reader = await new Reader().open(path);
console.log(JSON.stringify(name === undefined ? await reader.everything() : await reader.texts(name, Number(first), Number(count))));
