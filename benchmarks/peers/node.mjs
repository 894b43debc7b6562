// Does what remote.py says, a line of JSON at a time, with @nats-io/obj.
import { readFileSync } from "node:fs";
import { createInterface } from "node:readline";
import { connect, headers } from "@nats-io/transport-node";
import { Objm } from "@nats-io/obj";

let connection, store;
const files = new Map();

const commands = {
  async open({ servers, token, bucket }) {
    connection = await connect({ servers, token });
    store = await new Objm(connection).open(bucket);
    return true;
  },
  async load({ file }) {
    files.set(file, new Uint8Array(readFileSync(file)));
    return true;
  },
  async put({ names, file }) {
    const described = headers();
    described.set("Content-Type", "application/octet-stream");
    for (const name of names) await store.putBlob({ name, headers: described }, files.get(file));
    return true;
  },
  async get({ names }) {
    let size = 0;
    for (const name of names) size += (await store.getBlob(name)).length;
    return size;
  },
  async info({ names }) {
    for (const name of names) await store.info(name);
    return true;
  },
  async list() {
    return (await store.list()).length;
  },
};

for await (const line of createInterface({ input: process.stdin })) {
  const command = JSON.parse(line);
  let answer;
  try {
    answer = { result: await commands[command.do](command) };
  } catch (error) {
    answer = { error: `${error.name}: ${error.message}` };
  }
  process.stdout.write(JSON.stringify(answer) + "\n");
}
await connection?.close();
