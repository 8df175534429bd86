// What is done with what vite has built: the page is kept as text that asks nothing of other
// hosts, each larger file is also there compressed, the bounds are held, and dist is brought
// up to date file by file, so that nothing is compiled anew that has not changed.
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { dirname, join, relative } from "node:path";
import { fileURLToPath } from "node:url";
import { brotliCompressSync, constants, gzipSync } from "node:zlib";

const here = fileURLToPath(new URL("..", import.meta.url));
const [built, dist] = [join(here, "build/out"), join(here, "dist")];
const KIB = 1024;
/** Files below are sent as they are: they fit into a packet. */
const WORTH_IT = KIB;
const MOST_FIRST = 60 * KIB;
const MOST = 300 * KIB;

const files = (folder) =>
  readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => relative(folder, join(entry.parentPath, entry.name)));

const wanted = new Map(files(built).map((name) => [name, readFileSync(join(built, name))]));
wanted.set("assets/licences.txt", Buffer.from(licences()));
const gzip = (bytes) => gzipSync(bytes, { level: 9 });

check();
for (const [name, bytes] of [...wanted]) {
  if (bytes.length <= WORTH_IT) continue;
  wanted.set(`${name}.gz`, gzip(bytes));
  // Proxies that rewrite pages understand no Brotli.
  if (name !== "index.html")
    wanted.set(`${name}.br`, brotliCompressSync(bytes, { params: { [constants.BROTLI_PARAM_QUALITY]: 11 } }));
}
for (const name of files(dist)) {
  if (name !== ".gitignore" && !wanted.has(name)) rmSync(join(dist, name));
}
for (const [name, bytes] of wanted) {
  const path = join(dist, name);
  if (existsSync(path) && readFileSync(path).equals(bytes)) continue;
  mkdirSync(dirname(path), { recursive: true });
  writeFileSync(path, bytes);
}

/** The bounds of what is fetched, and that nothing is fetched from elsewhere. */
function check() {
  const page = wanted.get("index.html").toString();
  const sizes = new Map(
    [...wanted].filter(([name]) => !name.endsWith(".txt")).map(([name, bytes]) => [name, gzip(bytes).length]),
  );
  const sum = (of) => of.reduce((all, [, size]) => all + size, 0);
  const first = sum([...sizes].filter(([name]) => name === "index.html" || page.includes(name)));
  const all = sum([...sizes]);
  console.log(
    `first page ${(first / KIB).toFixed(1)} KiB of at most ${MOST_FIRST / KIB}, all ${(all / KIB).toFixed(1)} KiB of at most ${MOST / KIB}, compressed`,
  );
  const wrong = [];
  if (first > MOST_FIRST) wrong.push("the first page is too large");
  if (all > MOST) wrong.push("all files together are too large");
  if (/<script(?![^>]* src=)|<style| style=/.test(page))
    wrong.push("index.html has code or styles in it, which the server's policy forbids");
  for (const [name, bytes] of wanted) {
    if (name.endsWith(".txt")) continue;
    const hosts = bytes.toString().match(/\b(?:https?|wss?):\/\/[a-z0-9.-]+/gi) ?? [];
    // Names of namespaces of XML are no addresses.
    const others = hosts.filter((host) => !host.endsWith("://www.w3.org"));
    if (others.length > 0) wrong.push(`${name} names ${others.join(", ")}`);
  }
  if (wrong.length === 0) return;
  console.error(wrong.join("\n"));
  process.exit(1);
}

/** Of what is in the files that are sent: all that the lock has for more than the build, and what vite adds. */
function licences() {
  const { packages } = JSON.parse(readFileSync(join(here, "package-lock.json"), "utf8"));
  const sent = Object.keys(packages).filter((folder) => folder !== "" && !packages[folder].dev);
  return [...sent, "node_modules/vite"].map(licence).join("\n\n");
}

function licence(path) {
  const folder = join(here, path);
  const { name, version, license } = JSON.parse(readFileSync(join(folder, "package.json"), "utf8"));
  const file = readdirSync(folder).find((entry) => /^licen[cs]e/i.test(entry));
  if (!file) throw new Error(`${name} comes without its licence`);
  // What vite is made of itself is not sent.
  const [text] = readFileSync(join(folder, file), "utf8").split(/^# Licenses of bundled/m);
  return `${name} ${version} (${license})\n\n${text.trim()}\n`;
}
