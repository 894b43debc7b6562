// Works on one bucket at a time with @nats-io/obj, as its users do.
//
//   node bucket.mjs URL    commands on standard input, one JSON array a line:
//   ["open", bucket] ["put", {name, description, headers, metadata, options}, base64]   ["get", name] …
//
// For each line one of JSON comes back: {"ok": result} or {"error": message}.

import { createInterface } from "node:readline";
import { createRequire } from "node:module";

const require = createRequire(`${process.env.OBJSTORE_NODE_MODULES}/`);
const { connect, headers } = require("@nats-io/transport-node");
const { Objm } = require("@nats-io/obj");

const [url] = process.argv.slice(2);
const { protocol, hostname, port, username } = new URL(url);
const connection = await connect({ servers: `${hostname}:${port}`, token: username || undefined });
const manager = new Objm(connection);
let store;

function meta(fields) {
  const result = { ...fields };
  if (fields.headers) {
    result.headers = headers();
    for (const [name, values] of Object.entries(fields.headers)) {
      for (const value of values) result.headers.append(name, value);
    }
  }
  return result;
}

function plain(info) {
  if (info === null) return null;
  const { name, description, size, chunks, digest, nuid, deleted, options, metadata } = info;
  const lists = {};
  // Infos of a list or watch are bare records; others have headers as an object of their own.
  const given = info.headers?.keys ? info.headers : null;
  for (const key of given ? given.keys() : []) lists[key] = given.values(key);
  return {
    name, description, size, chunks, digest, nuid, options, metadata,
    deleted: Boolean(deleted),
    headers: given ? lists : info.headers ?? {},
  };
}

const commands = {
  open: async (bucket) => {
    store = await manager.open(bucket);
  },
  put: async (fields, data) => plain(await store.putBlob(meta(fields), Buffer.from(data, "base64"))),
  get: async (name) => {
    const data = await store.getBlob(name);
    return data === null ? null : Buffer.from(data).toString("base64");
  },
  info: async (name) => plain(await store.info(name)),
  list: async () => (await store.list()).map(plain),
  update: async (name, fields) => (await store.update(name, meta(fields))).seq,
  delete: async (name) => (await store.delete(name)).success,
  link: async (name, other, target) => {
    const from = await manager.open(other);
    return plain(await store.link(name, await from.info(target)));
  },
  linkStore: async (name, other) => plain(await store.linkStore(name, await manager.open(other))),
  status: async () => {
    const { bucket: name, description, sealed, metadata } = await store.status();
    return { name, description, sealed, metadata };
  },
  seal: async () => (await store.seal()).sealed,
  create: async (name, options) => (await (await manager.create(name, options)).status()).bucket,
};

for await (const line of createInterface({ input: process.stdin })) {
  const [command, ...args] = JSON.parse(line);
  let answer;
  try {
    answer = { ok: (await commands[command](...args)) ?? null };
  } catch (error) {
    answer = { error: String(error?.message ?? error) };
  }
  console.log(JSON.stringify(answer));
}
await connection.close();
