// Node's ws and undici.
import fs from "node:fs";
import { openAsBlob } from "node:fs";
import { Readable } from "node:stream";
import { pipeline } from "node:stream/promises";
import WebSocket from "ws";
import { Client, FormData } from "undici";

const env = process.env;
const row = process.argv[2];
const path = `/v1/capsules/${env.CAPSULE}`;
const key = { "X-API-Key": env.WRENN_API_KEY };
const now = () => performance.now() / 1000;

function stream(scheme, size) {
  const secure = scheme === "wss";
  const count = size === 64 ? 500000 : Math.floor(200e6 / size);
  const socket = new WebSocket(
    `${secure ? env.WSS_URL : env.WS_URL}/v1/capsules/cl-1/exec/stream`,
    secure ? { ca: fs.readFileSync(env.CA_FILE) } : {});
  let begin, bytes = 0;
  return new Promise((done) => {
    socket.on("open", () => socket.send(JSON.stringify({ type: "start",
      cmd: "x", args: [String(size), String(count), "plain"] })));
    socket.on("message", (data) => {
      begin ??= now();
      const event = JSON.parse(data);
      if (event.type === "stdout") bytes += event.data.length;
      else if (event.type === "exit") done(count / (now() - begin));
    });
  });
}

async function get(client) {
  const begin = now();
  for (let i = 0; i < 3000; i++) {
    const { body } = await client.request({ method: "GET", path, headers: key });
    await body.json();
  }
  return 3000 / (now() - begin);
}

function echo() {
  const socket = new WebSocket(
    `${env.WRENN_BASE_URL.replace(/^http/, "ws")}${path}/pty`, { headers: key });
  const trips = [];
  let begin;
  return new Promise((done) => {
    socket.on("open", () => socket.send(JSON.stringify({ type: "start",
      cmd: "/bin/sh", args: ["-c", "stty raw -echo; printf r; exec cat"] })));
    socket.on("message", (data, binary) => {
      if (!binary && JSON.parse(data).type !== "output") return;
      if (begin) trips.push(now() - begin);
      if (trips.length === 1000) {
        socket.send(JSON.stringify({ type: "kill" }));
        done(trips.sort((a, b) => a - b)[500] * 1e6);
        return;
      }
      begin = now();
      socket.send('{"type":"input","data":"eA=="}');
    });
  });
}

function read(client) {
  return client.request({ method: "POST", path: `${path}/files/stream/read`,
    headers: { ...key, "Content-Type": "application/json" },
    body: JSON.stringify({ path: env.REMOTE }) });
}

async function download(client) {
  const begin = now();
  const { body } = await read(client);
  await pipeline(body, fs.createWriteStream(env.HERE));
  return 256 / (now() - begin);
}

async function iterate(client) {
  const begin = now();
  let bytes = 0;
  for await (const piece of (await read(client)).body) bytes += piece.length;
  return bytes / 2 ** 20 / (now() - begin);
}

async function upload(client) {
  const begin = now();
  const form = new FormData();
  form.append("path", env.REMOTE);
  form.append("file", await openAsBlob(env.HERE), "file");
  const request = new Request(env.WRENN_BASE_URL, { method: "POST", body: form });
  const { body, statusCode } = await client.request({ method: "POST",
    path: `${path}/files/stream/write`, body: Readable.fromWeb(request.body),
    headers: { ...key, "Content-Type": request.headers.get("content-type") } });
  await body.dump();
  if (statusCode >= 300) throw new Error(`upload: ${statusCode}`);
  return 256 / (now() - begin);
}

const found = row.match(/^(wss?)(\d+)$/);
const rows = { get, echo, download, iterate, upload };
const client = new Client(env.WRENN_BASE_URL);
console.log(found ? await stream(found[1], Number(found[2]))
  : await rows[row](client));
process.exit(0);
